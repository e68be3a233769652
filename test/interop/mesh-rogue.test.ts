import { randomBytes } from 'node:crypto';
import type { Libp2p } from 'libp2p';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as Y from 'yjs';
import { encode } from '../../mesh/codec.ts';
import { Discovery } from '../../mesh/discovery.ts';
import { directoryDoc, type Fact, jobsDoc, signFact } from '../../mesh/facts.ts';
import type { Gate } from '../../mesh/gate.ts';
import { maxUnmetPeers, redialMax_ms } from '../../mesh/limits.ts';
import { generateHostKey } from '../../mesh/mod.ts';
import { systemClock } from '../../src/clock.ts';
import { tokenHash } from '../../mesh/submit-token.ts';
import { Directory } from '../../src/directory.ts';
import {
  certifiedNode,
  type FakeMesh,
  type FakeNode,
  type NodeKeys,
  patience_ms,
  prints,
  startMesh,
  store,
  type Stored,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { fakePeer, refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { answerTo, anyMethod, type Rogue, startInsider, startRogue, withRogue } from '../fakes/rogue.ts';

const day_ms = 24 * 3600_000;

let mesh: FakeMesh;
let a1: FakeNode;
let a2: FakeNode;
let ada: Stored['owner'];
let keys: NodeKeys;
/** a member that follows no rule */
let insider: Rogue;

test.before(async () => {
  mesh = await startMesh(3);
  [a1, a2] = mesh.nodes as [FakeNode, FakeNode];
  ada = await user(mesh, 'ada');
  keys = await certifiedNode(mesh.authority, { name: 'insider' });
  insider = await startInsider(keys, mesh.nodes);
});

test.after(async () => {
  await insider.stop();
  await mesh.stop();
});

/** What a document is at a node. */
async function documentAt(node: FakeNode, doc: string): Promise<{ docs: string[]; copy: Y.Doc }> {
  const copy = new Y.Doc();
  const request = { docs: [], doc, state: Y.encodeStateVector(copy) };
  const { docs, update } = await insider.call(node, 'sync', request) as {
    docs: string[];
    update: Uint8Array;
  };
  Y.applyUpdate(copy, update);
  return { docs, copy };
}

const pushTo = (node: FakeNode, doc: string, copy: Y.Doc, by = insider) =>
  by.call(node, 'push', { doc, update: Y.encodeStateAsUpdate(copy) });

/** A document that carries these entries. */
function carrying(entries: Iterable<[string, Uint8Array]>): Y.Doc {
  const copy = new Y.Doc();
  // Yjs refuses a Buffer
  copy.transact(() => {
    for (const [key, value] of entries) copy.getMap('facts').set(key, new Uint8Array(value));
  });
  return copy;
}

/** A member that has just joined learns of these jobs. */
async function newcomerLearns(jobs: readonly string[]): Promise<void> {
  const heir = await mesh.add(`heir-${crypto.randomUUID().slice(0, 8)}`);
  for (const job of jobs) await untilKnown([heir], 'job', job);
  await mesh.drop(heir);
}

test('a submit token stays whose it is, whatever a registrar states about it later', async () => {
  const token = `token ${crypto.randomUUID()}`;
  const subject = tokenHash(token).toHex();
  const directory = new Directory(a1.mesh);
  await directory.addToken(tokenHash(token), 'ada', crypto.randomUUID());
  await untilKnown(mesh.nodes, 'token', subject);
  const again = () => directory.addToken(tokenHash(token), 'mallory', crypto.randomUUID());
  assert.match(await refusalOf(again), /^conflict: this submit token is known already/);
  for (const time_ms of [Date.now(), Date.now() - day_ms]) {
    const fact: Fact = {
      ...{ doc: directoryDoc, author: a1.peer, seq: time_ms + 100_000, kind: 'token', subject, time_ms },
      body: { user: 'mallory', device: crypto.randomUUID() },
    };
    a1.mesh.ledger.publish(fact, await signFact(a1.keys.key, fact));
  }
  // a fact that follows in the same document has passed the same way
  await directory.addUser('follower', undefined);
  await untilKnown(mesh.nodes, 'user', 'follower');
  for (const node of mesh.nodes) {
    await node.mesh.ledger.settled();
    assert.is(new Directory(node.mesh).tokenOwner(token), 'ada', node.name);
    assert.is(node.mesh.ledger.about('token', subject).length, 1, node.name);
  }
});

test('what a member overwrites or deletes is put back, and whoever joins afterwards learns it', async () => {
  const jobs = [await store(mesh, a1, { owner: ada }), await store(mesh, a2, { owner: ada })];
  const [first, second] = jobs.map(({ fact }) => `${fact.author}:${fact.seq}`) as [string, string];
  const certificate = `certificate:${a2.peer}`;
  const { doc } = jobs[0]!.fact;
  const spoil = async (name: string, keys: string[], change: (map: Y.Map<unknown>) => void) => {
    // a holder knows of a job before it is published
    const copy = await waitFor(async () => {
      const { copy } = await documentAt(a1, name);
      return keys.every((key) => copy.getMap('facts').has(key)) ? copy : undefined;
    }, { deadline_ms: patience_ms, what: 'the facts to be published' });
    const before = new Map(copy.getMap('facts').entries());
    change(copy.getMap('facts'));
    for (const node of mesh.nodes) await pushTo(node, name, copy);
    return before;
  };
  const facts = await spoil(doc, [first, second], (map) => {
    map.set(first, new Uint8Array(randomBytes(200)));
    map.delete(second);
  });
  const directory = await spoil(directoryDoc, [certificate], (map) => map.set(certificate, 'gone'));
  const wanted = [[doc, first, facts], [doc, second, facts], [directoryDoc, certificate, directory]] as const;
  for (const node of mesh.nodes) {
    for (const [name, key, before] of wanted) {
      const isBack = async () => {
        const value = (await documentAt(node, name)).copy.getMap('facts').get(key);
        return value instanceof Uint8Array && Buffer.from(value).equals(before.get(key) as Uint8Array);
      };
      await waitFor(async () => await isBack() || undefined, {
        deadline_ms: patience_ms,
        what: `${key} to be put back at ${node.name}`,
      });
    }
  }
  await newcomerLearns(jobs.map(({ id }) => id));
});

test('nodes that hold different facts under one number do not overwrite each other for ever', async () => {
  const { fact: { doc } } = await store(mesh, a1, { owner: ada });
  const time_ms = Date.now();
  const facts: [FakeNode, Fact, Uint8Array][] = [];
  for (const node of [a1, a2]) {
    const fact: Fact = {
      ...{ doc, author: insider.peer, seq: time_ms, kind: 'job', subject: crypto.randomUUID(), time_ms },
      body: {
        ...{ owner: 'mallory', bytes: 100, epoch: 1, expires_ms: time_ms + day_ms },
        holders: mesh.nodes.map(({ peer }) => peer),
      },
    };
    facts.push([node, fact, await signFact(keys.key, fact)]);
  }
  for (const [node, fact, record] of facts) {
    node.mesh.ledger.add(fact, record);
    node.mesh.ledger.publish(fact, record);
  }
  /** how many changes the document has seen */
  const changes = async (node: FakeNode) => {
    const { copy } = await documentAt(node, doc);
    return [...Y.decodeStateVector(Y.encodeStateVector(copy)).values()].reduce((sum, n) => sum + n, 0);
  };
  const before = await changes(a1);
  const end_ms = performance.now() + 3000;
  await waitFor(() => performance.now() > end_ms || undefined, { deadline_ms: 5000, what: 'three seconds' });
  const after = await changes(a1);
  assert.ok(after - before <= 8, `${after - before} changes`);
  await newcomerLearns([(await store(mesh, a2, { owner: ada })).id]);
});

/** A PeerId that no node has. */
const inventedPeer = async () => (await generateHostKey()).peerId;

/** Records that name authors whom nobody knows. */
async function* junk(count: number, doc: string): AsyncGenerator<[string, Uint8Array]> {
  const author = await inventedPeer();
  const body = encode({});
  for (let i = 0; i < count; i++) {
    // the schema asks for base58 of this length, and nobody looks further
    const a = author.slice(0, -6) + String(i + 111_111).replaceAll('0', 'z');
    const payload = encode({ d: doc, a, n: 1, k: 'job', s: crypto.randomUUID(), t: Date.now(), b: body });
    yield [`${a}:1`, encode([payload, new Uint8Array(64)])];
  }
}

test('junk of 10,000 unknown authors does not keep facts that come too early from being judged', async () => {
  const job = await store(mesh, a1, { owner: ada });
  await prints(job, a2);
  await untilKnown(mesh.nodes, 'settled', job.id);
  const { doc } = job.fact;
  const records = (kind: string): [string, Uint8Array][] =>
    a1.state.facts.byDoc(doc).filter((row) => row.subject === job.id && row.kind === kind)
      .map(({ author, seq, record }) => [`${author}:${seq}`, record]);
  const certificates = a1.state.facts.certificates().map(({ peer, leaf, issuers }): [string, Uint8Array] => [
    `certificate:${peer}`,
    encode({ leaf, issuers }),
  ]);
  // it hears of all this from the insider only
  const lone = await mesh.add('lone', { peers: [] });
  await insider.hello(lone, keys);
  const nonsense = await Array.fromAsync(junk(10_000, doc));
  assert.is(new Map(nonsense).size, 10_000);
  await pushTo(lone, doc, carrying(nonsense));
  await lone.mesh.ledger.settled();
  await pushTo(lone, doc, carrying(records('settled')));
  await pushTo(lone, doc, carrying(records('job')));
  await lone.mesh.ledger.settled();
  assert.is(lone.mesh.ledger.latest('job', job.id), undefined);
  await pushTo(lone, directoryDoc, carrying(certificates));
  await untilKnown([lone], 'job', job.id);
  await untilKnown([lone], 'settled', job.id);
  await mesh.drop(lone);
});

test('documents of unknown sites or of long ago are refused, and none is made of them', async () => {
  const bad = [
    jobsDoc('nowhere', Date.now()),
    jobsDoc('a', Date.now() - 12 * day_ms),
    jobsDoc('a', Date.now() + 3 * day_ms),
    'jobs/a/1970-01-01',
    'jobs/a/2026-02-30x',
  ];
  const { docs: before } = await documentAt(a1, directoryDoc);
  const update = Y.encodeStateAsUpdate(carrying([['x:1', randomBytes(100)]]));
  for (const doc of bad) {
    const refused = /^bad-request: there is no such document/;
    assert.match(await answerTo(insider.call(a1, 'push', { doc, update })), refused, doc);
    const request = { docs: bad, doc, state: new Uint8Array([0]) };
    assert.match(await answerTo(insider.call(a1, 'sync', request)), refused, doc);
  }
  assert.equal((await documentAt(a1, directoryDoc)).docs, before);
  assert.not(a1.state.facts.docs().some((doc) => bad.includes(doc)));
  await newcomerLearns([(await store(mesh, a1, { owner: ada })).id]);
});

test('a node asks no member for documents that there cannot be', async () => {
  const own = await certifiedNode(mesh.authority, { name: 'lister' });
  const yesterday = jobsDoc('a', Date.now() - day_ms);
  const docs = [jobsDoc('nowhere', Date.now()), jobsDoc('a', Date.now() - 12 * day_ms), 'other', yesterday];
  const asked: string[] = [];
  await withRogue(await startRogue({ hostKey: own.hostKey }), async (lister) => {
    await lister.rpc.handle(anyMethod('push'), () => Promise.resolve({ reply: {} }));
    await lister.rpc.handle(anyMethod('sync'), ({ request }) => {
      asked.push((request as { doc: string }).doc);
      return Promise.resolve({
        reply: { docs, update: new Uint8Array([0, 0]), state: new Uint8Array([0]) },
      });
    });
    await lister.hello(a1, own);
    const last = () => asked.includes(yesterday) || undefined;
    await waitFor(last, { deadline_ms: patience_ms, what: 'the last document to be asked for' });
    assert.equal(asked.filter((doc) => docs.includes(doc)), [yesterday]);
  });
});

const nowhere = Array.from({ length: 8 }, (_, i) => `/ip4/127.0.0.1/tcp/${i + 1}`);

test('hearsay does not push out where a member says that it is', async () => {
  const own = a2.address.replace(/\/p2p\/.*/, '');
  const { identity, issuers } = keys;
  const said = { leaf: identity.der, issuers, time_ms: Date.now(), addresses: [] };
  for (let round = 0; round < 32; round++) {
    const invented = await Promise.all(Array.from({ length: 62 }, inventedPeer));
    // the second is none at all, although it has the form of one
    const peers = [fakePeer('z'), ...invented].map((peer) => ({ peer, addresses: nowhere.slice(0, 1) }));
    await insider.call(a1, 'hello', { ...said, peers: [{ peer: a2.peer, addresses: nowhere }, ...peers] });
  }
  const { peers } = await insider.call(a1, 'hello', { ...said, peers: [] }) as {
    peers: { peer: string; addresses: string[] }[];
  };
  const told = peers.find(({ peer }) => peer === a2.peer)?.addresses ?? [];
  assert.is(told[0], own);
  assert.equal(peers.map(({ peer }) => peer).filter((peer) => !mesh.nodes.some((n) => n.peer === peer)), []);
  await prints(await store(mesh, a1, { owner: ada }), a2);
});

test('peers known by hearsay are bounded, and those that were met are kept', async () => {
  const dialled = new Map<string, string>();
  const host = Object.assign(new EventTarget(), {
    ...{ peerId: await inventedPeer(), getPeers: () => [], getConnections: () => [] },
    dial: ([first]: unknown[]) => {
      const [, address = '', peer = ''] = /^(.*)\/p2p\/(.*)$/.exec(String(first)) ?? [];
      dialled.set(peer, address);
      return Promise.reject(new Error('nobody there'));
    },
  });
  let now_ms = 0;
  const discovery = new Discovery({
    host: host as unknown as Libp2p,
    gate: {} as Gate,
    configured: [],
    addresses: { list: () => [], put: () => {} },
    clock: {
      wall_ms: () => now_ms,
      monotonic_ms: () => now_ms,
      uptime_ms: () => now_ms,
      after: systemClock.after,
    },
    log: () => {},
    onGone: () => {},
  });
  discovery.start();
  try {
    const real = await inventedPeer();
    discovery.learn(real, ['/ip4/192.0.2.1/tcp/1']);
    for (let i = 0; i < 2000; i++) {
      discovery.hear(await inventedPeer(), nowhere);
      discovery.hear(real, nowhere);
    }
    dialled.clear();
    now_ms += 2 * redialMax_ms;
    await waitFor(() => dialled.has(real) || undefined, { deadline_ms: patience_ms, what: 'the next round' });
    assert.is(dialled.get(real), '/ip4/192.0.2.1/tcp/1');
    assert.ok(dialled.size <= maxUnmetPeers + 1, `${dialled.size} peers`);
    assert.ok(dialled.size > 1);
  } finally {
    discovery.stop();
  }
});

test('a call that overtakes the hello of its connection is served after it, and refused without it', async () => {
  const own = await certifiedNode(mesh.authority, { name: 'hasty' });
  const request = { docs: [], doc: directoryDoc, state: new Uint8Array([0]) };
  await withRogue(await startRogue({ hostKey: own.hostKey }), async (hasty) => {
    for (const name of ['sync', 'push']) {
      await hasty.rpc.handle(anyMethod(name), () => Promise.reject(new Error('not here')));
    }
    await hasty.connect(a1);
    let early = '';
    const call = answerTo(hasty.call(a1, 'sync', request)).then((answer) => early = answer);
    await new Promise((later) => setTimeout(later, 500));
    assert.is(early, '', 'it waits');
    await hasty.hello(a1, own);
    assert.is(await call, 'answered');
  });
  await withRogue(await startRogue(), async (stranger) => {
    await stranger.connect(a1);
    const calls = ['sync', 'view'].map((method) => answerTo(stranger.call(a1, method, request)));
    for (const answer of await Promise.all(calls)) assert.match(answer, /^forbidden: .*say hello first/);
    const start_ms = performance.now();
    // refused so soon that the stream is reset before the stranger has sent anything
    const late = await answerTo(stranger.call(a1, 'sync', request));
    assert.match(late, /^forbidden: |^unavailable: /);
    assert.ok(performance.now() - start_ms < 1000, 'nobody waits for a hello that late');
  });
});

test.run();
