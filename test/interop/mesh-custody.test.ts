import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encryptEnvelope, envelopeLength, keyBytes } from '../../mesh/envelope.ts';
import { type Fact, jobsDoc, signFact } from '../../mesh/facts.ts';
import type { JobBody } from '../../mesh/job-facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { maxTicketBytes, unsealedAge_ms } from '../../mesh/limits.ts';
import { splitKey } from '../../mesh/shares.ts';
import { Jobs } from '../../src/release/jobs.ts';
import { openSpool } from '../../src/spool.ts';
import {
  certifiedNode,
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  grantOf,
  leftOf,
  type NodeKeys,
  patience_ms,
  pieces,
  prints,
  spooled,
  startMesh,
  store,
  type Stored,
  untilErased,
  user,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { answerTo, type Rogue, startInsider } from '../fakes/rogue.ts';

let mesh: FakeMesh;
let a1: FakeNode;
let ada: Stored['owner'];
const keys: NodeKeys[] = [];
/** two members that do what the test tells them */
const insiders: Rogue[] = [];

test.before(async () => {
  mesh = await startMesh(4);
  [a1] = mesh.nodes as [FakeNode];
  ada = await user(mesh, 'ada');
  for (const name of ['first', 'second']) {
    const own = await certifiedNode(mesh.authority, { name });
    keys.push(own);
    insiders.push(await startInsider(own, mesh.nodes));
  }
});

test.after(async () => {
  for (const insider of insiders) await insider.stop();
  await mesh.stop();
});

const both = () => insiders as [Rogue, Rogue];

interface Sent {
  id: string;
  document: Uint8Array;
  /** body of `store` */
  envelope: Uint8Array;
  request: Record<string, unknown>;
}

/** A job that the first insider stores by hand. */
async function newJob(document: Uint8Array = randomBytes(1000)): Promise<Sent> {
  const id = newJobId(both()[0].peer);
  const key = crypto.getRandomValues(new Uint8Array(keyBytes));
  const envelope = await collect(encryptEnvelope(key, id, pieces(document)));
  const [share] = await splitKey(key);
  const request = { job: id, epoch: 1, owner: 'ada', submitter: null, ticket: new Uint8Array([1]), share };
  return { id, document, envelope, request };
}

const storeAt = (by: Rogue, node: FakeNode, sent: Sent) =>
  by.call(node, 'store', sent.request, pieces(sent.envelope));

/** A job fact about what an insider has stored. */
function jobFact(
  own: NodeKeys,
  sent: Sent,
  changes: Partial<JobBody> = {},
  subject = sent.id,
): Promise<Uint8Array> {
  const time_ms = Date.now();
  const body = {
    ...{ owner: 'ada', bytes: sent.document.length, epoch: 1, expires_ms: time_ms + 3600_000 },
    holders: mesh.nodes.slice(0, 3).map(({ peer }) => peer),
    ...{ degraded: null, sleeper: null, handed: null },
    ...changes,
  };
  const fact: Fact = {
    ...{
      doc: jobsDoc('a', time_ms),
      author: own.identity.peerId,
      seq: time_ms,
      kind: 'job',
      subject,
      time_ms,
      body,
    },
  };
  return signFact(own.key, fact);
}

const nothingLeft = (id: string) => {
  for (const node of mesh.nodes) assert.equal(leftOf(node, id), [], node.name);
};

test('a piece is sealed by the node that stored it, with a job fact of its own that fits', async () => {
  const [first, second] = both();
  const [own, others] = keys as [NodeKeys, NodeKeys];
  const sent = await newJob();
  await storeAt(first, a1, sent);
  const seal = (by: Rogue, fact: Uint8Array, job = sent.id) =>
    answerTo(by.call(a1, 'seal', { job, fact, handoff: null }));
  const misfit = /^forbidden: the job fact is not of the piece/;
  assert.match(await seal(second, await jobFact(own, sent)), misfit);
  for (const by of [first, second]) {
    assert.match(await seal(by, await jobFact(others, sent)), /^forbidden: /, 'the id is the first one’s');
  }
  assert.match(await seal(first, await jobFact(own, sent, { owner: 'eve' })), misfit);
  assert.match(await seal(first, await jobFact(own, sent, { bytes: sent.document.length + 1 })), misfit);
  const elsewhere = [...mesh.nodes.slice(1).map(({ peer }) => peer)];
  assert.match(await seal(first, await jobFact(own, sent, { holders: elsewhere })), misfit);
  assert.match(await seal(first, await jobFact(own, sent, {}, newJobId(first.peer))), /^not-found: /);
  assert.match(await seal(first, await jobFact(own, sent), newJobId(first.peer)), /^not-found: /);
  assert.match(await seal(first, randomBytes(200)), /^bad-request: /);
  assert.is(a1.state.pieces.get(sent.id)?.sealed, false);
  assert.is(a1.mesh.ledger.latest('job', sent.id), undefined);
  const fact = await jobFact(own, sent);
  assert.is(await seal(first, fact), 'answered');
  assert.is(await seal(first, fact), 'answered', 'a seal that is repeated is answered again');
  assert.is(a1.state.pieces.get(sent.id)?.sealed, true);
});

test('what is not sealed gives no vote, and is dropped by the node that stored it, and by no other', async () => {
  const [first, second] = both();
  const sent = await newJob();
  await storeAt(first, a1, sent);
  const stored: Stored = {
    ...{ id: sent.id, owner: ada, document: sent.document },
    fact: {} as Fact,
    holders: [a1],
  };
  const vote = {
    ...{ job: sent.id, epoch: 1, claim: `${first.peer}/${crypto.randomUUID()}` },
    permission: { grant: await grantOf(stored, { claimant: first.peer }) },
  };
  assert.match(await answerTo(first.call(a1, 'vote', vote)), /^not-found: /);
  const drop = (by: Rogue) => answerTo(by.call(a1, 'abandon', { job: sent.id }));
  assert.match(await drop(second), /^forbidden: this job is not yours to drop/);
  assert.equal(leftOf(a1, sent.id), ['envelope', 'piece', 'share']);
  assert.is(await drop(first), 'answered');
  nothingLeft(sent.id);
  assert.is(await drop(first), 'answered', 'and again');
});

test('what is sealed is not dropped any more', async () => {
  const [first] = both();
  const sent = await newJob();
  await storeAt(first, a1, sent);
  await first.call(a1, 'seal', {
    ...{ job: sent.id, fact: await jobFact(keys[0] as NodeKeys, sent), handoff: null },
  });
  assert.match(await answerTo(first.call(a1, 'abandon', { job: sent.id })), /^forbidden: /);
  assert.equal(leftOf(a1, sent.id), ['envelope', 'piece', 'share']);
});

test('a job that is kept already is not stored again, and stays as it is', async () => {
  const [first] = both();
  const job = await store(mesh, a1, { owner: ada });
  const other = await newJob();
  const again = { ...other, request: { ...other.request, job: job.id } };
  for (const node of job.holders) {
    assert.match(await answerTo(storeAt(first, node, again)), /^forbidden: a job’s id is of the node/);
  }
  const kept = await newJob();
  await storeAt(first, a1, kept);
  assert.match(await answerTo(storeAt(first, a1, kept)), /^conflict: this job is kept here already/);
  const sent = await newJob();
  const answers = await Promise.all([1, 2].map(() => answerTo(storeAt(first, a1, sent))));
  assert.equal(answers.map((answer) => answer.split(':')[0]).sort(), ['answered', 'conflict']);
  await prints(job, a1);
});

test('a body that breaks off, or is no envelope, leaves nothing', async () => {
  const [first] = both();
  const sent = await newJob(randomBytes(600_000));
  const before = spooled(a1);
  async function* broken() {
    yield sent.envelope.subarray(0, 100_000);
    await waitFor(() => spooled(a1).some((file) => file.startsWith(sent.id)) || undefined, {
      deadline_ms: patience_ms,
      what: 'the envelope to be written',
    });
    throw new Error('the printer driver crashed');
  }
  assert.match(await answerTo(first.call(a1, 'store', sent.request, broken())), /^internal: |^unavailable: /);
  await waitFor(() => spooled(a1).length === before.length || undefined, {
    deadline_ms: patience_ms,
    what: 'the rest to be removed',
  });
  const short = [
    new Uint8Array(0),
    sent.envelope.subarray(0, 20),
    sent.envelope.subarray(0, envelopeLength(0) - 1),
  ];
  for (const envelope of short) {
    const other = await newJob();
    assert.match(await answerTo(storeAt(first, a1, { ...other, envelope })), /^corrupt: /);
    nothingLeft(other.id);
  }
  nothingLeft(sent.id);
  assert.equal(spooled(a1), before);
  const again = async () => await answerTo(storeAt(first, a1, sent)) === 'answered' || undefined;
  await waitFor(again, { deadline_ms: patience_ms, what: 'the job to be stored after all' });
  await first.call(a1, 'abandon', { job: sent.id });
});

test('a store request with fields out of bounds is refused before anything is written', async () => {
  const [first] = both();
  const sent = await newJob();
  const wrong = [
    { job: '../../etc/passwd' },
    { job: sent.id.toUpperCase() },
    { epoch: 2 },
    { owner: 'a/b' },
    { ticket: new Uint8Array(0) },
    { ticket: new Uint8Array(maxTicketBytes + 1) },
    { share: new Uint8Array(32) },
    { submitter: new Uint8Array(32) },
    { submitter: { token: new Uint8Array(32), cancel: new Uint8Array(31) } },
    { more: 1 },
  ];
  for (const changes of wrong) {
    const answer = await answerTo(storeAt(first, a1, { ...sent, request: { ...sent.request, ...changes } }));
    assert.match(answer, /^bad-request: /, JSON.stringify(changes));
  }
  nothingLeft(sent.id);
});

test('a restart sweeps what belongs to no piece, and keeps what was stored, sealed or not', async () => {
  const [first] = both();
  const job = await store(mesh, a1, { owner: ada });
  const loose = await newJob();
  await storeAt(first, a1, loose);
  const restart = async () => {
    await a1.start();
    await mesh.connected();
    for (const [i, insider] of insiders.entries()) await insider.hello(a1, keys[i] as NodeKeys);
  };
  await a1.stop();
  const envelopes = join(a1.dir, 'envelopes');
  writeFileSync(join(envelopes, crypto.randomUUID()), randomBytes(100));
  writeFileSync(join(envelopes, `${crypto.randomUUID()}.part`), randomBytes(100));
  await restart();
  const kept = () => a1.state.pieces.list().map(({ job }) => job).sort();
  assert.equal(spooled(a1), kept());
  assert.equal(leftOf(a1, loose.id), ['envelope', 'piece', 'share'], 'its job fact may be on its way');
  const longer = { expires_ms: Date.now() + 2 * unsealedAge_ms };
  const seal = { job: loose.id, fact: await jobFact(keys[0] as NodeKeys, loose, longer), handoff: null };
  const late = await newJob();
  await storeAt(first, a1, late);
  await first.call(a1, 'seal', seal);
  await a1.stop();
  a1.clock.advance(unsealedAge_ms + 1);
  await restart();
  assert.equal(leftOf(a1, late.id), [], 'nobody has sealed it');
  for (const { id } of [job, loose]) assert.equal(leftOf(a1, id), ['envelope', 'piece', 'share']);
  assert.equal(spooled(a1), kept());
  await prints(job, a1);
});

test('a holder whose envelope is damaged still gives its share, and another one the document', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const [damaged, , third] = job.holders as [FakeNode, FakeNode, FakeNode];
  await damaged.stop();
  truncateSync(join(damaged.dir, 'envelopes', job.id), 1000);
  await damaged.start();
  await third.stop();
  await waitFor(() => damaged.mesh.members().length >= 2 || undefined, {
    deadline_ms: patience_ms,
    what: 'the holder to be back',
  });
  assert.equal(damaged.mesh.custody.damaged(), [job.id]);
  const claimed = await claim(damaged, job);
  await claimed.begin();
  assert.ok((await collect(claimed.document())).equals(job.document));
  await claimed.settle('printed');
  await third.start();
  await mesh.connected();
  await untilErased(job.holders, job.id);
});

