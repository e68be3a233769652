/**
 * `deno task compile`: one self-contained executable for this machine, dist/inkmesh-OS-ARCH. Deno puts the program
 * behind a runtime, denort, that it downloads once; where it cannot, DENORT_BIN names a copy of the same version.
 * Exit code 0 done, 1 failed, 2 bad usage.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const maxErrorChars = 64 * 1024;
const MiB = 1024 * 1024;

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function fail(code: 1 | 2, message: string): never {
  process.stderr.write(`compile: ${message}\n`);
  process.exit(code);
}

/** Runs `deno compile` with its output shown. Resolves to the exit code and what it wrote to standard error. */
function compile(output: string): Promise<{ code: number; errors: string }> {
  // the pages' script and style are read as files
  const args = ['compile', '-A', '--include', 'src/release/client', '--output', output, 'src/main.ts'];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    process.stderr.write(text);
    errors = (errors + text).slice(-maxErrorChars);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, errors }));
  });
}

if (process.versions['deno'] === undefined) fail(2, 'run this with Deno: deno task compile');
if (process.argv.length > 2) fail(2, 'takes no arguments');
const denort = process.env['DENORT_BIN'];
if (denort && !existsSync(denort)) fail(2, `DENORT_BIN is set, but ${denort} does not exist`);

const output = join('dist', `inkmesh-${process.platform}-${process.arch}`);
mkdirSync(join(root, 'dist'), { recursive: true });
const { code, errors } = await compile(output);
if (code !== 0 && !denort && /denort|base binary/.test(errors)) {
  const version = process.versions['deno'];
  fail(
    1,
    `the runtime (denort ${version}) could not be fetched: try again online, or set DENORT_BIN to a copy of it`,
  );
}
if (code !== 0) {
  fail(1, `deno compile failed with exit code ${code}${denort ? `, with DENORT_BIN=${denort}` : ''}`);
}
process.stdout.write(`${output} (${(statSync(join(root, output)).size / MiB).toFixed(0)} MiB)\n`);
