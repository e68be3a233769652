/** What an enrolled node that follows no rule can do to the facts of the others: nothing that lasts. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as Y from 'yjs';
import { decodeVector, encodeVector } from '../../mesh/fact-protocol.ts';
import { directoryDoc, type Fact, jobsDoc, signFact } from '../../mesh/facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { maxPulledBytes } from '../../mesh/limits.ts';
import { generateHostKey } from '../../mesh/mod.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { tokenHash, tokenKind } from '../../mesh/submit-token.ts';
import { authorOf, clientOf, decodeRun, encodeRun, newArrayName, type Run } from '../../mesh/update.ts';
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
import { waitFor } from '../fakes/processes.ts';
import { anyMethod, type Insider, startInsider, startRogue, withRogue } from '../fakes/rogue.ts';

const hour_ms = 3600_000;
const day_ms = 24 * hour_ms;

let mesh: FakeMesh;
let a1: FakeNode;
let a2: FakeNode;
let ada: Stored['owner'];
let keys: NodeKeys;
let insider: Insider;

test.before.each(async () => {
  mesh = await startMesh(3);
  [a1, a2] = mesh.nodes as [FakeNode, FakeNode];
  ada = await user(mesh, 'ada');
  keys = await certifiedNode(mesh.authority, { name: 'insider' });
  insider = await startInsider(keys, mesh.nodes);
});

test.after.each(async () => {
  await insider.stop();
  await mesh.stop();
});

/** The arrays of a document at a node, by writer. */
async function arraysAt(node: FakeNode, doc: string): Promise<(Run & { author: string | undefined })[]> {
  const request = [doc, encodeVector(new Map()), true];
  const [updates] = await insider.call(node, 'pull', request) as [Uint8Array[]];
  return updates.map(decodeRun).map((run) => ({ ...run, author: authorOf(run.name ?? '') }));
}

/** A job fact by the insider. */
async function jobFact(changes: Partial<Fact> = {}): Promise<{ subject: string; record: Uint8Array }> {
  const subject = newJobId(keys.identity.peerId);
  const time_ms = changes.time_ms ?? Date.now();
  const body = {
    ...{ owner: 'mallory', bytes: 100, epoch: 1, expires_ms: time_ms + day_ms, degraded: null },
    ...{ holders: mesh.nodes.map(({ peer }) => peer), sleeper: null, handed: null },
  };
  const fact = {
    ...{
      doc: jobsDoc('a', time_ms),
      author: keys.identity.peerId,
      seq: time_ms,
      kind: 'job',
      subject,
      time_ms,
    },
    ...{ body, ...changes },
  };
  return { subject, record: await signFact(keys.key, fact) };
}

/** Every node, and one that joins now, lists these jobs; nobody honest is named. */
async function allIsWell(jobs: readonly string[]): Promise<void> {
  const heir = await mesh.add(`heir-${crypto.randomUUID().slice(0, 8)}`);
  for (const job of jobs) await untilKnown(mesh.nodes, 'job', job);
  for (const { mesh: one } of mesh.nodes) {
    const named = one.ledger.suspects().filter(({ peer }) => peer !== insider.peer);
    assert.equal(named, []);
  }
  await mesh.drop(heir);
}

test('a submit token stays whose it is, whatever a registrar states about it later', async () => {
  const token = `token ${crypto.randomUUID()}`;
  const subject = tokenHash(token).toHex();
  const directory = new Directory(a1.mesh);
  const expires_ms = Date.now() + 60_000;
  await directory.addToken(tokenHash(token), { user: 'ada', device: crypto.randomUUID(), expires_ms });
  await untilKnown(mesh.nodes, 'token', subject);
  const again = { user: 'mallory', device: crypto.randomUUID(), expires_ms };
  await a1.mesh.ledger.state(tokenKind, () => directoryDoc, subject, again);
  await directory.addUser('follower', undefined);
  await untilKnown(mesh.nodes, 'user', 'follower');
  for (const node of mesh.nodes) {
    const about = () => node.mesh.ledger.about('token', subject).length === 2 || undefined;
    await waitFor(about, { deadline_ms: patience_ms, what: 'both to arrive' });
    assert.is((node.mesh.ledger.first('token', subject)?.body as { user: string }).user, 'ada');
  }
});

