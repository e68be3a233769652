/** Panel nodes: who has the keys of badges and PINs, who vouches for whom, and what holders make of it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { directoryDoc, jobsDoc } from '../../mesh/facts.ts';
import { panelKeyKind } from '../../mesh/panel-key.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { signVoucher } from '../../mesh/voucher.ts';
import { panelLimits } from '../../src/limits.ts';
import { failedKind, lockedKind, lockedSince } from '../../src/panel/lock.ts';
import { PanelLogin } from '../../src/panel/login.ts';
import { pinKind, pinOf, Verifiers } from '../../src/panel/verifier.ts';
import { Sessions } from '../../src/release/session.ts';
import { Jobs } from '../../src/release/jobs.ts';
import { encode } from '../../mesh/codec.ts';
import {
  collect,
  type FakeMesh,
  type FakeNode,
  patience_ms,
  startMesh,
  store,
  untilErased,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

let mesh: FakeMesh;
let registrar: FakeNode;
let plain: FakeNode;
let panel: FakeNode;
let other: FakeNode;
let elsewhere: FakeNode;

test.before(async () => {
  mesh = await startMesh(2);
  [registrar, plain] = mesh.nodes as [FakeNode, FakeNode];
});

test.after(async () => await mesh.stop());

const keysOf = (node: FakeNode) => node.mesh.panel.keys().map(({ id }) => id);

/** Resolves when these all have the same keys, so many. */
async function shared(nodes: readonly FakeNode[], count: number): Promise<string[]> {
  return await waitFor(() => {
    const [one, ...others] = nodes.map(keysOf);
    const same = one?.length === count && others.every((each) => each.join() === one.join());
    return same ? one : undefined;
  }, { deadline_ms: patience_ms, what: `${count} keys at ${nodes.map(({ name }) => name).join(', ')}` });
}

const verifiersAt = (node: FakeNode) => new Verifiers(node.mesh, mesh.authority.trust.fingerprint);
const noted: string[] = [];
const audit = { record: ({ detail }: { detail: string }) => void noted.push(detail) };

/** A panel node's own, by a clock of the test's. */
function desk(node: FakeNode) {
  const clock = { now_ms: 0 };
  const verifiers = verifiersAt(node);
  const login = new PanelLogin({ mesh: node.mesh, verifiers, audit, now_ms: () => clock.now_ms });
  return { clock, login, sessions: new Sessions({ mesh: node.mesh, login }), jobs: new Jobs(node.mesh) };
}

const at = '192.0.2.7';

test('there are no keys before there is a panel node', async () => {
  assert.equal(keysOf(registrar), []);
  assert.match(
    await refusalOf(() => verifiersAt(registrar).setPin('ada', 'kl4vier')),
    /^unavailable: .*--role panel/,
  );
});

test('panel nodes of all sites get one key, and so do registrars; no other node', async () => {
  panel = await mesh.add('p1', { roles: ['panel'] });
  const [key] = await shared([registrar, panel], 1);
  other = await mesh.add('p2', { roles: ['panel', 'front'] });
  elsewhere = await mesh.add('b1', { site: 'b', roles: ['panel'] });
  assert.equal(await shared([registrar, panel, other, elsewhere], 1), [key]);
  assert.equal(keysOf(plain), []);
});

test('a registrar that comes later is given the keys, and sets PINs that hold everywhere', async () => {
  const second = await mesh.add('r2', { roles: ['registrar'], authority: mesh.authority });
  await shared([registrar, panel, second], 1);
  await verifiersAt(second).setPin('bob', 'h4fen-22');
  await untilKnown(mesh.nodes, pinKind.name, 'bob');
  assert.is((await desk(elsewhere).login.login({ name: 'bob', pin: 'h4fen-22' }, at)).user, 'bob');
  await mesh.drop(second);
});

test('a PIN set at the registrar is known at every panel node, also while the registrar is away', async () => {
  await verifiersAt(registrar).setPin('ada', 'kl4vier');
  await untilKnown(mesh.nodes, pinKind.name, 'ada');
  await registrar.stop();
  try {
    for (const node of [panel, other, elsewhere]) {
      assert.is((await desk(node).login.login({ name: 'ada', pin: 'kl4vier' }, at)).user, 'ada', node.name);
    }
    assert.match(
      await refusalOf(() => desk(plain).login.login({ name: 'ada', pin: 'kl4vier' }, at)),
      /^forbidden/,
    );
    const checked = () => verifiersAt(plain).isPin('kl4vier', pinOf(plain.mesh.ledger, 'ada'), 'ada');
    assert.match(await refusalOf(checked), /^unavailable/);
  } finally {
    await registrar.start();
    await mesh.connected();
  }
});

