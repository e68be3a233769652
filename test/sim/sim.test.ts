/** A cluster under faults, many times over. */
import { availableParallelism } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runSeeds } from './processes.ts';

const seeds = 100;
const steps = 300;
/** fewer jobs than that on paper, in the middle, and the faults are so dense that they test nothing else */
const printedPerSeed = 15;

test(`${seeds} seeds of ${steps} steps keep every invariant`, () => {
  const workers = Math.min(4, availableParallelism());
  const { status, stdout } = runSeeds('--seeds', seeds, '--steps', steps, '--workers', workers, '--quick');
  assert.is(status, 0, `deno task sim --seed N --steps ${steps} tells more:\n${stdout}`);
  const printed = [...stdout.matchAll(/^seed \d+: .* printed (\d+)$/gm)].map(([, count]) => Number(count));
  assert.is(printed.length, seeds);
  assert.ok(printed.reduce((sum, count) => sum + count) > seeds * printedPerSeed, 'too little was printed');
});

test.run();
