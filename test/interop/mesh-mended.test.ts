import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encryptEnvelope, keyBytes } from '../../mesh/envelope.ts';
import { jobsDoc } from '../../mesh/facts.ts';
import { jobKind, withdrawnKind } from '../../mesh/job-facts.ts';
import { expiryLook_ms, redialMax_ms, republishLook_ms, unsealedAge_ms } from '../../mesh/limits.ts';
import type { VoteReply } from '../../mesh/protocol.ts';
import { splitKey } from '../../mesh/shares.ts';
import { State } from '../../src/state.ts';
import {
  certifiedNode,
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  grantOf,
  leaseOf,
  leftOf,
  outsider,
  patience_ms,
  pieces,
  prints,
  startMesh,
  store,
  type Stored,
  untilErased,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { fakeAuthority, refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { anyMethod, startRogue } from '../fakes/rogue.ts';

let mesh: FakeMesh;
let a1: FakeNode;
let ada: Stored['owner'];

test.before(async () => {
  mesh = await startMesh(4);
  [a1] = mesh.nodes as [FakeNode];
  ada = await user(mesh, 'ada');
});

test.after(async () => {
  await mesh.stop();
});

/** Has every node look at once what is to go. */
const sweep = () => mesh.nodes.forEach(({ clock }) => clock.hurry(expiryLook_ms));

/** A job that a1 has stored at itself and two more, with nothing sealed. */
async function unsealedJob() {
  const id = a1.mesh.acceptor.newJobId();
  const document = randomBytes(1000);
  const key = crypto.getRandomValues(new Uint8Array(keyBytes));
  const envelope = await collect(encryptEnvelope(key, id, pieces(document)));
  const shares = await splitKey(key);
  const holders = mesh.nodes.slice(0, 3);
  const { signal } = new AbortController();
  const about = { job: id, epoch: 1, owner: ada.user, submitter: null, ticket: new Uint8Array([1]) } as const;
  for (const [i, { peer }] of holders.entries()) {
    const request = { ...about, share: shares[i] ?? new Uint8Array(0) };
    await a1.mesh.holders(peer).store(request, pieces(envelope), signal);
  }
  const { fact, record } = await a1.mesh.ledger.sign(jobKind, (time_ms) => jobsDoc('a', time_ms), id, {
    ...{ owner: ada.user, bytes: document.length, epoch: 1 as const, expires_ms: Date.now() + 8 * 3600_000 },
    holders: holders.map(({ peer }) => peer),
    ...{ degraded: null, sleeper: null, handed: null },
  });
  return { job: { id, fact, owner: ada, document, holders } satisfies Stored, record };
}

const isSealed = (node: FakeNode, job: Stored) => node.state.pieces.get(job.id)?.sealed === true;

test('holders that the accepting node did not get to seal do so when they hear of the job', async () => {
  const { job, record } = await unsealedJob();
  const others = job.holders.slice(1);
  await a1.mesh.custody.seal(a1.peer, { job: job.id, fact: record, handoff: null });
  for (const node of others) assert.not(isSealed(node, job), node.name);
  a1.mesh.ledger.publish(job.fact, record);
  const sealed = () => others.every((node) => isSealed(node, job)) || undefined;
  await waitFor(sealed, { deadline_ms: patience_ms, what: 'every holder to have sealed' });
  await a1.stop();
  const claimed = await claim(mesh.nodes[3] as FakeNode, job);
  await claimed.begin();
  assert.equal(await collect(claimed.document()), Buffer.from(job.document));
  await claimed.settle('printed');
  await a1.start();
  await mesh.connected();
  await untilErased(job.holders, job.id);
});

test('a holder that has heard of the job, and stopped before it sealed, seals when it starts', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const others = job.holders.filter((node) => node !== a1);
  for (const node of others) {
    await node.stop();
    const state = new State(node.dir);
    assert.is(state.run('UPDATE pieces SET sealed = 0 WHERE job = ?', job.id), 1);
    state.close();
    await node.start();
    assert.ok(isSealed(node, job), node.name);
  }
  await mesh.connected();
  await prints(job, others[0] as FakeNode);
});

test('the accepting node does not publish a job before every holder has sealed it', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const others = mesh.nodes.slice(1);
  let seals = 0;
  const restore = others.map(({ mesh: { custody } }) => {
    const seal = custody.seal.bind(custody);
    custody.seal = async (from, request) => {
      await new Promise((later) => setTimeout(later, 2 * republishLook_ms));
      await seal(from, request);
      seals++;
    };
    return () => custody.seal = seal;
  });
  const about = {
    job: id,
    owner: 'ada',
    submitter: null,
    ticket: new Uint8Array([1]),
  };
  const accepted = a1.mesh.acceptor.accept(about, pieces(randomBytes(100)), new AbortController().signal);
  await untilKnown(others, 'job', id);
  assert.is(seals, 2);
  await accepted;
  restore.forEach((each) => each());
});

