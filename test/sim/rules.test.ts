/** A simulation is the same for the same seed; and rules that are broken on purpose are noticed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Broken } from './driver.ts';
import { runSeeds } from './processes.ts';
import { simulate, stepsOf } from './simulate.ts';

const steps = 500;
const brokenSeeds = 200;

test('one seed is one run, to the byte, in every process', () => {
  const once = () => runSeeds('--seed', 7, '--steps', 200).stdout;
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