const filesOf = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));

test('after a release neither share nor ticket is in any file of a holder', async () => {
  const ticket = Buffer.from(`marker ${crypto.randomUUID()}`);
  const job = await store(mesh, a1, { owner: ada, ticket });
  const secrets = job.holders.map((node) => Buffer.from(node.state.pieces.get(job.id)?.share ?? ''));
  const holding = (node: FakeNode, secret: Uint8Array) =>
    filesOf(node.dir).filter((file) => readFileSync(file).includes(secret)).length;
  for (const [i, node] of job.holders.entries()) {
    assert.ok(holding(node, ticket) > 0, 'it was there');
    assert.ok(holding(node, secrets[i] as Buffer) > 0, 'it was there');
  }
  for (const node of mesh.nodes) if (!job.holders.includes(node)) assert.is(holding(node, ticket), 0);
  const claimed = await claim(a1, job);
  await claimed.begin();
  await collect(claimed.document());
  await claimed.settle('printed');
  await untilErased(job.holders, job.id);
  for (const [i, node] of job.holders.entries()) {
    for (const [what, secret] of [['ticket', ticket], ['share', secrets[i] as Buffer]] as const) {
      await waitFor(() => holding(node, secret) === 0 ? true : undefined, {
        deadline_ms: 30_000,
        what: `the ${what} to be in no file of ${node.name}`,
      });
    }
  }
});