test('an update that overwrites, deletes or nests is refused whole, and its sender is named', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const { doc } = job.fact;
  const copy = new Y.Doc();
  for (const run of await arraysAt(a2, doc)) Y.applyUpdate(copy, encodeRun(run));
  for (const name of [...copy.share.keys()]) copy.getArray(name).delete(0, copy.getArray(name).length);
  copy.getMap('facts').set('key', new Y.Map());
  for (const node of mesh.nodes) {
    await insider.feed(node, doc, [Y.encodeStateAsUpdate(copy), new Uint8Array(randomBytes(5000))]);
  }
  await insider.named(mesh.nodes);
  for (const node of mesh.nodes) {
    assert.ok((await arraysAt(node, doc)).some(({ author }) => author === job.fact.author));
  }
  await allIsWell([job.id]);
});

test('who squats on the places of another’s array keeps none of its facts away', async () => {
  const first = await store(mesh, a1, { owner: ada });
  const { doc } = first.fact;
  const array = await waitFor(
    async () => (await arraysAt(a2, doc)).find(({ author }) => author === a1.peer),
    { deadline_ms: patience_ms, what: 'the array of a1' },
  );
  // what a1 has said already, again and again in the places that its next facts will want
  const replays = Array.from({ length: 5 }, () => array.records[0]!);
  const squat = encodeRun({ ...array, name: array.name!, records: [...array.records, ...replays] });
  for (const node of mesh.nodes) await insider.feed(node, doc, [squat]);
  const jobs = [first.id];
  for (let i = 0; i < 3; i++) jobs.push((await store(mesh, a1, { owner: ada })).id);
  await allIsWell(jobs);
});

test('nodes that are told different facts under one number, and in one place, agree on all of them', async () => {
  const seq = Date.now();
  const [one, other] = [await jobFact({ seq, time_ms: seq }), await jobFact({ seq, time_ms: seq })];
  const doc = jobsDoc('a', seq);
  const name = newArrayName(insider.peer);
  const update = (record: Uint8Array) =>
    encodeRun({ client: clientOf(name), name, clock: 0, records: [record] });
  await insider.feed(a1, doc, [update(one.record)]);
  await insider.feed(a2, doc, [update(other.record)]);
  for (const { subject } of [one, other]) await untilKnown(mesh.nodes, 'job', subject);
  const digests = mesh.nodes.map((node) => node.mesh.ledger.digest(doc));
  assert.equal(digests, digests.map(() => digests[0]));
});

test('a fact of the year 2099 is nowhere, and its author is named also by those that hear it of others', async () => {
  const { record, subject } = await jobFact({
    time_ms: Date.parse('2099-01-01'),
    doc: jobsDoc('a', Date.now()),
  });
  for (const node of mesh.nodes) await insider.put(node, jobsDoc('a', Date.now()), [record]);
  await insider.named(mesh.nodes);
  for (const node of mesh.nodes) {
    assert.is(node.mesh.ledger.latest('job', subject), undefined);
    assert.not(
      (await arraysAt(node, jobsDoc('a', Date.now()))).some(({ author }) => author === insider.peer),
    );
  }
  await allIsWell([(await store(mesh, a2, { owner: ada })).id]);
});

/** Records of authors whom nobody knows. */
async function junk(count: number, doc: string): Promise<Uint8Array[]> {
  const author = (await generateHostKey()).peerId;
  return await Promise.all(Array.from({ length: count }, async (_, i) => {
    // the schema asks for base58 of this length, and nobody looks further
    const a = author.slice(0, -6) + String(i + 111_111).replaceAll('0', 'z');
    const fact = { doc, author: a, seq: 1, kind: 'job', subject: newJobId(a), time_ms: Date.now(), body: {} };
    return await signFact(keys.key, fact);
  }));
}

