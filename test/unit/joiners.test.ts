/** How much a cloud node lets through for who is no member. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Joiners } from '../../mesh/joiners.ts';
import {
  joinerLife_ms,
  joinersInTime_ms,
  maxJoinerBytes,
  maxJoiners,
  maxJoinersInTime,
  maxJoinersOfAddressInTime,
  maxJoinersPerAddress,
} from '../../mesh/limits.ts';
import { stillClock } from '../fakes/still-clock.ts';

const never = () => assert.unreachable('it was ended');

test('so many at a time, in all and of one address', () => {
  const joiners = new Joiners(stillClock());
  const begun = Array.from({ length: maxJoinersPerAddress }, () => joiners.begin('one', never));
  assert.is(joiners.refusal('one'), 'address');
  assert.is(joiners.refusal('another'), undefined);
  begun[0]?.ended();
  assert.is(joiners.refusal('one'), undefined);
  for (let n = begun.length; n <= maxJoiners; n++) joiners.begin(`host ${n}`, never);
  assert.is(joiners.refusal('another'), 'full');
  assert.is(joiners.count, maxJoiners + 1);
});

test('so many in a minute, in all and of one address', () => {
  const clock = stillClock();
  const joiners = new Joiners(clock);
  for (let n = 0; n < maxJoinersOfAddressInTime; n++) joiners.begin('one', never).ended();
  assert.is(joiners.refusal('one'), 'address');
  for (let n = maxJoinersOfAddressInTime; n < maxJoinersInTime; n++) {
    joiners.begin(`host ${n}`, never).ended();
  }
  assert.is(joiners.refusal('another'), 'full');
  clock.pass(joinersInTime_ms + 1);
  assert.is(joiners.refusal('one'), undefined);
});

test('each for so long, and so many octets', () => {
  const clock = stillClock();
  const joiners = new Joiners(clock);
  const ends: string[] = [];
  const end = ({ message }: Error) => void ends.push(message);
  const much = joiners.begin('one', end);
  much.carried(maxJoinerBytes);
  assert.equal(ends, []);
  much.carried(1);
  much.ended();
  joiners.begin('one', end);
  clock.pass(joinerLife_ms);
  assert.equal(ends, ['more than joining takes', 'joining takes too long']);
});

test.run();
