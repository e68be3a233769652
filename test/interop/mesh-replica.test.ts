import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as Y from 'yjs';
import { encode } from '../../mesh/codec.ts';
import { type Fact, jobsDoc, signFact } from '../../mesh/facts.ts';
import { maxUpdateBytes } from '../../mesh/limits.ts';
import { Directory } from '../../src/directory.ts';
import { State } from '../../src/state.ts';
import {
  certifiedNode,
  type FakeMesh,
  type FakeNode,
  type NodeKeys,
  patience_ms,
  startMesh,
  store,
  type Stored,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { answerTo, type Rogue, startInsider } from '../fakes/rogue.ts';

const hour_ms = 3600_000;

let mesh: FakeMesh;
let a1: FakeNode;
let ada: Stored['owner'];

test.before.each(async () => {
  mesh = await startMesh(3);
  [a1] = mesh.nodes as [FakeNode];
  ada = await user(mesh, 'ada');
});

test.after.each(async () => await mesh.stop());

const jobIds = (node: FakeNode) => node.mesh.ledger.all('job').map(({ subject }) => subject).sort();

/** A member that follows no rule, for as long as `body` takes. */
async function withInsider(body: (insider: Rogue, keys: NodeKeys) => Promise<void>): Promise<void> {
  const keys = await certifiedNode(mesh.authority, { name: 'insider' });
  const insider = await startInsider(keys, mesh.nodes);
  try {
    await body(insider, keys);
  } finally {
    await insider.stop();
  }
}

/** Starts a node that knows of `source` alone, all others being down, and gives what it learns of jobs. */
async function learnedFrom(source: FakeNode, expected: string[]): Promise<void> {
  const heir = await mesh.add(`heir-${crypto.randomUUID().slice(0, 8)}`, { peers: [source.address] });
  await waitFor(() => jobIds(heir).length >= expected.length || undefined, {
    deadline_ms: patience_ms,
    what: `a new node to learn from ${source.name}`,
  });
  assert.equal(jobIds(heir), expected.toSorted());
  assert.ok(heir.mesh.ledger.nodes().length >= 4, 'it knows the certificates too');
  await mesh.drop(heir);
}

test('facts reach every node, those of another site and those that hold nothing included', async () => {
  await mesh.add('a4');
  await mesh.add('b1', { site: 'b' });
  await mesh.connected();
  await new Directory(a1.mesh).addUser('ada', 'ada@example.org');
  await untilKnown(mesh.nodes, 'user', 'ada');
  // each the first of its document: there is nothing that it could ride on
  for (const node of mesh.nodes) {
    const { id } = await store(mesh, node, { owner: ada });
    assert.equal(mesh.nodes.map(({ mesh }) => mesh.ledger.about('job', id).length), [1, 1, 1, 1, 1]);
  }
});

test('a node that was down catches up when it comes back', async () => {
  const late = await mesh.add('a4');
  await mesh.connected();
  await late.stop();
  const jobs = [await store(mesh, a1, { owner: ada }), await store(mesh, a1, { owner: ada })];
  await new Directory(a1.mesh).addUser('eve', undefined);
  await late.start();
  await mesh.connected();
  for (const { id } of jobs) await untilKnown([late], 'job', id);
  await untilKnown([late], 'user', 'eve');
});

test('what two parts of the mesh state apart from each other meets when they do', async () => {
  const [, a2, a3] = mesh.nodes as [FakeNode, FakeNode, FakeNode];
  await Promise.all([a2.stop(), a3.stop()]);
  await new Directory(a1.mesh).addUser('eve', undefined);
  await a1.stop();
  await Promise.all([a2.start(), a3.start()]);
  const time_ms = Date.now();
  await a1.start();
  await mesh.connected();
  await untilKnown(mesh.nodes, 'user', 'eve');
  const job = await store(mesh, a2, { owner: ada });
  assert.ok(job.fact.time_ms >= time_ms);
});

const damages: Record<string, (state: State) => void> = {
  'its snapshots are as they were': () => {},
  'its snapshots are gone': (state) => void state.run('DELETE FROM snapshots'),
  'its snapshots are damaged': (state) => void state.run('UPDATE snapshots SET state = ?', randomBytes(200)),
  'its snapshots are cut off': (state) => void state.run('UPDATE snapshots SET state = substr(state, 1, 50)'),
  'its snapshots are empty': (state) => void state.run("UPDATE snapshots SET state = x''"),
};
for (const [name, damage] of Object.entries(damages)) {
  test(`a node that restarts has every fact and gives it on: ${name}`, async () => {
    const a3 = mesh.nodes[2] as FakeNode;
    const jobs = [await store(mesh, a1, { owner: ada }), await store(mesh, a3, { owner: ada })];
    const ids = jobs.map(({ id }) => id);
    for (const node of mesh.nodes) await node.stop();
    const state = new State(a3.dir);
    assert.ok(state.rows('SELECT * FROM snapshots').length >= 2);
    damage(state);
    state.close();
    await a3.start();
    assert.equal(jobIds(a3), ids.toSorted());
    await learnedFrom(a3, ids);
  });
}

/** Entries for a document, by key. */
type Entries = Record<string, unknown>;

function updateOf(entries: Entries): Uint8Array {
  const doc = new Y.Doc();
  for (const [key, value] of Object.entries(entries)) {
    // Yjs refuses a Buffer
    doc.getMap('facts').set(key, value instanceof Uint8Array ? new Uint8Array(value) : value);
  }
  return Y.encodeStateAsUpdate(doc);
}

/** A fact by the insider, with its key. */
async function factBy(keys: NodeKeys, changes: Partial<Fact>): Promise<Entries> {
  const time_ms = changes.time_ms ?? Date.now();
  const author = changes.author ?? keys.identity.peerId;
  const fact: Fact = {
    ...{ doc: jobsDoc('a', time_ms), seq: randomBytes(4).readUInt32BE() + 1, kind: 'job', time_ms },
    subject: crypto.randomUUID(),
    body: jobBody(),
    ...changes,
    author,
  };
  return { [`${author}:${fact.seq}`]: await signFact(keys.key, fact) };
}

const jobBody = (changes: object = {}) => ({
  ...{ owner: 'mallory', bytes: 100, epoch: 1, expires_ms: Date.now() + hour_ms },
  holders: mesh.nodes.map(({ peer }) => peer),
  ...changes,
});

/** Pushes entries to every node, and sees that nothing comes of them there. */
async function ignored(insider: Rogue, doc: string, entries: Entries): Promise<void> {
  const known = (node: FakeNode) => ({
    facts: node.state.rows('SELECT author, seq FROM facts'),
    nodes: node.mesh.ledger.nodes().map(({ peerId }) => peerId).sort(),
  });
  const before = mesh.nodes.map(known);
  const update = updateOf(entries);
  for (const node of mesh.nodes) await insider.call(node, 'push', { doc, update });
  for (const node of mesh.nodes) await node.mesh.ledger.settled();
  assert.equal(mesh.nodes.map(known), before);
}

test('a member’s entries that are no facts are ignored, and facts go on arriving', async () => {
  const { fact } = await store(mesh, a1, { owner: ada });
  await withInsider(async (insider, keys) => {
    const { doc } = fact;
    const ownKey = `${insider.peer}:1`;
    await ignored(insider, doc, { [ownKey]: 'text', b: 7, c: null, d: new Y.Map(), e: new Y.Array() });
    await ignored(insider, doc, {
      [ownKey]: new Uint8Array(0),
      '': randomBytes(9),
      [`${insider.peer}:`]: randomBytes(9),
    });
    await ignored(insider, doc, { [`${insider.peer}:2`]: new Uint8Array(randomBytes(300)) });
    await ignored(insider, doc, { [`${insider.peer}:3`]: new Uint8Array(randomBytes(100_000)) });
    await ignored(insider, doc, { ['x'.repeat(10_000)]: new Uint8Array(randomBytes(300)) });
    const [[key, record]] = Object.entries(await factBy(keys, {})) as [[string, Uint8Array]];
    await ignored(insider, doc, {
      [key]: record.map((octet, i) => i === record.length - 1 ? octet ^ 1 : octet),
    });
    await ignored(insider, doc, { [`${insider.peer}:4`]: record });
    await ignored(insider, doc, { [`${a1.peer}:4`]: record });
    await ignored(insider, 'directory', { [key]: record });
    await ignored(insider, doc, await factBy(keys, { author: a1.peer }));
    await ignored(insider, doc, await factBy(keys, { kind: 'unheard-of' }));
    await ignored(insider, doc, await factBy(keys, { body: { owner: 'mallory' } }));
    await ignored(
      insider,
      doc,
      await factBy(keys, { body: jobBody({ holders: [a1.peer, a1.peer, a1.peer] }) }),
    );
    await ignored(insider, doc, await factBy(keys, { body: jobBody({ holders: [a1.peer] }) }));
    await ignored(insider, doc, await factBy(keys, { time_ms: Date.now() + 30 * hour_ms, doc }));
  });
  await store(mesh, a1, { owner: ada });
});

test('a fact dated in the future is ignored, and so are documents of days to come', async () => {
  await withInsider(async (insider, keys) => {
    const time_ms = Date.now() + 23 * hour_ms;
    const soon = await factBy(keys, { time_ms });
    await insider.call(a1, 'push', { doc: jobsDoc('a', time_ms), update: updateOf(soon) });
    const later_ms = Date.now() + 50 * hour_ms;
    for (
      const doc of [
        jobsDoc('a', later_ms),
        'jobs/a/2026-13-45',
        'jobs/../2026-01-01',
        'jobs/a',
        '',
        'other',
        'x'.repeat(128),
      ]
    ) {
      const push = insider.call(a1, 'push', { doc, update: updateOf(soon) });
      assert.match(await answerTo(push), /^bad-request: there is no such document/, doc);
    }
  });
});

test('a job fact of another site’s document, or of a job that is known, is ignored', async () => {
  await mesh.add('b1', { site: 'b' });
  await mesh.connected();
  const { id, fact } = await store(mesh, a1, { owner: ada });
  await withInsider(async (insider, keys) => {
    const doc = jobsDoc('b', Date.now());
    await ignored(insider, doc, await factBy(keys, { doc }));
    const yesterday = jobsDoc('a', Date.now() - 24 * hour_ms);
    await ignored(insider, yesterday, await factBy(keys, { doc: yesterday }));
    await ignored(insider, fact.doc, await factBy(keys, { subject: id }));
    const withdrawal = { kind: 'withdrawn', subject: id, body: {} };
    await ignored(insider, fact.doc, await factBy(keys, withdrawal));
  });
  for (const node of mesh.nodes) assert.equal(node.mesh.ledger.latest('job', id)?.author, a1.peer);
});

test('what only registrars may say counts for nothing when another node says it', async () => {
  await withInsider(async (insider, keys) => {
    const by = (changes: Partial<Fact>) => factBy(keys, { doc: 'directory', ...changes });
    const uri = 'ipp://127.0.0.1:1/ipp/print';
    await ignored(insider, 'directory', await by({ kind: 'user', subject: 'mallory', body: {} }));
    await ignored(
      insider,
      'directory',
      await by({ kind: 'printer', subject: 'p', body: { uri, site: 'a' } }),
    );
    const token = { user: 'ada', device: crypto.randomUUID() };
    await ignored(insider, 'directory', await by({ kind: 'token', subject: '0'.repeat(64), body: token }));
  });
  const registrarOnly = new Directory((mesh.nodes[1] as FakeNode).mesh).addUser('mallory', undefined);
  assert.match(await answerTo(registrarOnly), /^forbidden: only a registrar states user facts/);
});

test('certificates in the directory are those of this organisation’s nodes, under their own PeerId', async () => {
  const other = await certifiedNode(await fakeAuthority('Test works', Date.now()), { name: 'a7' });
  const good = await certifiedNode(mesh.authority, { name: 'a7' });
  const entry = ({ identity, issuers }: NodeKeys) => encode({ leaf: identity.der, issuers });
  await withInsider(async (insider, keys) => {
    await ignored(insider, 'directory', { [`certificate:${other.identity.peerId}`]: entry(other) });
    await ignored(insider, 'directory', { [`certificate:${other.identity.peerId}`]: entry(good) });
    await ignored(insider, 'directory', { [`certificate:${a1.peer}`]: entry(good) });
    await ignored(insider, 'directory', { 'certificate:': entry(good), 'certificate:x': randomBytes(50) });
    assert.is(a1.mesh.nameOf(a1.peer), 'a1');
    assert.is(a1.mesh.nameOf(keys.identity.peerId), 'insider');
    const update = updateOf({ [`certificate:${good.identity.peerId}`]: entry(good) });
    await insider.call(a1, 'push', { doc: 'directory', update });
  });
  await waitFor(
    () => mesh.nodes.every(({ mesh }) => mesh.nameOf(good.identity.peerId) === 'a7') || undefined,
    {
      deadline_ms: patience_ms,
      what: 'a genuine certificate to be known',
    },
  );
});

test('facts that a member overwrites or deletes in a document stay in every table', async () => {
  const jobs = [await store(mesh, a1, { owner: ada }), await store(mesh, a1, { owner: ada })];
  const ids = jobs.map(({ id }) => id);
  const { doc } = jobs[0]!.fact;
  await withInsider(async (insider) => {
    const copy = new Y.Doc();
    const state = Y.encodeStateVector(copy);
    const { update } = await insider.call(a1, 'sync', { docs: [], doc, state }) as { update: Uint8Array };
    Y.applyUpdate(copy, update);
    const [first, second] = [...copy.getMap('facts').keys()] as [string, string];
    copy.getMap('facts').set(first, new Uint8Array(randomBytes(200)));
    copy.getMap('facts').delete(second);
    for (const node of mesh.nodes) {
      await insider.call(node, 'push', { doc, update: Y.encodeStateAsUpdate(copy) });
      await node.mesh.ledger.settled();
    }
  });
  for (const node of mesh.nodes) assert.equal(jobIds(node), ids.toSorted());
  for (const node of mesh.nodes) {
    await node.stop();
    await node.start();
    assert.equal(jobIds(node), ids.toSorted());
  }
  await mesh.connected();
});

test('updates and state vectors that are not of Yjs are refused, and so are those that are too large', async () => {
  const { fact: { doc } } = await store(mesh, a1, { owner: ada });
  await withInsider(async (insider) => {
    const push = (update: Uint8Array) => answerTo(insider.call(a1, 'push', { doc, update }));
    const whole = updateOf({ a: new Uint8Array(1000) });
    assert.match(
      await push(whole.subarray(0, whole.length / 2)),
      /^bad-request: the update is not one of Yjs/,
    );
    assert.match(await push(new Uint8Array(randomBytes(100).fill(0xff))), /^bad-request: /);
    assert.match(
      await push(new Uint8Array(maxUpdateBytes + 1)),
      /^bad-request: |^too-large: |^unavailable: /,
    );
    for (const state of [new Uint8Array([0xff, 0xff, 0xff]), new Uint8Array(64 * 1024 + 1)]) {
      assert.match(await answerTo(insider.call(a1, 'sync', { docs: [], doc, state })), /^bad-request: /);
    }
  });
  await store(mesh, a1, { owner: ada });
});

test.run();