test('junk of unknown authors takes bounded room, and holds nothing up', async () => {
  const doc = jobsDoc('a', Date.now());
  const records = await junk(2000, doc);
  const updates = records.map((record) => {
    const name = newArrayName(JSON.parse(`"${
      new TextDecoder('latin1').decode(record)
        .match(/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}/)![0]
    }"`));
    return encodeRun({ client: clientOf(name), name, clock: 0, records: [record] });
  });
  await insider.feed(a1, doc, updates);
  const job = await store(mesh, a2, { owner: ada });
  await prints(job, a1);
  await untilKnown(mesh.nodes, 'settled', job.id);
  assert.not((await arraysAt(a1, doc)).some(({ author }) => !mesh.nodes.some(({ peer }) => peer === author)));
});

test('an answer of 100 MB is not read, and whoever gives it is named', async () => {
  const own = await certifiedNode(mesh.authority, { name: 'large' });
  await withRogue(await startRogue({ hostKey: own.hostKey }), async (large) => {
    const updates = Array.from({ length: 25 }, () => new Uint8Array(maxPulledBytes));
    await large.rpc.handle(anyMethod('digests'), () => {
      return Promise.resolve({ reply: { docs: [[directoryDoc, 1, new Uint8Array(16)]] } });
    });
    await large.rpc.handle(
      anyMethod('pull'),
      () => Promise.resolve({ reply: [updates, encodeVector(new Map())] }),
    );
    await large.hello(a1, own);
    await waitFor(() => a1.mesh.ledger.suspects().find(({ peer }) => peer === large.peer), {
      deadline_ms: patience_ms,
      what: 'it to be named',
    });
  });
  await store(mesh, a1, { owner: ada });
});

test('what a revoked node says from then on counts for nothing, what it has said before stays', async () => {
  const before = await jobFact({ time_ms: Date.now() - hour_ms });
  const doc = jobsDoc('a', Date.now() - hour_ms);
  await insider.put(a1, doc, [before.record]);
  await untilKnown(mesh.nodes, 'job', before.subject);
  const since = await jobFact({ time_ms: Date.now() + hour_ms });
  const later = jobsDoc('a', Date.now() + hour_ms);
  await insider.put(a1, later, [since.record]);
  await untilKnown(mesh.nodes, 'job', since.subject);
  await a1.mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf('node', insider.peer), {});
  const gone = () => mesh.nodes.every(({ mesh }) => mesh.ledger.latest('job', since.subject) === undefined);
  await waitFor(() => gone() || undefined, { deadline_ms: 30_000, what: 'its later facts to be gone' });
  for (const node of mesh.nodes) {
    assert.ok(node.mesh.ledger.latest('job', before.subject));
    await node.mesh.ledger.settled();
    assert.equal(
      node.state.facts.byDoc(later).filter(({ record }) => Buffer.from(record).equals(since.record)),
      [],
    );
  }
  const sums = () => new Set(mesh.nodes.map(({ mesh }) => mesh.ledger.digest(later).sum.toHex())).size === 1;
  await waitFor(() => sums() || undefined, { deadline_ms: patience_ms, what: 'all tables to agree' });
});

test('a node asks no member for documents that there cannot be', async () => {
  const own = await certifiedNode(mesh.authority, { name: 'lister' });
  const yesterday = jobsDoc('a', Date.now() - day_ms);
  const docs = [jobsDoc('nowhere', Date.now()), jobsDoc('a', Date.now() - 30 * day_ms), 'other', yesterday];
  const asked: string[] = [];
  await withRogue(await startRogue({ hostKey: own.hostKey }), async (lister) => {
    const listed = docs.map((doc) => [doc, 1, new Uint8Array(randomBytes(16))]);
    await lister.rpc.handle(anyMethod('digests'), () => Promise.resolve({ reply: { docs: listed } }));
    await lister.rpc.handle(anyMethod('pull'), ({ request }) => {
      const [doc, vector] = request as [string, Uint8Array];
      decodeVector(vector);
      asked.push(doc);
      return Promise.resolve({ reply: [[], encodeVector(new Map())] });
    });
    await lister.hello(a1, own);
    const last = () => asked.includes(yesterday) || undefined;
    await waitFor(last, { deadline_ms: patience_ms, what: 'the last document to be asked for' });
    assert.equal([...new Set(asked.filter((doc) => docs.includes(doc)))], [yesterday]);
  });
});

test.run();
