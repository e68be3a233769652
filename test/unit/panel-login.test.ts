import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { directoryDoc } from '../../mesh/facts.ts';
import { newPanelKey } from '../../mesh/panel-key.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { panelLimits } from '../../src/limits.ts';
import { failedKind, lockedKind, verifiersOf } from '../../src/panel/lock.ts';
import type { PanelLogin, ShownAtPanel } from '../../src/panel/login.ts';
import { newPin, outdated, pinKind, pinOf } from '../../src/panel/verifier.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { fakePanel } from '../fakes/panel.ts';

const minute_ms = 60_001;
const panel = await fakePanel();
const { ledger, verifiers, noted, clock } = panel;
await verifiers.setPin('ada', 'kl4vier');
await verifiers.setPin('bob', '739402');
await verifiers.setBadge('bob', '04:a2:2f');

/** The user, or why not. Each attempt is a minute after the one before. */
async function tries(shown: ShownAtPanel, login: PanelLogin = panel.login): Promise<string> {
  clock.now_ms += minute_ms;
  let user = '';
  const refusal = await refusalOf(async () => ({ user } = await login.login(shown, '192.0.2.7')));
  return refusal === '' ? user : refusal.replace(/:.*/, '');
}

test('a PIN is its user’s, however it is typed, and nobody else’s', async () => {
  assert.is(await tries({ name: 'ada', pin: 'kl4vier' }), 'ada');
  assert.is(await tries({ name: ' ada ', pin: ' KL4VIER ' }), 'ada');
  assert.is(await tries({ name: 'bob', pin: 'kl4vier' }), 'unauthenticated');
  assert.is(await tries({ name: 'bob', pin: '739402' }), 'bob');
  assert.is(noted.filter((line) => line === 'asked ada login at a panel by PIN').length, 2);
});

test('a badge finds its user, and is one user’s only', async () => {
  assert.is(await tries({ badge: '04:A2:2F\n' }), 'bob');
  assert.is(await tries({ badge: '04:a2:30' }), 'unauthenticated');
  assert.match(await refusalOf(() => verifiers.setBadge('ada', '04:A2:2f')), /^conflict/);
  await verifiers.setBadge('bob', '99', true);
  assert.is(await tries({ badge: '04:a2:2f' }), 'unauthenticated', 'a new badge replaces the old one');
  assert.is(await tries({ badge: '99' }), 'bob');
  await verifiers.removeBadge('bob');
  assert.is(await tries({ badge: '99' }), 'unauthenticated');
});

test('what is stored says nothing without the key of panel nodes, not even that two PINs are the same', async () => {
  await verifiers.setPin('carl', 'kl4vier');
  const [ada, carl] = [pinOf(ledger, 'ada')!, pinOf(ledger, 'carl')!];
  assert.not.equal(ada.tag, carl.tag);
  assert.not.equal(ada.salt, carl.salt);
  const { keys } = panel;
  panel.keys = [newPanelKey(1)];
  assert.match(await refusalOf(() => verifiers.isPin('kl4vier', ada, 'ada')), /^unavailable/);
  panel.keys = keys;
  assert.ok(await verifiers.isPin('kl4vier', ada, 'ada'));
  assert.not(await verifiers.isPin('kl4vier', ada, 'carl'), 'a fact about one user says nothing of another');
});

test('a PIN under a key that has not come yet is not looked at, nor counted', async () => {
  const { keys } = panel;
  panel.keys = [newPanelKey(1)];
  const login = panel.again();
  for (let i = 0; i <= panelLimits.maxFailures; i++) {
    assert.is(await tries({ name: 'carl', pin: 'kl4vier' }, login), 'unavailable');
  }
  panel.keys = keys;
  assert.is(await tries({ name: 'carl', pin: 'kl4vier' }, login), 'carl');
  assert.is(ledger.about(failedKind.name, 'carl').length, 0);
});

test('what is kept under an earlier key goes on to hold, and what is new comes under the newest', async () => {
  const exposed = () => outdated({ ledger, panel: { keys: () => panel.keys } });
  assert.is(exposed(), 0);
  panel.keys = [newPanelKey(Date.now() + 1), ...panel.keys];
  assert.is(exposed(), 3, 'ada, bob and carl');
  assert.is(await tries({ name: 'ada', pin: 'kl4vier' }), 'ada');
  await verifiers.setPin('carl', 'n3uer-pin');
  assert.is(pinOf(ledger, 'carl')?.key.toHex(), panel.keys[0]?.id);
  assert.is(exposed(), 2);
  assert.is(await tries({ name: 'carl', pin: 'n3uer-pin' }), 'carl');
  assert.is(await tries({ name: 'carl', pin: 'kl4vier' }), 'unauthenticated');
});

