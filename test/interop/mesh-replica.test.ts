import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fact, jobsDoc, signFact } from '../../mesh/facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
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
import { answerTo, type Insider, nodeRecord, startInsider } from '../fakes/rogue.ts';

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
async function withInsider(
  body: (insider: Insider, keys: NodeKeys) => Promise<void>,
  nodes: readonly FakeNode[] = mesh.nodes,
): Promise<void> {
  const keys = await certifiedNode(mesh.authority, { name: `insider-${crypto.randomUUID().slice(0, 8)}` });
  const insider = await startInsider(keys, nodes);
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
  for (const node of mesh.nodes.filter(({ name }) => name.startsWith('a'))) {
    const { id } = await store(mesh, node, { owner: ada });
    assert.equal(mesh.nodes.map(({ mesh }) => mesh.ledger.about('job', id).length), [1, 1, 1, 1, 1]);
  }
});

test('every node states its certificate, and what is sealed for it', async () => {
  for (const node of mesh.nodes) {
    await untilKnown(mesh.nodes, 'node', node.peer);
    for (const { mesh: other } of mesh.nodes) {
      assert.is(other.ledger.identity(node.peer)?.name, node.name);
      assert.match(other.ledger.sealOf(node.peer) ?? '', /^age1/);
    }
  }
  const before = a1.mesh.ledger.about('node', a1.peer).length;
  await a1.stop();
  await a1.start();
  assert.is(a1.mesh.ledger.about('node', a1.peer).length, before, 'not again after a restart');
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

const damages: Record<string, { damage: (state: State) => void; setAside: boolean }> = {
  'its snapshots are as they were': { damage: () => {}, setAside: false },
  'its snapshots are gone': {
    damage: (state) => void state.run('DELETE FROM snapshots'),
    setAside: false,
  },
  'its snapshots are damaged': {
    damage: (state) => void state.run('UPDATE snapshots SET state = ?', randomBytes(200)),
    setAside: true,
  },
  'its snapshots are cut off': {
    damage: (state) => void state.run('UPDATE snapshots SET state = substr(state, 1, 50)'),
    setAside: true,
  },
  'its snapshots are empty': {
    damage: (state) => void state.run("UPDATE snapshots SET state = x''"),
    setAside: true,
  },
};
for (const [name, { damage, setAside }] of Object.entries(damages)) {
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
    assert.is(a3.logged.some((line) => line.includes('set aside')), setAside);
    assert.is(a3.state.rows('SELECT * FROM damaged').length > 0, setAside, 'kept, to be looked at');
    await learnedFrom(a3, ids);
  });
}

test('a row of the table that is damaged is fetched again, and stops nothing', async () => {
  const a3 = mesh.nodes[2] as FakeNode;
  const { id } = await store(mesh, a1, { owner: ada });
  await a3.stop();
  const state = new State(a3.dir);
  assert.ok(
    state.run('UPDATE facts SET record = zeroblob(length(record))') > 3,
  );
  state.run('DELETE FROM snapshots');
  state.close();
  await a3.start();
  assert.ok(a3.logged.some((line) => line.includes('a stored fact is damaged')));
  await untilKnown([a3], 'job', id);
});

test('a fact that no document carries reaches every node all the same', async () => {
  const a2 = mesh.nodes[1] as FakeNode;
  const place = () => 'directory';
  const kind = new Directory(a1.mesh);
  await kind.addUser('first', undefined);
  await untilKnown(mesh.nodes, 'user', 'first');
  const { directoryKinds } = await import('../../src/directory.ts');
  const userKind = directoryKinds.find(({ name }) => name === 'user')!;
  const { fact, record } = await a1.mesh.ledger.sign(userKind, place, 'silent', {});
  // into the table of another, and of nobody else: nothing is announced
  a2.mesh.ledger.add(fact, record);
  await kind.addUser('second', undefined);
  await untilKnown(mesh.nodes, 'user', 'silent');
});

test('documents of days of which no job can be alive are dropped, and nothing of them is left', async () => {
  const a3 = mesh.nodes[2] as FakeNode;
  const { fact } = await store(mesh, a1, { owner: ada });
  await waitFor(() => a3.mesh.ledger.digest(fact.doc).count > 0 || undefined, {
    deadline_ms: patience_ms,
    what: 'the fact to be told',
  });
  await a3.stop();
  const state = new State(a3.dir);
  state.run('DELETE FROM pieces');
  state.close();
  a3.clock.shift(4 * 24 * hour_ms);
  await a3.start();
  assert.equal(jobIds(a3), []);
  assert.equal(a3.state.facts.docs().filter((doc) => doc.startsWith('jobs/')), []);
  assert.equal(a3.state.facts.byDoc(fact.doc), []);
});

