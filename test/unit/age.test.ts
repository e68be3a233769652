import { randomInt } from 'node:crypto';
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { heard, newborn, older, resumed } from '../../mesh/age.ts';
import { maxClockSkew_ms } from '../../mesh/limits.ts';

const hour_ms = 3600_000;
const noon_ms = Date.UTC(2026, 5, 1, 12);

test('an age grows with the uptime, and with nothing else', () => {
  const born = newborn(5 * hour_ms + 0.5);
  assert.equal(born, { age_ms: 0, uptime_ms: 5 * hour_ms, zero_ms: null, off: false });
  assert.is(older(born, 7 * hour_ms).age_ms, 2 * hour_ms);
  assert.is(older(older(born, 6 * hour_ms), 7 * hour_ms).age_ms, 2 * hour_ms);
  assert.is(older(older(born, 7 * hour_ms), 6 * hour_ms).age_ms, 2 * hour_ms, 'it never shrinks');
});

test('a restart of the process within one boot counts in full', () => {
  const kept = older(newborn(hour_ms), 3 * hour_ms);
  const next = resumed(kept, 10 * hour_ms);
  assert.is(next.age_ms, 9 * hour_ms);
  assert.is(next.off, false);
});

test('another boot counts what it has run for, and says that something may be missing', () => {
  const kept = older(newborn(hour_ms), 3 * hour_ms);
  const next = resumed(kept, hour_ms / 2);
  assert.is(next.age_ms, 2.5 * hour_ms);
  assert.is(older(next, hour_ms).age_ms, 3 * hour_ms);
  assert.is(next.off, true);
});

test('the time off is added when the others are heard, once', () => {
  const before = heard(older(newborn(0), hour_ms), noon_ms);
  assert.is(before.age_ms, hour_ms, 'the first hearing adds nothing');
  const kept = older(before, 2 * hour_ms);
  // off at 13:00, on at 13:00 two days later, heard 10 min after that
  const on = older(resumed(kept, 60_000), 600_000);
  const after = heard(on, noon_ms + 49 * hour_ms + 600_000);
  assert.is(after.age_ms, 2 * hour_ms + 48 * hour_ms + 600_000 - maxClockSkew_ms);
  assert.is(after.off, false);
  const again = heard(resumed(after, hour_ms), noon_ms + 49 * hour_ms + hour_ms);
  assert.is(again.age_ms - after.age_ms, hour_ms - 600_000);
});

test('as far as the clocks of a mesh may differ after a power cut, time off is not believed', () => {
  const before = older(heard(newborn(0), noon_ms), hour_ms);
  const ahead = heard(resumed(before, 60_000), noon_ms + hour_ms + 60_000 + maxClockSkew_ms);
  assert.is(ahead.age_ms, hour_ms + 60_000);
  assert.is(heard(resumed(before, 0), noon_ms + hour_ms + maxClockSkew_ms + 5).age_ms, hour_ms + 5);
});

test('clocks that were behind after a boot, and are set while it lasts, make up no time off later', () => {
  const before = older(heard(newborn(0), noon_ms), hour_ms);
  const behind = heard(resumed(before, 60_000), noon_ms - 72 * hour_ms);
  const set = heard(older(behind, 10 * 60_000), noon_ms + hour_ms + 10 * 60_000);
  assert.is(set.age_ms, hour_ms + 10 * 60_000);
  assert.is(heard(resumed(set, 5), noon_ms + 2 * hour_ms).age_ms, set.age_ms + 5);
});

test('the time off is not lost over a boot in which nobody is heard', () => {
  const before = heard(newborn(0), noon_ms);
  const alone = older(resumed(older(before, hour_ms), 1000), hour_ms / 2);
  assert.is(alone.age_ms, 1.5 * hour_ms);
  const third = resumed(alone, 1000);
  assert.is(heard(third, noon_ms + 100 * hour_ms).age_ms, 100 * hour_ms - maxClockSkew_ms);
});

test('clocks that are heard within one boot, or that go backwards, move nothing', () => {
  const before = older(heard(newborn(0), noon_ms), hour_ms);
  const same = heard(resumed(before, 2 * hour_ms), noon_ms + 1000 * hour_ms);
  assert.is(same.age_ms, 2 * hour_ms, 'nothing was missed');
  const back = heard(resumed(before, 1000), noon_ms - 5 * hour_ms);
  assert.is(back.age_ms, hour_ms + 1000);
  const settled = heard(resumed(back, 10), noon_ms - 5 * hour_ms + 2000);
  assert.is(settled.age_ms - back.age_ms, 10, 'the boots that follow begin from there');
});

/** Numbers below a bound, the same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('whatever happens to a machine, its age is the time that has passed once the others are heard', () => {
  const seed = Number(process.env['INKMESH_SEED'] ?? randomInt(2 ** 31));
  const next = numbers(seed);
  for (let run = 0; run < 200; run++) {
    let now = 0;
    let booted = -1 - next(hour_ms);
    let age = newborn(now - booted);
    let kept = age;
    let off_ms = 0;
    /** off before anybody was heard for the first time, which nobody can know of, or not believed */
    let lost = 0;
    for (let step = 0; step < 50; step++) {
      now += 1 + next(hour_ms);
      age = older(age, now - booted);
      const what = (['save', 'hear', 'crash', 'off'] as const)[next(4)];
      if (what === 'save') kept = age;
      if (what === 'crash') age = resumed(kept, now - booted);
      if (what === 'hear') {
        age = kept = heard(age, noon_ms + now);
        lost += Math.min(off_ms, maxClockSkew_ms);
        off_ms = 0;
        assert.is(age.age_ms, now - lost, `INKMESH_SEED=${seed} run ${run} step ${step}`);
      }
      if (what === 'off') {
        const off = next(100 * hour_ms);
        if (age.zero_ms === null) lost += off;
        else off_ms += off;
        now += off;
        booted = now;
        age = kept = resumed(age, 0);
      }
      assert.ok(age.age_ms <= now, `INKMESH_SEED=${seed} run ${run} step ${step}`);
    }
  }
});

test.run();
