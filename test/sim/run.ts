/**
 * `deno task sim --seed N --steps M [--seeds K] [--workers W] [--quick]`: simulates K seeds from N on, in W processes.
 * Of a seed that fails it prints the shortest list of steps that it has found to fail in the same way, or, if it is to
 * be quick, how it failed alone. Exit code 0 if all hold.
 */
import './crypto.ts';
import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { shorten } from './shorten.ts';
import { simulate, stepsOf } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    steps: { type: 'string', default: '500' },
    workers: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
  },
});
const [first, seeds, count, workers] = [values.seed, values.seeds, values.steps, values.workers].map(Number);
if (![first, seeds, count, workers].every((n) => Number.isSafeInteger(n) && n! >= 0)) {
  throw new TypeError('--seed, --seeds, --steps and --workers take whole numbers');
}

/** @returns whether it holds */
async function runSeed(seed: number): Promise<boolean> {
  const steps = stepsOf(seed, count!);
  const { violation, hash, lines, jobs, accepted, printed } = await simulate(seed, steps);
  if (violation === undefined) {
    console.log(`seed ${seed}: ${hash} jobs ${jobs} accepted ${accepted} printed ${printed}`);
    return true;
  }
  console.log(`seed ${seed} FAILED: ${violation.message}`);
  if (values.quick) return false;
  const short = await shorten(seed, steps, violation.rule);
  const again = short.length < steps.length ? (await simulate(seed, short)).lines : lines;
  console.log([`${short.length} of ${steps.length} steps:`, ...again].join('\n  '));
  return false;
}

/** Each process takes every `workers`-th seed. */
async function spread(): Promise<number> {
  const runtime = process.versions['deno'] === undefined ? [] : ['run', '-A'];
  const ends = Array.from({ length: workers! }, (_, i) => {
    const share = Math.floor(seeds! / workers!) + (i < seeds! % workers! ? 1 : 0);
    const from = first! + i * Math.floor(seeds! / workers!) + Math.min(i, seeds! % workers!);
    const own = ['--seed', from, '--seeds', share, '--steps', count].map(String);
    if (values.quick) own.push('--quick');
    const child = spawn(process.execPath, [...runtime, fileURLToPath(import.meta.url), ...own], {
      stdio: 'inherit',
    });
    return new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => resolve(code ?? 1));
    });
  });
  return Math.max(...await Promise.all(ends));
}

if (workers! > 1) process.exitCode = await spread();
else {
  let failed = 0;
  for (let seed = first!; seed < first! + seeds!; seed++) if (!await runSeed(seed)) failed++;
  if (seeds! > 1) console.log(`seeds ${first} to ${first! + seeds! - 1}: ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
