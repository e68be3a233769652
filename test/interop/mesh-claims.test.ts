import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Lease } from '../../mesh/lease.ts';
import { voteLease_ms } from '../../mesh/limits.ts';
import type { Piece } from '../../mesh/ports.ts';
import { cancelProof } from '../../mesh/submit-token.ts';
import {
  certifiedNode,
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  grantOf,
  leaseOf,
  type NodeKeys,
  outsider,
  prints,
  startMesh,
  store,
  type Stored,
  untilErased,
  untilFree,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { fakeAuthority, fakeNode, fakeUser, refusalOf } from '../fakes/organisation.ts';
import { answerTo, type Rogue, startInsider } from '../fakes/rogue.ts';

const minute_ms = 60_000;

let mesh: FakeMesh;
let a1: FakeNode;
let ada: Stored['owner'];
/** a member that follows no rule */
let insider: Rogue;
let insiderKeys: NodeKeys;

test.before(async () => {
  mesh = await startMesh(4);
  [a1] = mesh.nodes as [FakeNode];
  ada = await user(mesh, 'ada');
  insiderKeys = await certifiedNode(mesh.authority, { name: 'insider' });
  insider = await startInsider(insiderKeys, mesh.nodes);
});

test.after(async () => {
  await insider.stop();
  await mesh.stop();
});

const claimOf = (peer: string) => `${peer}/${crypto.randomUUID()}`;

const voteFor = (job: Stored, claim: string, permission: object) => ({
  ...{ job: job.id, epoch: 1, claim, permission },
});

/** A grant for the insider. */
const shown = (job: Stored, changes: Parameters<typeof grantOf>[1] = {}) =>
  grantOf(job, { claimant: insider.peer, ...changes });

/** What the insider's vote request is answered at each holder. */
async function votes(job: Stored, grant: Uint8Array, claim = claimOf(insider.peer)): Promise<string[]> {
  const request = voteFor(job, claim, { grant });
  return await Promise.all(job.holders.map((node) => answerTo(insider.call(node, 'vote', request))));
}

/** What a vote moves: not the list of refused claims, which yields that are under way may still add to. */
function standing(job: Stored): Pick<Lease, 'vote' | 'nonces' | 'erased'>[] {
  return job.holders.map((node) => {
    const { vote, nonces, erased } = leaseOf(node, job);
    return { vote, nonces, erased };
  });
}

async function refusedEverywhere(job: Stored, grant: Uint8Array, refusal: RegExp): Promise<void> {
  const before = standing(job);
  for (const answer of await votes(job, grant)) assert.match(answer, refusal);
  assert.equal(standing(job), before);
}

test('a grant of another user is refused by every holder, and moves nothing', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const eve = await user(mesh, 'eve');
  await refusedEverywhere(
    job,
    await shown(job, { by: eve }),
    /^forbidden: this job belongs to somebody else/,
  );
  const cancel = await shown(job, { by: eve, action: 'cancel' });
  await refusedEverywhere(job, cancel, /^forbidden: this job belongs to somebody else/);
  assert.match(
    await refusalOf(() => claim(a1, job, cancel)),
    /^forbidden: this job belongs to somebody else/,
  );
  await prints(job, a1);
});

test('a grant of a user of the same name in another organisation is refused', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const by = await fakeUser(await fakeAuthority('Test works', Date.now()), 'ada', Date.now());
  await refusedEverywhere(job, await shown(job, { by }), /^unauthenticated: /);
});

test("a grant that a node signs in its user's place is refused", async () => {
  const job = await store(mesh, a1, { owner: ada });
  const by = await fakeNode(mesh.authority, 'ada', Date.now());
  await refusedEverywhere(job, await shown(job, { by }), /^forbidden: the node ada cannot sign/);
});

test('expired and future grants, those of other jobs, and damaged ones are refused', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const other = await store(mesh, a1, { owner: ada });
  const now = Date.now();
  await refusedEverywhere(
    job,
    await shown(job, { now: now - 2 * minute_ms - 1000 }),
    /^forbidden: .*two minutes/,
  );
  await refusedEverywhere(job, await shown(job, { now: now + minute_ms }), /^forbidden: .*in the future/);
  await refusedEverywhere(job, await shown(other), /^forbidden: the grant is for another job/);
  const damaged = await shown(job);
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
  await refusedEverywhere(job, damaged, /^unauthenticated: |^bad-request: /);
  await refusedEverywhere(job, randomBytes(400), /^bad-request: /);
  await prints(job, a1);
});

test('one wrong clock does not make an old grant good', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const wrong = job.holders[1] as FakeNode;
  const again = async (by_ms: number) => {
    await wrong.stop();
    wrong.clock.shift(by_ms);
    await wrong.start();
    await mesh.connected();
    await insider.hello(wrong, insiderKeys);
  };
  await again(-10 * minute_ms);
  const old = await shown(job, { now: Date.now() - 10 * minute_ms });
  await refusedEverywhere(job, old, /^forbidden: .*two minutes/);
  assert.equal(await votes(job, await shown(job)), ['answered', 'answered', 'answered']);
  await again(10 * minute_ms);
});

