import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Attempts } from '../../src/attempts.ts';
import { refusalLimits } from '../../src/limits.ts';

const { maxFailures, failures_ms, maxAddresses } = refusalLimits;

function counted(): {
  attempts: Attempts;
  clock: { now_ms: number };
  fail(address: string, times: number): void;
} {
  const clock = { now_ms: 0 };
  const attempts = new Attempts(() => clock.now_ms);
  const fail = (address: string, times: number) => {
    for (let i = 0; i < times; i++) attempts.failed(address);
  };
  return { attempts, clock, fail };
}

test('an address is limited from so many failures on, for the rest of the time, and by itself', () => {
  const { attempts, clock, fail } = counted();
  fail('192.0.2.1', maxFailures - 1);
  assert.is(attempts.limited_ms('192.0.2.1'), 0);
  clock.now_ms = 1000;
  assert.is(attempts.failed('192.0.2.1'), maxFailures);
  assert.is(attempts.limited_ms('192.0.2.1'), failures_ms - 1000);
  assert.is(attempts.limited_ms('192.0.2.2'), 0);
  clock.now_ms = failures_ms;
  assert.is(attempts.limited_ms('192.0.2.1'), 0);
  assert.is(attempts.failed('192.0.2.1'), 1);
});

test('the addresses of one IPv6 subscriber are one, those of IPv4 are not', () => {
  const { attempts, fail } = counted();
  fail('2001:db8:1:2:3:4:5:6', maxFailures);
  for (const same of ['2001:db8:1:2::1', '2001:db8:1:2:ffff::', '2001:db8:1:2:0:0:0:9']) {
    assert.ok(attempts.limited_ms(same) > 0, same);
  }
  for (const other of ['2001:db8:1:3::1', '2001:db8:1::2', '::1']) assert.is(attempts.limited_ms(other), 0);
  fail('::1', maxFailures);
  assert.ok(attempts.limited_ms('::1') > 0);
  assert.is(attempts.limited_ms('::ffff:192.0.2.9'), 0);
});

test('of more addresses than it keeps the oldest are forgotten', () => {
  const { attempts, fail } = counted();
  fail('oldest', maxFailures);
  fail('next', maxFailures);
  for (let i = 0; i < maxAddresses - 1; i++) attempts.failed(`192.0.2.${i}`);
  assert.is(attempts.limited_ms('oldest'), 0);
  assert.ok(attempts.limited_ms('next') > 0);
});

test.run();
