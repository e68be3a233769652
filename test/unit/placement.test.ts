import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { quorumOf } from '../../mesh/job-facts.ts';
import { degradedBy } from '../../mesh/placement.ts';

function placed(awake: number, asleep: number, degraded: 'refuse' | 'accept'): string | null {
  try {
    return degradedBy({ site: 'a', awake, asleep, policy: { degraded } });
  } catch (thrown) {
    if (!(thrown instanceof InkmeshError)) throw thrown;
    return /wake another|site set a degraded accept/.exec(thrown.message)?.[0] ?? thrown.message;
  }
}

test('every number of machines, awake and asleep, under either policy', () => {
  for (const policy of ['refuse', 'accept'] as const) {
    for (const asleep of [0, 1, 5]) {
      for (const awake of [3, 4, 20]) assert.is(placed(awake, asleep, policy), null);
      if (asleep === 0) continue;
      assert.is(placed(2, asleep, policy), 'handoff');
      assert.is(placed(1, asleep, policy), 'wake another');
    }
  }
  assert.is(placed(2, 0, 'accept'), 'two');
  assert.is(placed(1, 0, 'accept'), 'one');
  for (const awake of [1, 2]) assert.is(placed(awake, 0, 'refuse'), 'site set a degraded accept');
});

test('any two decide, but for one that is alone', () => {
  assert.equal([1, 2, 3].map((count) => quorumOf(new Array(count))), [1, 2, 2]);
});

test.run();
