/** A cluster under faults, many times over; and rules broken on purpose, which must be noticed. */
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Broken } from './driver.ts';
import { shorten } from './shorten.ts';
import { simulate, stepsOf } from './simulate.ts';

const seeds = 100;
const steps = 500;
const brokenSeeds = 200;

test(`${seeds} seeds of ${steps} steps keep every invariant`, async () => {
  let printed = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const all = stepsOf(seed, steps);
    const result = await simulate(seed, all);
    printed += result.printed;
    if (result.violation === undefined) continue;
    const short = await shorten(seed, all, result.violation.rule);
    const { lines } = await simulate(seed, short);
    assert.unreachable([`deno task sim --seed ${seed} --steps ${steps}`, ...lines].join('\n'));
  }
  assert.ok(printed > seeds, 'hardly anything was printed');
});

test('one seed is one run, to the byte, in every process', () => {
  const run = () => {
    const runtime = process.versions['deno'] === undefined ? [] : ['run', '-A'];
    const file = fileURLToPath(new URL('./run.ts', import.meta.url));
    const { stdout } = spawnSync(process.execPath, [...runtime, file, '--seed', '7', '--steps', '200'], {
      encoding: 'utf8',
    });
    return stdout;
  };
  const first = run();
  assert.match(first, /^seed 7: [0-9a-f]{64} /);
  assert.is(run(), first);
});

const broken: [Broken, string][] = [
  ['vote not persisted', 'a grant serves one claimant'],
  ['begin skipped', 'a job prints once'],
  ['late reply counted', 'a job prints once'],
];
for (const [rule, noticed] of broken) {
  test(`it is noticed when a rule is broken: ${rule}`, async () => {
    for (let seed = 1; seed <= brokenSeeds; seed++) {
      const { violation } = await simulate(seed, stepsOf(seed, steps), rule);
      if (violation?.rule === noticed) return;
    }
    assert.unreachable(`${brokenSeeds} seeds hold`);
  });
}

test.run();