for (const ending of ['yield', 'failed'] as const) {
  test(`a job that is withdrawn while a vote is open is erased when the vote is freed: ${ending}`, async () => {
    const job = await store(mesh, a1, { owner: ada });
    const claimed = await claim(outsider(mesh, job), job);
    if (ending === 'failed') await claimed.begin();
    const votes = () => job.holders.every((node) => leaseOf(node, job).vote !== null) || undefined;
    await waitFor(votes, { deadline_ms: patience_ms, what: 'three votes' });
    await a1.mesh.ledger.state(withdrawnKind, () => job.fact.doc, job.id, {});
    await untilKnown(mesh.nodes, 'withdrawn', job.id);
    for (const node of job.holders) assert.equal(leftOf(node, job.id), ['envelope', 'piece', 'share']);
    if (ending === 'failed') await claimed.settle('failed', 'out of paper');
    else claimed.yield();
    await untilErased(job.holders, job.id);
  });
}

test('the sweep takes what was never sealed and nobody accepts any more, by a clock that does not jump', async () => {
  const kept = await store(mesh, a1, { owner: ada });
  const { job: loose } = await unsealedJob();
  const a2 = mesh.nodes[1] as FakeNode;
  const all = ['envelope', 'piece', 'share'];
  for (const node of mesh.nodes) node.clock.shift(2 * unsealedAge_ms);
  sweep();
  for (const node of mesh.nodes) node.clock.shift(-2 * unsealedAge_ms);
  for (const node of mesh.nodes) node.clock.advance(unsealedAge_ms - 60_000);
  sweep();
  for (const node of loose.holders) assert.equal(leftOf(node, loose.id), all, node.name);
  for (const node of mesh.nodes) node.clock.advance(120_000);
  sweep();
  await untilErased(loose.holders, loose.id);
  for (const node of kept.holders) assert.equal(leftOf(node, kept.id), all, node.name);
  await prints(kept, a2);
});

test('the sweep does not erase what is sealed while it is at work', async () => {
  const jobs = [await unsealedJob(), await unsealedJob()];
  const a2 = mesh.nodes[1] as FakeNode;
  for (const { job, record } of jobs) {
    await a2.mesh.custody.seal(a1.peer, { job: job.id, fact: record, handoff: null });
  }
  const loose = await unsealedJob();
  const last = await unsealedJob();
  for (const node of mesh.nodes) node.clock.advance(2 * unsealedAge_ms);
  sweep();
  // the first of two is being erased: the other's seal arrives
  a2.state.pieces.markSealed(last.job.id);
  await untilErased([a2], loose.job.id);
  sweep();
  for (const { job } of [...jobs, last]) {
    assert.equal(leftOf(a2, job.id), ['envelope', 'piece', 'share']);
  }
});

/** Has one holder of a job answer votes otherwise, before the second right vote arrives. */
function misvoting(
  job: Stored,
  change: (vote: VoteReply) => VoteReply,
): [bad: FakeNode, restore: () => void] {
  const [bad, late] = job.holders.filter((node) => node !== a1) as [FakeNode, FakeNode];
  let voted = () => {};
  const badVote = new Promise<void>((resolve) => voted = resolve);
  const custodies = [bad.mesh.custody, late.mesh.custody] as const;
  const [first, second] = custodies.map((custody) => custody.vote.bind(custody));
  custodies[0].vote = async (from, request) => {
    const vote = change(await first!(from, request));
    voted();
    return vote;
  };
  custodies[1].vote = async (from, request) => {
    await badVote;
    return await second!(from, request);
  };
  return [bad, () => {
    custodies[0].vote = first!;
    custodies[1].vote = second!;
  }];
}

const lies: Record<string, (vote: VoteReply) => VoteReply> = {
  'another ticket': (vote) => ({ ...vote, ticket: new Uint8Array([6, 6, 6]) }),
  'no share': (vote) => ({ ...vote, share: new Uint8Array(0) }),
};
for (const [name, lie] of Object.entries(lies)) {
  test(`a job prints although one holder gives ${name}, and that holder is named`, async () => {
    const job = await store(mesh, a1, { owner: ada });
    const [bad, restore] = misvoting(job, lie);
    try {
      const node = outsider(mesh, job);
      const claimed = await claim(node, job);
      assert.equal(claimed.ticket, new Uint8Array([1]));
      const named = node.logged.filter((line) => line.includes('corrupt share') && line.includes(job.id));
      assert.is(named.length, 1, named.join());
      assert.match(named[0] ?? '', `"node":"${bad.name}"`);
      await claimed.begin();
      assert.equal(await collect(claimed.document()), Buffer.from(job.document));
      await claimed.settle('printed');
      await untilErased(job.holders, job.id);
    } finally {
      restore();
    }
  });
}