test('an unknown user, one without a PIN and one with another are answered alike, and in the same time', async () => {
  await verifiers.setPin('dora', 'w1nter-5');
  const answers: string[] = [];
  const times: number[] = [];
  for (const name of ['dora', 'nobody', 'eve', '../etc', '']) {
    clock.now_ms += minute_ms;
    const start_ms = performance.now();
    answers.push(await refusalOf(() => panel.login.login({ name, pin: 'x'.repeat(8) }, '192.0.2.8')));
    times.push(performance.now() - start_ms);
  }
  assert.is(new Set(answers).size, 1, answers.join('\n'));
  for (const time_ms of times) assert.ok(time_ms >= panelLimits.refusal_ms - 5, String(time_ms));
  assert.ok(noted.some((line) => line === 'refused dora at a panel: wrong PIN'));
  assert.ok(
    noted.every((line) => !/nobody|etc/.test(line)),
    'what is no user may be a PIN in the wrong field',
  );
});

test('ten wrong PINs lock a user by a fact; the right one and the badge do not help, a new PIN does', async () => {
  await verifiers.setPin('fay', 'fr0hsinn');
  await verifiers.setBadge('fay', '77', true);
  const earlier = await panel.login.login({ badge: '77' }, '192.0.2.7');
  assert.ok(panel.login.mayStay(earlier));
  for (let i = 0; i < panelLimits.maxFailures; i++) {
    assert.is(verifiersOf(ledger, 'fay').locked, null, String(i));
    assert.is(await tries({ name: 'fay', pin: `guess-${i}` }), 'unauthenticated');
  }
  assert.is(await tries({ name: 'fay', pin: 'fr0hsinn' }), 'forbidden');
  assert.is(await tries({ badge: '77' }), 'forbidden');
  assert.is(await tries({ name: 'fay', pin: 'fr0hsinn' }, panel.again()), 'forbidden', 'after a restart too');
  assert.not(panel.login.mayStay(earlier));
  assert.ok(verifiersOf(ledger, 'fay').locked);
  assert.is(ledger.about(lockedKind.name, 'fay').length, 1);
  assert.ok(noted.includes('refused fay at a panel: wrong PIN: locked'));
  await verifiers.setPin('fay', 'fr0hsinn');
  assert.is(verifiersOf(ledger, 'fay').locked, null);
  assert.is(await tries({ name: 'fay', pin: 'fr0hsinn' }), 'fay');
});

test('a name that is no user’s is locked in the same way', async () => {
  for (let i = 0; i < panelLimits.maxFailures; i++) {
    assert.is(await tries({ name: 'ghost', pin: `guess-${i}` }), 'unauthenticated');
  }
  assert.is(await tries({ name: 'ghost', pin: 'guess' }), 'forbidden');
});

test('what failed before a restart counts, and the right PIN clears it', async () => {
  await verifiers.setPin('gil', 'g0ldfisch');
  for (let i = 0; i < 6; i++) await tries({ name: 'gil', pin: `guess-${i}` });
  const other = panel.again();
  for (let i = 6; i < 9; i++) {
    assert.is(await tries({ name: 'gil', pin: `guess-${i}` }, other), 'unauthenticated');
  }
  assert.is(await tries({ name: 'gil', pin: 'g0ldfisch' }, other), 'gil');
  assert.equal(ledger.latest(failedKind.name, 'gil')?.body, { pin: pinOf(ledger, 'gil')?.salt, failures: 0 });
  const third = panel.again();
  for (let i = 0; i < 2; i++) {
    assert.is(await tries({ name: 'gil', pin: `guess-${i}` }, third), 'unauthenticated');
  }
  assert.is(await tries({ name: 'gil', pin: 'g0ldfisch' }, third), 'gil');
});

test('many at once are no more than one after the other', async () => {
  await verifiers.setPin('hal', 'h3rbst-1');
  const login = panel.again();
  const guess = (i: number) =>
    refusalOf(() => login.login({ name: 'hal', pin: `guess-${i}` }, `192.0.2.${i + 20}`));
  const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => guess(i)));
  const looked = answers.filter((answer) => answer.startsWith('unauthenticated'));
  assert.is(looked.length, panelLimits.maxFailures, answers.join('\n'));
  assert.ok(verifiersOf(ledger, 'hal').locked);
  const badges = await Promise.all(
    ['1', '2', '3'].map((badge) => refusalOf(() => login.login({ badge }, '198.51.100.7'))),
  );
  assert.equal(badges.map((answer) => answer.replace(/:.*/, '')), ['unauthenticated', 'busy', 'busy']);
});