test('the spool writes under another name until an envelope is whole', async () => {
  const dir = tempDir();
  const spool = await openSpool(dir);
  const [whole, dropped] = [crypto.randomUUID(), crypto.randomUUID()];
  const writer = await spool.create(whole);
  await writer.write(new Uint8Array([1, 2, 3]));
  assert.equal(await spool.list(), []);
  assert.is(await spool.open(whole), undefined);
  assert.equal([...await writer.read(1, 2)], [2, 3]);
  await writer.finish();
  await writer.close();
  assert.equal(await spool.list(), [whole]);
  const second = await spool.create(dropped);
  await second.write(new Uint8Array(10));
  await second.abort();
  const reader = await spool.open(whole);
  assert.is(reader?.bytes, 3);
  assert.match(await refusalOf(() => reader?.read(2, 2)), /^corrupt: /);
  await reader?.close();
  await spool.remove(whole);
  await spool.remove(whole);
  assert.equal(readdirSync(join(dir, 'envelopes')), []);
});

test('a job that has expired is refused by every holder, and lists say so', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const retention_ms = (job.fact.body as JobBody).expires_ms - job.fact.time_ms;
  const state = () => new Jobs(a1.mesh).view(job.fact, undefined)?.state;
  assert.is(state(), 'held');
  for (const { clock } of mesh.nodes) clock.advance(retention_ms + 1);
  const refusal = await refusalOf(() => claim(a1, job));
  assert.match(refusal, /^not-found: this job was kept for as long as its site allows/);
  assert.equal(
    job.holders.flatMap(({ mesh }) => mesh.custody.viewOf(job.owner.user, (piece) => piece.job === job.id)),
    [],
  );
  for (const { clock } of mesh.nodes) clock.shift(retention_ms + 1);
  assert.is(state(), 'expired');
  for (const node of job.holders) {
    await node.stop();
    await node.start();
    assert.equal(leftOf(node, job.id), [], node.name);
  }
});

test.run();
