import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { panelLimits } from '../../src/limits.ts';
import type { ShownAtPanel } from '../../src/panel/login.ts';
import { Sessions } from '../../src/release/session.ts';
import { fakePeer, refusalOf } from '../fakes/organisation.ts';

const here = '192.0.2.7';
const shutOut = new Set<string>();
const asked: unknown[] = [];
const clock = { now_ms: 0 };
const sessions = () =>
  new Sessions({
    mesh: {
      self: { peerId: fakePeer('P') },
      panel: {
        voucher: (voucher: unknown) => {
          asked.push(voucher);
          return Promise.resolve(new Uint8Array([1]));
        },
        view: (user: string) => Promise.resolve(`panel:${user}`),
      },
    } as unknown as ConstructorParameters<typeof Sessions>[0]['mesh'],
    login: {
      login: (shown: ShownAtPanel) =>
        'name' in shown && shown.pin === 'right'
          ? Promise.resolve({ user: shown.name, by: 'salt' })
          : Promise.reject(new InkmeshError('unauthenticated', 'wrong')),
      mayStay: ({ user, by }) => by === 'salt' && !shutOut.has(user),
    },
    now_ms: () => clock.now_ms,
  });
const login = (at: Sessions, name = 'ada') => at.login({ name, pin: 'right' }, here);

test('a session is its user’s, at the panel where it began, under a token that nobody guesses', async () => {
  const at = sessions();
  const token = await login(at);
  assert.match(token, /^[\w-]{43}$/);
  assert.equal(at.visitor(token, here), { user: 'ada', via: 'panel' });
  assert.is(at.visitor(token, '192.0.2.8'), undefined);
  assert.is(at.visitor('', here), undefined);
  assert.is(at.visitor(token.slice(1), here), undefined);
  assert.is.not(await login(at), token);
  assert.match(await refusalOf(() => at.login({ badge: '1' }, here)), /^unauthenticated/);
});

test('it ends when nothing is done, when it has lasted long enough, by logging out, and when the user is shut out', async () => {
  const at = sessions();
  const idle = await login(at);
  clock.now_ms += panelLimits.idle_ms;
  assert.is(at.visitor(idle, here), undefined);
  const busy = await login(at);
  for (let ms = 0; ms < panelLimits.session_ms; ms += 50_000) {
    assert.ok(at.visitor(busy, here), String(ms));
    clock.now_ms += 50_000;
  }
  assert.is(at.visitor(busy, here), undefined);
  const abandoned = await login(at);
  clock.now_ms += panelLimits.idle_ms - 1;
  assert.ok(at.visitor(abandoned, here, 'page'), 'a page that asks by itself sees it');
  clock.now_ms += 1;
  assert.is(at.visitor(abandoned, here, 'page'), undefined, 'and does not make it last');
  const left = await login(at);
  at.logout(left);
  assert.is(at.visitor(left, here), undefined);
  const revoked = await login(at, 'eve');
  shutOut.add('eve');
  assert.is(at.visitor(revoked, here), undefined);
  shutOut.delete('eve');
  assert.is(at.visitor(revoked, here), undefined, 'it does not come back');
});

test('it has the panel node vouch for its own user only', async () => {
  const at = sessions();
  const token = await login(at);
  const job = newJobId(fakePeer('A'));
  const wish = { job, printer: 'printer-a', options: new Uint8Array(0), confirm: [] };
  assert.equal(await at.permission(token, here, wish), { voucher: new Uint8Array([1]) });
  await at.permission(token, here, { ...wish, printer: '' });
  const common = { user: 'ada', job, claimant: fakePeer('P'), options: wish.options, confirm: [] };
  assert.equal(asked, [
    { ...common, action: 'release', target: 'printer-a' },
    { ...common, action: 'cancel', target: '' },
  ]);
  assert.is(await at.proof(token, here), 'panel:ada');
  at.logout(token);
  assert.match(await refusalOf(() => at.permission(token, here, wish)), /^unauthenticated/);
  assert.match(await refusalOf(() => at.proof(token, here)), /^unauthenticated/);
});

test('one user has few at a time, and all have so many', async () => {
  const at = sessions();
  const tokens: string[] = [];
  for (let i = 0; i <= panelLimits.maxSessionsPerUser; i++) tokens.push(await login(at));
  assert.is(at.visitor(tokens[0]!, here), undefined);
  assert.ok(tokens.slice(1).every((token) => at.visitor(token, here)));
  for (let i = 0; i < panelLimits.maxSessions; i++) await login(at, `user-${i}`);
  assert.ok(tokens.every((token) => at.visitor(token, here) === undefined));
});

test.run();
