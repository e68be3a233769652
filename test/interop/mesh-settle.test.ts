import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Fact, signFact } from '../../mesh/facts.ts';
import { type SettledBody, signReceipt } from '../../mesh/job-facts.ts';
import {
  certifiedNode,
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  grantOf,
  leftOf,
  type NodeKeys,
  startMesh,
  store,
  type Stored,
  untilErased,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { answerTo, type Insider, type Rogue, startInsider } from '../fakes/rogue.ts';

let mesh: FakeMesh;
let a1: FakeNode;
let keys: NodeKeys;
/** a member that follows no rule */
let insider: Insider;
let job: Stored;

test.before(async () => {
  mesh = await startMesh(4);
  [a1] = mesh.nodes as [FakeNode];
  keys = await certifiedNode(mesh.authority, { name: 'insider' });
  insider = await startInsider(keys, mesh.nodes);
});

test.before.each(async () => {
  job = await store(mesh, a1, { owner: await user(mesh, 'ada') });
});

test.after(async () => {
  await insider.stop();
  await mesh.stop();
});

const claimOf = (peer: string) => `${peer}/${crypto.randomUUID()}`;

type Receipts = SettledBody['receipts'];

/** A claim of the insider's with real votes, and real receipts of the first `count` holders. */
async function beginAt(count: number): Promise<{ id: string; receipts: Receipts }> {
  const id = claimOf(insider.peer);
  const about = { job: job.id, epoch: 1, claim: id };
  const grant = await grantOf(job, { claimant: insider.peer });
  const receipts: Receipts = [];
  for (const [i, node] of job.holders.entries()) {
    await insider.call(node, 'vote', { ...about, permission: { grant } });
    if (i >= count) continue;
    const { receipt } = await insider.call(node, 'begin', about) as { receipt: Uint8Array };
    receipts.push([node.peer, receipt]);
  }
  return { id, receipts };
}

interface Settlement {
  claim: string;
  receipts: Receipts;
  author?: string;
  key?: CryptoKey;
  doc?: string;
  subject?: string;
  outcome?: SettledBody['outcome'];
}

function settlement(given: Settlement): Promise<Uint8Array> {
  const { claim, receipts, outcome = 'printed', author = insider.peer, key = keys.key } = given;
  const body: SettledBody = { epoch: 1, claim, outcome, target: 'printer-a', reason: '', receipts };
  const time_ms = Date.now();
  const fact: Fact = {
    ...{ doc: given.doc ?? job.fact.doc, author, seq: time_ms, kind: 'settled', time_ms, body },
    subject: given.subject ?? job.id,
  };
  return signFact(key, fact);
}

/** Sends a settlement to every holder, each of which refuses it and keeps all that it has. */
async function refused(fact: Uint8Array, refusal: RegExp, by: Rogue = insider): Promise<void> {
  const before = job.holders.map((node) => node.state.pieces.get(job.id));
  for (const node of job.holders) {
    assert.match(await answerTo(by.call(node, 'settle', { job: job.id, fact })), refusal);
    assert.equal(leftOf(node, job.id), ['envelope', 'piece', 'share']);
    assert.is(node.mesh.ledger.latest('settled', job.id), undefined);
  }
  assert.equal(job.holders.map((node) => node.state.pieces.get(job.id)), before);
}

test('a settlement by its claimant with the receipts of a quorum is taken', async () => {
  const { id, receipts } = await beginAt(2);
  const fact = await settlement({ claim: id, receipts });
  for (const node of job.holders) await insider.call(node, 'settle', { job: job.id, fact });
  await untilErased(job.holders, job.id);
});

test('a claimant that dies when one holder knows how it ended: the others hear it with the facts', async () => {
  const { id, receipts } = await beginAt(2);
  const [first] = job.holders as [FakeNode];
  await insider.call(first, 'settle', { job: job.id, fact: await settlement({ claim: id, receipts }) });
  await untilErased(job.holders, job.id);
});

test('who prints a job again reads it to its end, although the claim before has turned out to have printed', async () => {
  const far = mesh.nodes.find((node) => !job.holders.includes(node)) as FakeNode;
  const first = await claim(far, job);
  await first.begin();
  const again = await claim(a1, job, await grantOf(job, { confirm: [first.id] }));
  await again.begin();
  await first.settle('printed');
  await untilKnown(job.holders, 'settled', job.id);
  for (const node of job.holders) assert.equal(leftOf(node, job.id), ['envelope', 'piece']);
  assert.equal(await collect(again.document()), Buffer.from(job.document));
  await again.settle('printed');
  await untilErased(job.holders, job.id);
});

test('a settlement that somebody else than the claimant signs is refused', async () => {
  const claimed = await claim(a1, job);
  await claimed.begin();
  const [row] = a1.state.claims.list();
  const receipts: Receipts = (row?.receipts ?? []).map(({ holder, signature }) => [holder, signature]);
  const notTheClaimant = /^forbidden: only the claimant settles its claim/;
  await refused(await settlement({ claim: claimed.id, receipts }), notTheClaimant);
  const signed = await settlement({ claim: claimed.id, receipts, author: a1.peer });
  await refused(signed, /^unauthenticated: the signature is not its author/);
  const genuine = await settlement({ claim: claimed.id, receipts, author: a1.peer, key: a1.keys.key });
  await refused(genuine, notTheClaimant);
  assert.equal(await collect(claimed.document()), Buffer.from(job.document));
  await claimed.settle('printed');
  await untilErased(job.holders, job.id);
});

test('receipts that are forged, counted twice, of others or of another claim do not make a settlement', async () => {
  const { id, receipts } = await beginAt(2);
  const [first, second] = receipts as [Receipts[0], Receipts[0]];
  const about = { job: job.id, epoch: 1, claim: id };
  const outsider = mesh.nodes.find((node) => !job.holders.includes(node)) as FakeNode;
  const foreign = await signReceipt(outsider.keys.key, { ...about, holder: outsider.peer });
  const own = await signReceipt(keys.key, { ...about, holder: second[0] });
  const other = await signReceipt(a1.keys.key, { ...about, claim: claimOf(insider.peer), holder: a1.peer });
  const rest = receipts.filter(([holder]) => holder !== a1.peer);
  const wrong: [Receipts, RegExp][] = [
    [[first], /^unavailable: what the fact rests on has not arrived/],
    [[], /^bad-request: /],
    [[first, first], /^forbidden: a receipt counts once/],
    [[first, [second[0], new Uint8Array(randomBytes(64))]], /^unauthenticated: a receipt is not its holder/],
    [[first, [second[0], first[1]]], /^unauthenticated: a receipt is not its holder/],
    [[first, [second[0], own]], /^unauthenticated: a receipt is not its holder/],
    [[first, [outsider.peer, foreign]], /^unavailable: what the fact rests on has not arrived/],
    [[...rest.slice(0, 1), [a1.peer, other]], /^unauthenticated: a receipt is not its holder/],
  ];
  for (const [receipts, refusal] of wrong) {
    for (const outcome of ['printed', 'failed', 'cancelled', 'interrupted'] as const) {
      await refused(await settlement({ claim: id, receipts, outcome }), refusal);
    }
  }
});

test('receipts of one job do not settle another, and a settlement belongs to the document of its job', async () => {
  const elsewhere = await store(mesh, a1, { owner: job.owner });
  const { id, receipts } = await beginAt(2);
  const about = { claim: id, receipts };
  const other = await settlement({ ...about, subject: elsewhere.id });
  for (const node of elsewhere.holders) {
    const call = insider.call(node, 'settle', { job: elsewhere.id, fact: other });
    assert.match(await answerTo(call), /^unauthenticated: |^unavailable: /);
  }
  await refused(other, /^unauthenticated: |^unavailable: /);
  await refused(
    await settlement({ ...about, doc: 'directory' }),
    /^unavailable: what the fact rests on has not arrived/,
  );
  await refused(randomBytes(300), /^bad-request: /);
});

test('a settlement that a non-claimant puts into the document changes nobody’s lists', async () => {
  const claimed = await claim(a1, job);
  await claimed.begin();
  const [row] = a1.state.claims.list();
  const receipts: Receipts = (row?.receipts ?? []).map(({ holder, signature }) => [holder, signature]);
  const forged = [
    await settlement({ claim: claimed.id, receipts }),
    await settlement({ claim: claimed.id, receipts, author: a1.peer }),
  ];
  for (const [i, node] of mesh.nodes.entries()) {
    await insider.put(node, job.fact.doc, [forged[i % 2] as Uint8Array]);
    await insider.named([node]);
    await node.mesh.ledger.settled();
    assert.is(node.mesh.ledger.latest('settled', job.id), undefined);
  }
  await claimed.settle('printed');
  await untilErased(job.holders, job.id);
  await untilKnown(mesh.nodes, 'settled', job.id);
  for (const node of mesh.nodes) {
    assert.is(node.mesh.ledger.latest('settled', job.id)?.author, a1.peer);
  }
});

test('a claim that has begun at one holder only cannot be settled, and can be yielded', async () => {
  const { id, receipts } = await beginAt(1);
  await refused(await settlement({ claim: id, receipts }), /^unavailable: what the fact rests on/);
  for (const node of job.holders) await insider.call(node, 'yield', { job: job.id, epoch: 1, claim: id });
  const again = await claim(a1, job);
  await again.begin();
  await again.settle('printed');
  await untilErased(job.holders, job.id);
});

test.run();
