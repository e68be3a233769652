/** A cluster under faults, many times over; the same one for the same seed; and rules broken on purpose, which are noticed. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Broken } from './driver.ts';
import { simulate, stepsOf } from './simulate.ts';

const seeds = 100;
const steps = 500;
const brokenSeeds = 200;
/** fewer jobs than that on paper, in the middle, and the faults are so dense that they test nothing else */
const printedPerSeed = 25;

function run(...options: (string | number)[]): { status: number | null; stdout: string } {
  const runtime = process.versions['deno'] === undefined ? [] : ['run', '-A'];
  const file = fileURLToPath(new URL('./run.ts', import.meta.url));
  return spawnSync(process.execPath, [...runtime, file, ...options.map(String)], { encoding: 'utf8' });
}

test(`${seeds} seeds of ${steps} steps keep every invariant`, () => {
  const workers = Math.min(4, availableParallelism());
  const { status, stdout } = run('--seeds', seeds, '--steps', steps, '--workers', workers);
  assert.is(status, 0, `deno task sim --seed N --steps ${steps} replays what fails:\n${stdout}`);
  const printed = [...stdout.matchAll(/^seed \d+: .* printed (\d+)$/gm)].map(([, count]) => Number(count));
  assert.is(printed.length, seeds);
  assert.ok(printed.reduce((sum, count) => sum + count) > seeds * printedPerSeed, 'too little was printed');
});

test('one seed is one run, to the byte, in every process', () => {
  const once = () => run('--seed', 7, '--steps', 200).stdout;
  const first = once();
  assert.match(first, /^seed 7: [0-9a-f]{64} /);
  assert.is(once(), first);
});

const broken: Broken[] = ['vote not persisted', 'begin skipped', 'late reply counted'];
for (const rule of broken) {
  test(`it is noticed when a rule is broken: ${rule}`, async () => {
    for (let seed = 1; seed <= brokenSeeds; seed++) {
      const { violation } = await simulate(seed, stepsOf(seed, steps), rule);
      if (violation === undefined) continue;
      // anything else would be noticed without the broken rule, too
      assert.is(violation.rule, 'a job prints once', `seed ${seed}: ${violation.message}`);
      return;
    }
    assert.unreachable(`${brokenSeeds} seeds hold`);
  });
}

test.run();