test('who has shown the PIN lists, prints and cancels what is theirs at the panel, and nothing else', async () => {
  const { sessions, jobs } = desk(panel);
  const [ada, eve] = [await user(mesh, 'ada'), await user(mesh, 'eve')];
  const ticket = encode({ title: 'Letter', format: 'application/pdf', options: {} });
  const mine = await store(mesh, plain, { owner: ada, ticket });
  const second = await store(mesh, plain, { owner: ada, ticket });
  const theirs = await store(mesh, plain, { owner: eve, ticket });
  const token = await sessions.login({ name: 'ada', pin: 'kl4vier' }, at);
  const listed = await jobs.of('ada', await sessions.proof(token, at));
  assert.equal(listed.map(({ id, title }) => [id, title]), [[second.id, 'Letter'], [mine.id, 'Letter']]);
  const hidden = await jobs.of('eve', await sessions.proof(token, at));
  assert.equal(hidden.map(({ title }) => title), [null], 'holders show whose tickets they are');

  const options = new Uint8Array(0);
  const wish = (job: string, printer: string) =>
    sessions.permission(token, at, { job, printer, options, confirm: [] });
  const claim = async (job: string, printer: string) =>
    await panel.mesh.claimant.claim(job, await wish(job, printer), printer);
  assert.match(await refusalOf(() => claim(theirs.id, 'printer-a')), /^forbidden/);
  assert.match(
    await refusalOf(async () => {
      const permission = await wish(mine.id, 'printer-a');
      return plain.mesh.claimant.claim(mine.id, permission, 'printer-a');
    }),
    /^forbidden/,
    'the voucher is for the panel node alone',
  );
  const said = () =>
    mesh.nodes.flatMap(({ logged }) => logged).filter((line) => line.includes('has vouched'));
  const printing = await claim(mine.id, 'printer-a');
  const [line = ''] = said().filter((one) => one.includes(mine.id));
  for (const word of ['"p1"', '"ada"', '"release"']) assert.ok(line.includes(word), line);
  assert.ok(said().some((one) => one.includes('"eve"') === false && one.includes('"list"')));
  assert.not(said().some((one) => one.includes(theirs.id)), 'what is not given is not counted');
  await printing.begin();
  assert.ok((await collect(printing.document())).equals(mine.document));
  await printing.settle('printed');
  await untilErased(mine.holders, mine.id);
  const cancelling = await claim(second.id, '');
  await cancelling.begin();
  await cancelling.settle('cancelled');
  await untilErased(second.holders, second.id);
});

test('a node without the role vouches for nobody, whatever it signs', async () => {
  const ada = await user(mesh, 'ada');
  const job = await store(mesh, plain, { owner: ada });
  const { identity, issuers, key } = plain.keys;
  const voucher = await signVoucher({ certificate: identity.der, issuers, key }, {
    ...{ user: 'ada', job: job.id, claimant: plain.peer, action: 'release', target: 'printer-a' },
    ...{ options: new Uint8Array(0), confirm: [] },
  }, plain.mesh.now_ms());
  const claimed = () => plain.mesh.claimant.claim(job.id, { voucher }, 'printer-a');
  assert.match(await refusalOf(claimed), /^forbidden: .*role panel/);
});

test('wrong PINs at several panel nodes lock the user at all of them, until there is a new PIN', async () => {
  await verifiersAt(registrar).setPin('fay', 'fr0hsinn');
  await untilKnown(mesh.nodes, pinKind.name, 'fay');
  const [first, second] = [desk(panel), desk(elsewhere)];
  const guess = async ({ clock, login }: ReturnType<typeof desk>, pin: string) => {
    clock.now_ms += 60_001;
    return (await refusalOf(() => login.login({ name: 'fay', pin }, at))).replace(/:.*/, '');
  };
  for (let i = 0; i < 6; i++) assert.is(await guess(first, `guess-${i}`), 'unauthenticated');
  const facts = () => elsewhere.mesh.ledger.about('pin-failed', 'fay').length === 6 || undefined;
  await waitFor(facts, { deadline_ms: patience_ms, what: 'the other panel node to have heard' });
  for (let i = 6; i < panelLimits.maxFailures; i++) {
    assert.is(await guess(second, `guess-${i}`), 'unauthenticated');
  }
  await untilKnown([panel, other, elsewhere], lockedKind.name, 'fay');
  for (const node of [panel, other, elsewhere]) assert.is(await guess(desk(node), 'fr0hsinn'), 'forbidden');
  await verifiersAt(registrar).setPin('fay', 'fr0hsinn');
  const unlocked = () => lockedSince(other.mesh.ledger, 'fay') === undefined || undefined;
  await waitFor(unlocked, { deadline_ms: patience_ms, what: 'the new PIN to be known' });
  assert.is(await guess(desk(other), 'fr0hsinn'), '');
});

