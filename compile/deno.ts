/** A binary of Deno's runtime (denort) and the program. */
import { join } from 'node:path';
import process from 'node:process';
import { bundle } from './bundle.ts';
import { run } from './run.ts';
import type { Target } from './targets.ts';

/** What lacks is the runtime, which Deno downloads unless `DENORT_BIN` names a copy of the same version. */
export class NoDenort extends Error {}

/**
 * @param scratch an empty folder, so that nothing but the bundle gets inside
 * @throws NoDenort
 * @throws Error when `deno compile` fails
 */
export async function compileDeno(target: Target, output: string, scratch: string): Promise<void> {
  const main = join(scratch, 'inkmesh.mjs');
  await bundle({ format: 'esm', single: true, outfile: main });
  const { code, errors } = await run(
    process.execPath,
    ['compile', '--allow-all', '--no-check', '--target', target.triple, '--output', output, main],
    scratch,
  );
  if (code === 0) return;
  const denort = process.env['DENORT_BIN'];
  if (!denort && /denort|base binary/.test(errors)) {
    throw new NoDenort(
      `the runtime (denort ${process.versions['deno']}) could not be fetched: ` +
        'try again online, set DENORT_BIN to a copy of it, or use --runtime node',
    );
  }
  throw new Error(`deno compile failed with exit code ${code}${denort ? `, with DENORT_BIN=${denort}` : ''}`);
}
