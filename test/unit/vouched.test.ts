import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeIdentity } from '../../mesh/certificate.ts';
import { maxVouchedUsers, maxVouchers, vouchers_ms } from '../../mesh/limits.ts';
import type { Clock } from '../../mesh/ports.ts';
import { Vouched } from '../../mesh/vouched.ts';
import { fakePeer } from '../fakes/organisation.ts';

function holder() {
  const clock = { now_ms: 0 };
  const logged: string[] = [];
  const vouched = new Vouched(
    { monotonic_ms: () => clock.now_ms } as unknown as Clock,
    (level, _message, fields) => void logged.push(`${level} ${Object.values(fields ?? {}).join(' ')}`),
  );
  return { clock, logged, vouched };
}

const panel = (name: string) => ({ name, peerId: fakePeer(name) }) as unknown as NodeIdentity;

test('what a panel node vouches for is written down, and once a minute what is repeated', () => {
  const { clock, logged, vouched } = holder();
  for (let i = 0; i < 3; i++) vouched.note(panel('p1'), 'ada', 'list');
  for (let i = 0; i < 3; i++) vouched.note(panel('p1'), 'ada', { job: 'j1', prints: true });
  vouched.note(panel('p1'), 'ada', { job: 'j1', prints: false });
  vouched.note(panel('p2'), 'ada', 'list');
  const once = ['info p1 ada list', 'info p1 ada release j1', 'info p1 ada cancel j1', 'info p2 ada list'];
  assert.equal(logged, once);
  clock.now_ms += vouchers_ms;
  vouched.note(panel('p1'), 'ada', 'list');
  assert.equal(logged, [...once, 'info p1 ada list']);
});

test('it does so for so many users, and so many jobs, in a minute; others go on', () => {
  const { clock, logged, vouched } = holder();
  const list = (name: string, user: string) => () => vouched.note(panel(name), user, 'list');
  for (let i = 0; i < maxVouchedUsers; i++) list('p1', `user-${i}`)();
  assert.throws(list('p1', 'ada'), /serves too many at once/);
  assert.throws(list('p1', 'bob'), /serves too many at once/);
  assert.equal(logged.slice(maxVouchedUsers), ['warn p1']);
  list('p1', 'user-0')();
  list('p2', 'ada')();
  const release = (i: number) => () => vouched.note(panel('p2'), 'ada', { job: `j${i}`, prints: true });
  for (let i = 1; i < maxVouchers; i++) release(i)();
  assert.throws(release(maxVouchers), /serves too many at once/);
  release(1)();
  clock.now_ms += vouchers_ms;
  list('p1', 'ada')();
  release(maxVouchers)();
});

test.run();