test('who may only cancel gets no share', async () => {
  const token = 'a submit token';
  const job = await store(mesh, a1, { owner: ada, token });
  const proof = cancelProof(token, job.id);
  for (const permission of [{ grant: await shown(job, { action: 'cancel' }) }, { proof }]) {
    const taken = claimOf(insider.peer);
    for (const node of job.holders) {
      const reply = await insider.call(node, 'vote', voteFor(job, taken, permission)) as {
        share: Uint8Array;
      };
      assert.is(reply.share.length, 0);
    }
    for (const node of job.holders) {
      await insider.call(node, 'yield', { job: job.id, epoch: 1, claim: taken });
    }
  }
  for (const node of job.holders) {
    const wrong = voteFor(job, claimOf(insider.peer), { proof: cancelProof('another token', job.id) });
    assert.match(await answerTo(insider.call(node, 'vote', wrong)), /^forbidden: this token did not submit/);
  }
  const byToken = await outsider(mesh, job).mesh.claimant.claim(job.id, { proof }, '');
  assert.throws(() => byToken.document(), 'a cancellation reads no document');
  await byToken.begin();
  await byToken.settle('cancelled');
  await untilErased(job.holders, job.id);
});

test('what a holder is shown to cancel a job cancels no other that came by the same token', async () => {
  const token = 'a submit token';
  const shownFor = await store(mesh, a1, { owner: ada, token });
  const other = await store(mesh, a1, { owner: ada, token });
  const proof = cancelProof(token, shownFor.id);
  for (const node of other.holders) {
    const vote = voteFor(other, claimOf(insider.peer), { proof });
    assert.match(await answerTo(insider.call(node, 'vote', vote)), /^forbidden: this token did not submit/);
    // nor does anything that holders keep
    const { submitter } = node.state.pieces.get(other.id) as Piece;
    for (const kept of Object.values(submitter ?? {})) {
      const said = insider.call(node, 'vote', voteFor(other, claimOf(insider.peer), { proof: kept }));
      assert.match(await answerTo(said), /^forbidden: this token did not submit/);
    }
  }
});

test('a grant is for the node that its owner asks: a holder that is shown it gets no share by it', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const grant = await shown(job);
  const another = /^forbidden: the grant is for another node/;
  for (const node of mesh.nodes) assert.match(await refusalOf(() => claim(node, job, grant)), another);
  await refusedEverywhere(job, await grantOf(job), another);
  assert.equal(await votes(job, grant), ['answered', 'answered', 'answered']);
});

test('a grant is spent by begin, also for the claimant that spent it', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const grant = await grantOf(job);
  const first = await claim(a1, job, grant);
  await first.yield();
  await untilFree(job);
  const second = await claim(a1, job, grant);
  await second.begin();
  await second.settle('failed', 'no paper');
  await untilFree(job);
  assert.match(await refusalOf(() => claim(a1, job, grant)), /^forbidden: this grant has been used/);
  await prints(job, a1);
});

test('nobody speaks for a claim of another node', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const claimed = await claim(outsider(mesh, job), job);
  const about = { job: job.id, epoch: 1, claim: claimed.id };
  const grant = await grantOf(job);
  const own = /^forbidden: a node speaks for its own claims only/;
  for (const node of job.holders) {
    const calls: [string, object][] = [
      ['vote', voteFor(job, claimed.id, { grant })],
      ['begin', about],
      ['yield', about],
      ['fetch', { job: job.id, claim: claimed.id, offset: 0 }],
    ];
    for (const [method, request] of calls) {
      assert.match(await answerTo(insider.call(node, method, request)), own, method);
    }
  }
  await claimed.begin();
  assert.equal(await collect(claimed.document()), Buffer.from(job.document));
  await claimed.settle('printed');
});

test('begin and fetch take a vote that stands, and a claim that ended is over', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const mine = claimOf(insider.peer);
  const about = { job: job.id, epoch: 1, claim: mine };
  const ended = /^conflict: this claim has ended/;
  for (const node of job.holders) {
    assert.match(await answerTo(insider.call(node, 'begin', about)), ended);
    const fetching = insider.call(node, 'fetch', { job: job.id, claim: mine, offset: 0 });
    assert.match(await answerTo(fetching), /^forbidden: the envelope goes to the claim that has the vote/);
  }
  const grant = await shown(job);
  assert.equal(await votes(job, grant, mine), ['answered', 'answered', 'answered']);
  for (const node of job.holders) {
    await insider.call(node, 'yield', about);
    assert.match(await answerTo(insider.call(node, 'begin', about)), ended);
  }
  for (const answer of await votes(job, grant, mine)) assert.match(answer, ended);
  await prints(job, a1);
});