test('a grant to cancel yields no key, not even when it is used as one to release', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const grant = await grantOf(job, { action: 'cancel' });
  const shares: number[] = [];
  const restore = job.holders.map(({ mesh: { custody } }) => {
    const vote = custody.vote.bind(custody);
    custody.vote = async (from, request) => {
      const reply = await vote(from, request);
      shares.push(reply.share.length);
      return reply;
    };
    return () => custody.vote = vote;
  });
  assert.match(await refusalOf(() => claim(a1, job, grant)), /^corrupt: /);
  const cancel = await grantOf(job, { action: 'cancel' });
  const claimed = await a1.mesh.claimant.claim(job.id, { grant: cancel }, '');
  assert.throws(() => claimed.document(), /a cancellation reads no document/);
  assert.ok(shares.length >= 4);
  assert.is(Math.max(...shares), 0);
  restore.forEach((each) => each());
  await claimed.begin();
  await claimed.settle('cancelled');
  await untilErased(job.holders, job.id);
});

test('the name of a job that is being accepted cannot be taken by another node', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const document = randomBytes(300_000);
  const [, a2] = mesh.nodes as [FakeNode, FakeNode];
  const request = {
    ...{ job: id, epoch: 1, owner: 'mallory', submitter: null, ticket: new Uint8Array([6]) } as const,
    share: new Uint8Array(33).fill(1),
  };
  let answer = '';
  async function* slowly() {
    yield document.subarray(0, 200_000);
    const { signal } = new AbortController();
    const intruder = a2.mesh.holders(a1.peer);
    answer = await refusalOf(() => intruder.store(request, pieces(randomBytes(5000)), signal));
    yield document.subarray(200_000);
  }
  const about = {
    job: id,
    owner: 'ada',
    submitter: null,
    ticket: new Uint8Array([1]),
  };
  const fact = await a1.mesh.acceptor.accept(about, slowly(), new AbortController().signal);
  assert.match(answer, /^forbidden: a job’s id is of the node that accepts it/);
  await untilKnown(mesh.nodes, 'job', id);
  const { holders } = fact.body as { holders: string[] };
  const by = mesh.nodes.filter(({ peer }) => holders.includes(peer));
  await prints({ id, fact, owner: ada, document, holders: by }, a2);
});

test('a configured address is tried again after another organisation’s node has answered there', async () => {
  const [place, stop] = [await startMesh(1), [] as (() => Promise<unknown>)[]];
  try {
    const right = place.nodes[0] as FakeNode;
    const address = right.address.replace(/\/p2p\/.*/, '');
    await right.stop();
    const other = await certifiedNode(await fakeAuthority('Other works', Date.now()), { name: 'b1' });
    const foreign = await startRogue({ hostKey: other.hostKey, at: address });
    stop.push(async () => await foreign.stop());
    const { identity: { der: leaf }, issuers } = other;
    await foreign.rpc.handle(
      anyMethod('hello'),
      () => Promise.resolve({ reply: { leaf, issuers, time_ms: Date.now(), addresses: [] } }),
    );
    const seeker = await place.add('seeker', { peers: [address] });
    const refused = () => seeker.logged.some((line) => line.includes('not admitted')) || undefined;
    await waitFor(refused, { deadline_ms: patience_ms, what: 'the foreign node to be refused' });
    await foreign.stop();
    await right.start();
    assert.equal(seeker.mesh.members(), []);
    seeker.clock.advance(2 * redialMax_ms);
    await place.connected();
  } finally {
    for (const each of stop) await each();
    await place.stop();
  }
});

test('a document that cannot be written ends nothing, and loses nothing', async () => {
  const a3 = mesh.nodes[2] as FakeNode;
  const { facts } = a3.state;
  const put = facts.putSnapshot.bind(facts);
  let failures = 0;
  facts.putSnapshot = () => {
    failures++;
    facts.putSnapshot = put;
    throw new Error('database or disk is full');
  };
  const job = await store(mesh, a1, { owner: ada });
  await a3.stop();
  assert.is(failures, 1);
  assert.ok(a3.logged.some((line) => line.startsWith('error a document cannot be written')));
  await a3.start();
  assert.ok(a3.mesh.ledger.latest('job', job.id));
  await mesh.connected();
  await prints(job, a3);
});

test.run();