/** One wrong PIN more, or several, as a panel node says that there were. */
async function failed(node: FakeNode, name: string, failures: number): Promise<void> {
  const { ledger, self } = node.mesh;
  const pin = pinOf(ledger, name)!.salt;
  await ledger.state(failedKind, (time_ms) => jobsDoc(self.site, time_ms), name, { pin, failures });
}

test('who is locked by what several panel nodes have counted together is said to be, and a new PIN ends it', async () => {
  await verifiersAt(registrar).setPin('gil', 'g0ldfisch');
  await untilKnown(mesh.nodes, pinKind.name, 'gil');
  await failed(panel, 'gil', 5);
  await failed(elsewhere, 'gil', 5);
  const both = () => other.mesh.ledger.about('pin-failed', 'gil').length === 2 || undefined;
  await waitFor(both, { deadline_ms: patience_ms, what: 'both to be heard' });
  assert.is(lockedSince(other.mesh.ledger, 'gil'), undefined);
  assert.match(
    await refusalOf(() => desk(other).login.login({ name: 'gil', pin: 'g0ldfisch' }, at)),
    /^forbidden/,
  );
  await untilKnown(mesh.nodes, lockedKind.name, 'gil');
  assert.ok(lockedSince(registrar.mesh.ledger, 'gil'));
});

test('only registrars state PINs and keys, and only panel nodes state locks', async () => {
  const { ledger } = plain.mesh;
  const pin = pinOf(ledger, 'fay')!;
  const refused = [
    () => ledger.state(pinKind, () => directoryDoc, 'fay', pin),
    () => ledger.state(lockedKind, () => directoryDoc, 'fay', { pin: pin.salt }),
    () => ledger.state(panelKeyKind, () => directoryDoc, 'a', { for: [], sealed: new Uint8Array(1) }),
    () => panel.mesh.ledger.state(pinKind, () => directoryDoc, 'fay', pin),
  ];
  for (const state of refused) assert.match(await refusalOf(state), /^forbidden/);
});

test('when a panel node is revoked it vouches no more, and there is a key that it does not have', async () => {
  const before = keysOf(other);
  await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf('node', panel.peer), {});
  const [newest] = await shared([registrar, other, elsewhere], 2);
  assert.not(before.includes(newest!));
  assert.not(keysOf(panel).includes(newest!));
  const job = await store({ ...mesh, nodes: [registrar, plain, other, elsewhere] }, plain, {
    owner: await user(mesh, 'ada'),
  });
  const { identity, issuers, key } = panel.keys;
  const voucher = await signVoucher({ certificate: identity.der, issuers, key }, {
    ...{ user: 'ada', job: job.id, claimant: plain.peer, action: 'release', target: 'printer-a' },
    ...{ options: new Uint8Array(0), confirm: [] },
  }, plain.mesh.now_ms());
  const claimed = () => plain.mesh.claimant.claim(job.id, { voucher }, 'printer-a');
  assert.match(await refusalOf(claimed), /^forbidden: .*revoked/);
  // what is kept under the old key goes on to hold
  assert.is((await desk(other).login.login({ name: 'ada', pin: 'kl4vier' }, at)).user, 'ada');
});

test('the only panel node of its site is revoked: what is given out from then on it cannot try, and its locks go', async () => {
  const shutOut = keysOf(elsewhere);
  await verifiersAt(registrar).setPin('hal', 'h3rbst-1');
  await untilKnown([other, elsewhere], pinKind.name, 'hal');
  const pin = pinOf(elsewhere.mesh.ledger, 'hal')!.salt;
  await elsewhere.mesh.ledger.state(lockedKind, () => directoryDoc, 'hal', { pin });
  await failed(elsewhere, 'hal', panelLimits.maxFailures);
  await untilKnown([registrar, other], lockedKind.name, 'hal');
  await untilKnown([registrar, other], failedKind.name, 'hal');
  assert.ok(lockedSince(other.mesh.ledger, 'hal'));
  const revoked = revocationOf('node', elsewhere.peer);
  await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, revoked, {});
  // in the same moment
  await verifiersAt(registrar).setPin('ida', 'ig3l-99');
  assert.not(shutOut.includes(pinOf(registrar.mesh.ledger, 'ida')!.key.toHex()));
  await untilKnown([other], revokedKind.name, revoked);
  await untilKnown([other], pinKind.name, 'ida');
  const [newest] = await shared([registrar, other], 3);
  assert.not(keysOf(elsewhere).includes(newest!));
  assert.is(lockedSince(other.mesh.ledger, 'hal'), undefined);
  for (const [name, shown] of [['hal', 'h3rbst-1'], ['ida', 'ig3l-99']] as const) {
    assert.is((await desk(other).login.login({ name, pin: shown }, at)).user, name);
  }
});

test.run();
