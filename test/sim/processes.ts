/** Simulations in a process of their own. */
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** Runs run.ts with these arguments to its end. */
export function runSeeds(...options: (string | number)[]): { status: number | null; stdout: string } {
  const runtime = process.versions['deno'] === undefined ? [] : ['run', '-A'];
  const file = fileURLToPath(new URL('./run.ts', import.meta.url));
  return spawnSync(process.execPath, [...runtime, file, ...options.map(String)], { encoding: 'utf8' });
}