test('a vote that has not begun goes to another claim after its lease, and can begin no more', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const slow = await claim(outsider(mesh, job), job);
  const busy = await refusalOf(() => claim(a1, job));
  assert.match(busy, new RegExp(`^busy: ${outsider(mesh, job).name} is releasing this job`));
  for (const node of job.holders) node.clock.advance(voteLease_ms + 1);
  const quick = await claim(a1, job);
  await quick.begin();
  assert.match(await refusalOf(() => slow.begin()), /^busy: |^conflict: /);
  await quick.settle('printed');
  await untilErased(job.holders, job.id);
  for (const node of job.holders) node.clock.advance(-voteLease_ms - 1);
});

test('a vote that has begun never lapses', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const first = await claim(outsider(mesh, job), job);
  await first.begin();
  for (const node of job.holders) node.clock.advance(100 * voteLease_ms);
  const answer = await refusalOf(() => claim(a1, job));
  assert.match(
    answer,
    new RegExp(`^busy: ${outsider(mesh, job).name} is printing .*--confirm-reprint ${first.id}`),
  );
  await first.settle('printed');
  await untilErased(job.holders, job.id);
  // the uptime, too, that others' clocks are kept by
  for (const node of job.holders) node.clock.advance(-100 * voteLease_ms);
});

test('of four releases at once at most one begins, and the others are told who has it', async () => {
  for (let round = 0; round < 3; round++) {
    const job = await store(mesh, a1, { owner: ada });
    const tries = await Promise.allSettled(mesh.nodes.map(async (node) => {
      const claimed = await claim(node, job);
      await claimed.begin();
      return { node, claimed };
    }));
    const won = tries.flatMap((one) => one.status === 'fulfilled' ? [one.value] : []);
    assert.ok(won.length <= 1, `${won.length} began`);
    for (const one of tries) {
      if (one.status === 'rejected') {
        assert.match(String(one.reason.message), /is (releasing|printing) this job/);
      }
    }
    const [winner] = won;
    if (winner === undefined) continue;
    assert.equal(await collect(winner.claimed.document()), Buffer.from(job.document));
    await winner.claimed.settle('printed');
    await untilErased(job.holders, job.id);
  }
});

test('a yield frees the job at once', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const first = await claim(outsider(mesh, job), job);
  assert.match(
    await refusalOf(() => claim(outsider(mesh, job), job)),
    /^busy: this node is releasing the job already/,
  );
  await first.yield();
  await untilFree(job);
  await prints(job, a1);
});

test('an interrupted job is reprinted only when its owner confirms that very claim', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const first = await claim(outsider(mesh, job), job);
  await first.begin();
  await first.settle('interrupted', 'jammed');
  await untilKnown(mesh.nodes, 'settled', job.id);
  const wrong = await grantOf(job, { confirm: [claimOf(a1.peer)] });
  for (const grant of [undefined, wrong]) {
    assert.match(
      await refusalOf(() => claim(a1, job, grant)),
      new RegExp(`^busy: .*--confirm-reprint ${first.id}`),
    );
  }
  const eve = await user(mesh, 'eve');
  await refusedEverywhere(job, await shown(job, { by: eve, confirm: [first.id] }), /^forbidden: /);
  await prints(job, a1, await grantOf(job, { confirm: [first.id] }));
});

test('a claimant that restarts gives its vote back, or says that it was interrupted', async () => {
  for (const begun of [false, true]) {
    const job = await store(mesh, a1, { owner: ada });
    const node = outsider(mesh, job);
    const open = await claim(node, job);
    if (begun) await open.begin();
    await node.stop();
    await node.start();
    await mesh.connected();
    if (!begun) {
      await untilFree(job);
      await prints(job, a1);
      continue;
    }
    await untilKnown(mesh.nodes, 'settled', job.id);
    assert.is((a1.mesh.ledger.latest('settled', job.id)?.body as { outcome: string }).outcome, 'interrupted');
    assert.match(await refusalOf(() => claim(a1, job)), /^busy: .*--confirm-reprint/);
    await prints(job, a1, await grantOf(job, { confirm: [open.id] }));
  }
});

test('a begin outlives the restart of every holder', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const first = await claim(outsider(mesh, job), job);
  await first.begin();
  await Promise.all(job.holders.map((node) => node.stop()));
  await Promise.all(job.holders.map((node) => node.start()));
  await mesh.connected();
  for (const node of job.holders) assert.is(leaseOf(node, job).vote?.phase, 'begun');
  assert.match(await refusalOf(() => claim(a1, job)), /^busy: .*--confirm-reprint/);
  await first.settle('printed');
  await untilErased(job.holders, job.id);
});

test.run();
