/** Other programs that a build runs. */
import { spawn } from 'node:child_process';
import process from 'node:process';

const maxErrorChars = 64 * 1024;

export interface Ran {
  code: number;
  /** the end of what it wrote to standard error */
  errors: string;
}

/** Runs a program with its output shown on standard error. @throws Error when it cannot be started */
export function run(command: string, args: readonly string[], cwd: string): Promise<Ran> {
  const child = spawn(command, [...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stdout.pipe(process.stderr, { end: false });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    process.stderr.write(text);
    errors = (errors + text).slice(-maxErrorChars);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, errors }));
  });
}

/** @throws Error when it cannot be started, or fails */
export async function mustRun(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { code } = await run(command, args, cwd);
  if (code !== 0) throw new Error(`${command} failed with exit code ${code}`);
}