/** A fact by the insider. */
async function factBy(keys: NodeKeys, changes: Partial<Fact>): Promise<Uint8Array> {
  const time_ms = changes.time_ms ?? Date.now();
  const author = changes.author ?? keys.identity.peerId;
  return await signFact(keys.key, {
    ...{ doc: jobsDoc('a', time_ms), seq: randomBytes(4).readUInt32BE() + 1, kind: 'job', time_ms },
    ...{ subject: newJobId(author), body: jobBody(), ...changes, author },
  });
}

const jobBody = (changes: object = {}) => ({
  ...{ owner: 'mallory', bytes: 100, epoch: 1, expires_ms: Date.now() + hour_ms },
  ...{ degraded: null, sleeper: null, handed: null },
  holders: mesh.nodes.map(({ peer }) => peer),
  ...changes,
});

/** What a node has. */
const tableOf = (node: FakeNode) => node.state.rows('SELECT id FROM facts ORDER BY id');

/** Has every node ask for records, and sees that nothing comes of them there but that somebody is named. */
async function refused(
  doc: string,
  recordBy: (keys: NodeKeys) => Promise<Uint8Array>,
  why = /./,
): Promise<void> {
  await withInsider(async (insider, keys) => {
    const record = await recordBy(keys);
    const before = mesh.nodes.map(tableOf);
    for (const node of mesh.nodes) await insider.put(node, doc, [record]);
    await insider.named(mesh.nodes);
    assert.equal(mesh.nodes.map(tableOf), before);
    for (const node of mesh.nodes) {
      const suspect = node.mesh.ledger.suspects().find(({ peer }) => peer === insider.peer);
      assert.match(suspect?.reason ?? '', why);
    }
  });
}

test('what a member may not say counts for nothing, and it is named for it', async () => {
  const { fact: { doc } } = await store(mesh, a1, { owner: ada });
  // control: the same way a fact that it may state gets everywhere
  await withInsider(async (insider, keys) => {
    const subject = newJobId(insider.peer);
    await insider.put(a1, doc, [await factBy(keys, { doc, subject })]);
    await untilKnown(mesh.nodes, 'job', subject);
  });
  await refused(doc, (keys) => factBy(keys, { doc, time_ms: Date.now() + 30 * hour_ms }), /future/);
  await refused(doc, (keys) => factBy(keys, { doc, time_ms: Date.parse('2099-01-01') }), /./);
  await refused(doc, (keys) => factBy(keys, { doc, body: { owner: 'mallory' } }), /./);
  await refused(doc, (keys) => factBy(keys, { doc, body: jobBody({ holders: [a1.peer] }) }), /./);
  await refused(doc, (keys) => factBy(keys, { doc, author: a1.peer }), /another’s array/);
  await refused(doc, () => Promise.resolve(new Uint8Array(randomBytes(300))), /./);
  await refused(doc, async (keys) => (await factBy(keys, { doc })).fill(0, -8), /signature/);
  await refused(doc, (keys) => factBy(keys, { doc: 'directory' }), /another document/);
  const by = (changes: Partial<Fact>) => (keys: NodeKeys) => factBy(keys, { doc: 'directory', ...changes });
  await refused('directory', by({ kind: 'user', subject: 'mallory', body: {} }), /registrar/);
  await store(mesh, a1, { owner: ada });
});

test('certificates in the directory are those of this organisation’s nodes, each stated by itself', async () => {
  const other = await certifiedNode(await fakeAuthority('Test works', Date.now()), { name: 'a7' });
  await withInsider(async (insider) => {
    const record = await nodeRecord(other);
    const before = mesh.nodes.map(tableOf);
    for (const node of mesh.nodes) await insider.put(node, 'directory', [record]);
    await insider.named(mesh.nodes);
    assert.equal(mesh.nodes.map(tableOf), before);
  });
  await refused('directory', async (keys) => {
    const { der: leaf } = a1.keys.identity;
    const body = { leaf, issuers: a1.keys.issuers, seal: 'age1' };
    return await factBy(keys, { doc: 'directory', kind: 'node', subject: a1.peer, body });
  });
  for (const node of mesh.nodes) assert.is(node.mesh.nameOf(a1.peer), 'a1');
});

test('documents that there cannot be are refused', async () => {
  await withInsider(async (insider) => {
    const later = jobsDoc('a', Date.now() + 50 * hour_ms);
    for (const doc of [later, 'jobs/a/2026-13-45', 'jobs/../2026-01-01', 'jobs/a', '', 'x'.repeat(128)]) {
      const request = [doc, new Uint8Array([0]), true];
      const answer = await answerTo(insider.call(a1, 'pull', request));
      assert.match(answer, /^bad-request: there is no such document/, doc);
    }
  });
});

test.run();