test('who guesses fast has to wait: about one user from many panels, or about many at one', async () => {
  await verifiers.setPin('ida', 'ig3l-99');
  const login = panel.again();
  const guess = (name: string, address: string) =>
    refusalOf(() => login.login({ name, pin: 'not-this-1' }, address));
  for (let i = 0; i < panelLimits.failuresPerMinute; i++) await guess('ida', `192.0.2.${i}`);
  assert.match(await guess('ida', '192.0.2.99'), /^busy: .*wait for \d+ s/);
  for (let i = 0; i < panelLimits.panelFailuresPerMinute; i++) {
    assert.match(await guess(`user-${i}`, '198.51.100.1'), /^unauthenticated/);
  }
  const right = () => login.login({ name: 'bob', pin: '739402' }, '198.51.100.1');
  assert.match(await refusalOf(right), /^busy/, 'the right one too, or it would tell itself');
  clock.now_ms += minute_ms;
  assert.is((await right()).user, 'bob');
});

test('who has another PIN or badge since does not stay by the one before', async () => {
  await verifiers.setPin('kim', 'k1rsche-3');
  await verifiers.setBadge('kim', '04:a2:55');
  const [pin, badge] = [{ name: 'kim', pin: 'k1rsche-3' }, { badge: '04:a2:55' }];
  const login = panel.again();
  const enters = async (shown: ShownAtPanel) => await login.login(shown, '192.0.2.9');
  const byPin = await enters(pin);
  const byBadge = await enters(badge);
  await verifiers.setPin('kim', 'k1rsche-4');
  assert.equal([byPin, byBadge].map((who) => login.mayStay(who)), [false, true]);
  await verifiers.removeBadge('kim');
  assert.not(login.mayStay(byBadge));
  assert.ok(login.mayStay(await enters({ ...pin, pin: 'k1rsche-4' })));
});

test('who is revoked, or whose PIN was taken back, is nobody', async () => {
  await verifiers.setPin('jan', 'j4nuar-1');
  await verifiers.setBadge('jan', '04:a2:66');
  await ledger.state(revokedKind, () => directoryDoc, revocationOf('user', 'jan'), {});
  assert.is(await tries({ badge: '04:a2:66' }), 'unauthenticated');
  assert.ok(noted.includes('refused jan at a panel: badge of a revoked user'));
  await verifiers.setBadge('lea', '04:a2:66');
  assert.is(await tries({ badge: '04:a2:66' }), 'lea', 'the card is another’s now');
  assert.is(await tries({ name: 'jan', pin: 'j4nuar-1' }), 'unauthenticated');
  await verifiers.removePin('ada');
  assert.is(await tries({ name: 'ada', pin: 'kl4vier' }), 'unauthenticated');
});

test('a short badge is one that is said to be short', async () => {
  for (const badge of ['1', '1234567', ' 1234567 ']) {
    assert.match(await refusalOf(() => verifiers.setBadge('bob', badge)), /^bad-request: .*--short/);
  }
  await verifiers.setBadge('bob', '12345678');
  await verifiers.setBadge('bob', '7', true);
  assert.match(await refusalOf(() => verifiers.setBadge('bob', '', true)), /^bad-request/);
});

test('panels of one IPv6 network wait each for itself, but of unknown badges a node looks at so many in all', async () => {
  const login = panel.again();
  const shows = (badge: string, i: number) => refusalOf(() => login.login({ badge }, `2001:db8::${i}`));
  for (let i = 0; i < panelLimits.unknownBadgesPerMinute / 5; i++) {
    const answers = await Promise.all([1, 2, 3, 4, 5].map((panel) => shows(`badge-${i}`, panel)));
    assert.ok(answers.every((answer) => answer.startsWith('unauthenticated')), String(i));
  }
  assert.match(await shows('badge', 9), /^busy/);
  assert.match(await shows('7', 9), /^busy/, 'the right one too, or it would tell itself');
  const pin = () => login.login({ name: 'bob', pin: '739402' }, '2001:db8::9');
  assert.is((await pin()).user, 'bob', 'PINs are looked at');
  clock.now_ms += minute_ms;
  assert.is(await shows('7', 9), '');
});

test('PINs have at least six characters, and generated ones are in the alphabet', async () => {
  for (const pin of ['12345', '', '      7', '111111', '121212']) {
    assert.match(await refusalOf(() => verifiers.setPin('bob', pin)), /^bad-request/);
  }
  const pins = Array.from({ length: 200 }, newPin);
  for (const pin of pins) assert.match(pin, /^[2-9A-HJKMNP-Z]{6}$/);
  assert.ok(new Set(pins).size > 195);
  assert.is(ledger.about(pinKind.name, 'bob').length, 1);
});

test.run();
