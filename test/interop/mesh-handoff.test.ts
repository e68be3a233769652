import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { bytes, decode, encode } from '../../mesh/codec.ts';
import type { Custody } from '../../mesh/custody.ts';
import { encryptEnvelope, keyBytes } from '../../mesh/envelope.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { directoryDoc, jobsDoc, signFact } from '../../mesh/facts.ts';
import { handedDigest, type JobBody } from '../../mesh/job-facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { defaultPolicy, siteKind } from '../../mesh/policy.ts';
import { viewPurpose } from '../../mesh/protocol.ts';
import { signRequest } from '../../mesh/request.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { sealFor } from '../../mesh/seal.ts';
import { splitKey } from '../../mesh/shares.ts';
import { submitterOf } from '../../mesh/submit-token.ts';
import { Jobs } from '../../src/release/jobs.ts';
import {
  certifiedNode,
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  grantOf,
  leftOf,
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
import { fakePeer, refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { answerTo, startInsider, withRogue } from '../fakes/rogue.ts';

const ticket = encode({ title: 'a letter', format: 'application/pdf', options: {} });

type Three = [FakeNode, FakeNode, FakeNode];

/** Runs `body` with a mesh of so many nodes, and stops it. */
async function withMesh(count: number, body: (mesh: FakeMesh, owner: Stored['owner']) => Promise<void>) {
  const mesh = await startMesh(count);
  const [first] = mesh.nodes as [FakeNode];
  const known = () =>
    mesh.nodes.every(({ peer }) => first.mesh.ledger.sealOf(peer) !== undefined) || undefined;
  try {
    await waitFor(known, { deadline_ms: patience_ms, what: 'every certificate to be known' });
    await body(mesh, await user(mesh, 'ada'));
  } finally {
    await mesh.stop();
  }
}

const bodyOf = (job: Stored) => job.fact.body as JobBody;
const waits = (node: FakeNode, job: Stored) => node.state.pieces.get(job.id)?.handoff instanceof Uint8Array;

/** Three nodes of which the third sleeps while the first accepts a job. */
async function withSleeper(body: (mesh: FakeMesh, job: Stored, nodes: Three) => Promise<void>) {
  await withMesh(3, async (mesh, owner) => {
    const [a1, a2, a3] = mesh.nodes as Three;
    await a3.stop();
    const job = await store(mesh, a1, { owner, ticket });
    assert.is(bodyOf(job).degraded, 'handoff');
    assert.is(bodyOf(job).sleeper, a3.peer);
    assert.is(new Set(bodyOf(job).holders).size, 3);
    assert.ok(waits(a1, job) && waits(a2, job));
    await body(mesh, job, [a1, a2, a3]);
  });
}

/** Resolves when a node has its piece of a job, with its share. */
async function untilHeld(node: FakeNode, job: Stored): Promise<void> {
  await waitFor(() => node.state.pieces.get(job.id)?.sealed || undefined, {
    deadline_ms: patience_ms,
    what: `${node.name} to be given the job`,
  });
}

async function untilNothingWaits(nodes: readonly FakeNode[], job: Stored): Promise<void> {
  await waitFor(() => nodes.every((node) => !waits(node, job)) || undefined, {
    deadline_ms: patience_ms,
    what: 'what waited to be dropped',
  });
}

/** Prints with what is awake, without waiting for those that are not. */
async function printsWithout(gone: FakeNode, job: Stored, at: FakeNode): Promise<void> {
  const claimed = await claim(at, job);
  await claimed.begin();
  assert.equal(await collect(claimed.document()), Buffer.from(job.document));
  await claimed.settle('printed');
  await untilErased(job.holders.filter((node) => node !== gone), job.id);
}

/** What a node's list says a job lacks. */
async function lacking(at: FakeNode, job: Stored): Promise<string | undefined> {
  const audience = at.peer;
  const proof = await signRequest(job.owner, { ...viewPurpose, audience }, Date.now());
  const views = await new Jobs(at.mesh).of('ada', proof);
  return views.find(({ id }) => id === job.id)?.degraded;
}

test('a machine that was asleep is given its share once, and then any two of the three print', async () => {
  await withSleeper(async (mesh, job, [a1, a2, a3]) => {
    assert.is(await lacking(a2, job), 'waiting for a3');
    // nothing says that who sleeps will dial those that wait for it
    const dialled = () => a1.logged.some((line) => line.includes('cannot be handed over yet')) || undefined;
    await waitFor(dialled, { deadline_ms: patience_ms, what: 'the sleeper to be dialled' });
    await a3.start();
    await untilHeld(a3, job);
    await untilNothingWaits([a1, a2], job);
    const shares = [a1, a2, a3].map((node) => node.state.pieces.get(job.id)?.share.toString());
    assert.is(new Set(shares).size, 3, 'each has a share of its own');
    assert.is(await lacking(a2, job), undefined);
    await a1.stop();
    await printsWithout(a1, job, a3);
    await a1.start();
    await mesh.connected();
    await untilErased([a1], job.id);
  });
});

for (const lost of [0, 1] as const) {
  test(`holder ${lost + 1} of two vanishes for ever before the sleeper wakes, and the job prints`, async () => {
    await withSleeper(async (_mesh, job, nodes) => {
      const gone = nodes[lost];
      await gone.stop();
      const left = nodes[1 - lost] as FakeNode;
      const answer = await refusalOf(() => claim(left, job));
      assert.match(answer, /^unavailable: waiting for /, 'one share prints nothing');
      await nodes[2].start();
      await untilHeld(nodes[2], job);
      await untilNothingWaits([left], job);
      await printsWithout(gone, job, nodes[2]);
    });
  });
}

test('a job that is printed while the machine sleeps is not given to it', async () => {
  await withSleeper(async (mesh, job, [a1, a2, a3]) => {
    await printsWithout(a3, job, a1);
    await a3.start();
    await mesh.connected();
    await untilKnown([a3], 'settled', job.id);
    assert.equal(leftOf(a3, job.id), []);
    for (const node of [a1, a2]) assert.equal(leftOf(node, job.id), []);
  });
});

test('who has printed a job with the other holder does not take it again, from one that was away', async () => {
  await withSleeper(async (mesh, job, [a1, a2, a3]) => {
    await a2.stop();
    await a3.start();
    await untilHeld(a3, job);
    await printsWithout(a2, job, a1);
    // who could tell it that the job is over is gone
    await a1.stop();
    await a3.stop();
    await a2.start();
    assert.ok(waits(a2, job));
    const waiting = waitingAt(a2, job);
    await a3.start();
    await mesh.connected();
    await untilKnown([a2], 'settled', job.id);
    await untilErased([a2], job.id);
    const handing = a2.mesh.holders(a3.peer).handoff({
      ...{ job: job.id, submitter: null, ticket, age_ms: 0 },
      ...waiting,
    }, pieces(new Uint8Array(1)));
    assert.match(await answerTo(handing), /^not-found: this job has ended/);
    assert.equal(leftOf(a3, job.id), []);
    assert.match(await refusalOf(() => claim(a3, job)), /^not-found: /);
  });
});

/** What a holder would give the sleeper. */
function waitingAt(node: FakeNode, job: Stored): { handoff: Uint8Array; fact: Uint8Array } {
  const [handoff, fact] = decode(
    v.tuple([bytes(1, 512), bytes(1, 4096)]),
    node.state.pieces.get(job.id)?.handoff ?? new Uint8Array(),
  );
  return { handoff, fact };
}

/** What may be under way at the sleeper when it dies. */
const deaths: Record<string, (custody: Custody) => void> = {
  'before anything is kept': (custody) => custody.keep = () => Promise.reject(new Error('killed')),
  'before it is sealed': (custody) => custody.seal = () => Promise.reject(new Error('killed')),
  'before it has answered': (custody) => {
    const seal = custody.seal.bind(custody);
    custody.seal = async (from, request) => {
      await seal(from, request);
      throw new InkmeshError('timeout', 'nobody hears the answer');
    };
  },
};

for (const [when, die] of Object.entries(deaths)) {
  test(`a sleeper that dies ${when} has the piece once it is back`, async () => {
    await withSleeper(async (mesh, job, [a1, a2, a3]) => {
      await a3.start();
      die(a3.mesh.custody);
      await mesh.connected();
      // what failed before is that it slept
      const [first, second] = [a1.logged.length, a2.logged.length];
      const tried = () =>
        [...a1.logged.slice(first), ...a2.logged.slice(second)].some((line) => line.includes('handed over'));
      await waitFor(() => tried() || undefined, { deadline_ms: patience_ms, what: 'a handoff to fail' });
      await a3.stop();
      await a3.start();
      await untilHeld(a3, job);
      for (const node of [a1, a2]) {
        await node.stop();
        await node.start();
      }
      await untilNothingWaits([a1, a2], job);
      await a2.stop();
      await printsWithout(a2, job, a1);
    });
  });
}

test('a job that cannot be given to the machine keeps no other from it', async () => {
  await withMesh(3, async (mesh, owner) => {
    const [a1, a2, a3] = mesh.nodes as Three;
    await a3.stop();
    const [large, small] = [
      await store(mesh, a1, { owner, ticket }),
      await store(mesh, a1, { owner, ticket }),
    ];
    await a3.start();
    const { custody } = a3.mesh;
    const reserve = custody.reserve.bind(custody);
    custody.reserve = (author, job, anew) => {
      if (job === large.id) throw new InkmeshError('unavailable', 'no room for that', { full: 'quota' });
      return reserve(author, job, anew);
    };
    await untilHeld(a3, small);
    await untilNothingWaits([a1, a2], small);
    assert.ok(waits(a1, large) && waits(a2, large));
    custody.reserve = reserve;
    await untilHeld(a3, large);
  });
});

test('a machine that drops out in mid-store, and no other is there, is given the job when it is back', async () => {
  await withMesh(3, async (mesh, owner) => {
    const [a1, a2, a3] = mesh.nodes as Three;
    const id = a1.mesh.acceptor.newJobId();
    const document = randomBytes(2_000_000);
    const storing = () => [a2, a3].every((node) => leftOf(node, id).length > 0) || undefined;
    async function* arriving() {
      yield* pieces(document.subarray(0, 1_000_000));
      await waitFor(storing, { deadline_ms: patience_ms, what: 'both to receive the envelope' });
      await a3.stop();
      yield* pieces(document.subarray(1_000_000));
    }
    const { signal } = new AbortController();
    const about = { job: id, owner: owner.user, submitter: null, ticket: new Uint8Array([1]) };
    const fact = await a1.mesh.acceptor.accept(about, arriving(), signal);
    const job: Stored = { id, fact, owner, document, holders: [a1, a2, a3] };
    assert.is(bodyOf(job).sleeper, a3.peer);
    await a3.start();
    await untilHeld(a3, job);
    await untilNothingWaits([a1, a2], job);
    await a1.stop();
    await printsWithout(a1, job, a2);
  });
});

test('a revoked machine is given nothing, and the site has one less', async () => {
  await withMesh(3, async (mesh, owner) => {
    const [a1, a2, a3] = mesh.nodes as Three;
    await a3.stop();
    await a1.mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf('node', a3.peer), {});
    await untilKnown([a1, a2], 'revoked', revocationOf('node', a3.peer));
    assert.match(
      await refusalOf(() => store(mesh, a1, { owner, ticket })),
      /^unavailable: .*there are only two/,
    );
    await accepting(a1);
    const job = await store(mesh, a1, { owner, ticket });
    assert.is(bodyOf(job).degraded, 'two');
    await prints(job, a2);
  });
});

const accepting = (node: FakeNode) =>
  node.mesh.ledger.state(siteKind, () => directoryDoc, 'a', { ...defaultPolicy, degraded: 'accept' });

test('two machines keep a job only where the site accepts it, and both are needed', async () => {
  await withMesh(2, async (mesh, owner) => {
    const [a1, a2] = mesh.nodes as [FakeNode, FakeNode];
    const answer = await refusalOf(() => store(mesh, a1, { owner, ticket }));
    assert.match(answer, /^unavailable: .*only two.*"inkmesh site set a degraded accept"/);
    for (const node of mesh.nodes) assert.equal(node.state.pieces.list(), []);
    await accepting(a1);
    const job = await store(mesh, a1, { owner, ticket });
    assert.is(bodyOf(job).degraded, 'two');
    assert.equal([...bodyOf(job).holders].sort(), [a1.peer, a2.peer].sort());
    assert.is(await lacking(a2, job), 'one loss loses it');
    await a2.stop();
    assert.match(await refusalOf(() => claim(a1, job)), /^unavailable: waiting for a2/);
    assert.match(
      await refusalOf(() => store(mesh, a1, { owner, ticket })),
      /^unavailable: .*wake another workstation/,
    );
    await a2.start();
    await mesh.connected();
    await prints(job, a2);
  });
});

test('one machine keeps a job alone only where the site accepts it, its key sealed', async () => {
  await withMesh(1, async (mesh, owner) => {
    const [a1] = mesh.nodes as [FakeNode];
    const answer = await refusalOf(() => store(mesh, a1, { owner, ticket }));
    assert.match(answer, /^unavailable: .*no secret.*"inkmesh site set a degraded accept"/);
    await accepting(a1);
    const job = await store(mesh, a1, { owner, ticket });
    assert.is(bodyOf(job).degraded, 'one');
    assert.is(await lacking(a1, job), 'not secret');
    const share = Buffer.from(a1.state.pieces.get(job.id)?.share ?? []);
    assert.match(share.toString('latin1'), /^age-encryption\.org\/v1\n/);
    const first = await claim(a1, job);
    await first.begin();
    await first.settle('interrupted', 'jammed');
    assert.match(await refusalOf(() => claim(a1, job)), /^busy: .*--confirm-reprint/);
    await a1.stop();
    await a1.start();
    await prints(job, a1, await grantOf(job, { confirm: [first.id] }));
  });
});

test('a handoff that its job fact does not ask for is refused, and leaves nothing', async () => {
  await withMesh(2, async (mesh) => {
    const [a1, a2] = mesh.nodes as [FakeNode, FakeNode];
    const keys = await certifiedNode(mesh.authority, { name: 'insider' });
    await withRogue(await startInsider(keys, mesh.nodes), async (rogue) => {
      const id = newJobId(rogue.peer);
      const key = crypto.getRandomValues(new Uint8Array(keyBytes));
      const document = randomBytes(1000);
      const envelope = await collect(encryptEnvelope(key, id, pieces(document)));
      const [share] = await splitKey(key);
      const seal = a1.mesh.ledger.sealOf(a2.peer) ?? '';
      const given = { submitter: null, ticket: new Uint8Array([1]), handoff: await sealFor(seal, share) };
      const time_ms = Date.now();
      const factOf = (changes: object) =>
        signFact(keys.key, {
          ...{
            doc: jobsDoc('a', time_ms),
            author: rogue.peer,
            seq: time_ms,
            kind: 'job',
            subject: id,
            time_ms,
          },
          body: {
            ...{ owner: 'ada', bytes: document.length, epoch: 1, expires_ms: time_ms + 3600_000 },
            ...{ degraded: 'handoff', sleeper: a2.peer, handed: handedDigest(given) },
            holders: [rogue.peer, a1.peer, a2.peer],
            ...changes,
          },
        });
      const hand = async (fact: Uint8Array, changes: object = {}, body: Uint8Array = envelope) => {
        const request = { job: id, ...given, fact, age_ms: 0, ...changes };
        return await answerTo(rogue.call(a2, 'handoff', request, pieces(body)));
      };
      const good = await factOf({});
      const wrong: [Promise<string>, RegExp][] = [
        [hand(await factOf({ holders: [a1.peer, a2.peer, fakePeer('B')] })), /^forbidden: no job fact/],
        [hand(await factOf({ sleeper: a1.peer })), /^forbidden: no job fact/],
        [hand(await factOf({ degraded: null, sleeper: null, handed: null })), /^forbidden: no job fact/],
        [hand(good, { ticket: new Uint8Array([2]) }), /^forbidden: this is not what/],
        [hand(good, { submitter: submitterOf('another token', id) }), /^forbidden: this is not what/],
        [hand(good, { handoff: await sealFor(seal, randomBytes(33)) }), /^forbidden: this is not what/],
        [hand(randomBytes(200)), /^bad-request: /],
        [hand(await factOf({ expires_ms: time_ms - 13 * 3600_000 })), /^not-found: .*as long as its site/],
      ];
      for (const [answer, refusal] of wrong) assert.match(await answer, refusal);
      assert.match(await hand(good, {}, envelope.subarray(1)), /^corrupt: /);
      assert.match(await hand(good, {}, Buffer.concat([envelope, envelope])), /^corrupt: /);
      const misSealed = await sealFor(a1.mesh.ledger.sealOf(a1.peer) ?? '', share);
      const other = await factOf({ handed: handedDigest({ ...given, handoff: misSealed }) });
      assert.match(await hand(other, { handoff: misSealed }), /^corrupt: this is not sealed for this node/);
      assert.equal(leftOf(a2, id), []);
      assert.is(await hand(good), 'answered', 'and the right one is taken');
      assert.match(await hand(good), /^conflict: this job is kept here already/);
    });
  });
});

test.run();
