/** A submission that breaks off at one node and goes on at another: one job, whatever has become of it there. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fact } from '../../mesh/facts.ts';
import { signRequest, viewPurpose } from '../../mesh/mod.ts';
import {
  type FakeMesh,
  type FakeNode,
  patience_ms,
  pieces,
  prints,
  startMesh,
  type Stored,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

let mesh: FakeMesh;
let nodes: [FakeNode, FakeNode, FakeNode];
let ada: Stored['owner'];

test.before(async () => {
  mesh = await startMesh(3);
  nodes = mesh.nodes as [FakeNode, FakeNode, FakeNode];
  ada = await user(mesh, 'ada');
});

test.after(async () => await mesh.stop());

interface Begun {
  submission: string;
  job: string;
  document: Uint8Array;
  /** what the node says, when it does: '' when it has accepted the document */
  answer: Promise<string>;
}

/** Brings a document to a node. */
function begin({ mesh: { acceptor } }: FakeNode, submission = crypto.randomUUID()): Begun {
  const document = randomBytes(200_000);
  const job = acceptor.jobIdFor(ada.user, submission);
  const wanted = { job, owner: ada.user, submitter: null, ticket: new Uint8Array([1]) };
  const accepting = () => acceptor.accept(wanted, pieces(document), new AbortController().signal);
  return { submission, job, document, answer: refusalOf(accepting) };
}

/** What `at` finds out of a submission that `author` has not answered. */
async function resumed(
  at: FakeNode,
  author: FakeNode,
  submission: string,
  by = ada,
): Promise<Fact | undefined> {
  const proof = await signRequest(by, { ...viewPurpose, audience: at.peer }, Date.now());
  return await at.mesh.resumption.jobOf({ submission, owner: ada.user, author: author.peer, proof });
}

const jobAt = ({ mesh: { ledger } }: FakeNode, job: string) =>
  ledger.latest('withdrawn', job) === undefined ? ledger.first('job', job) : undefined;

const storedOf = (fact: Fact, { document }: Begun): Stored => ({
  ...{ id: fact.subject, fact, owner: ada, document, holders: nodes },
});

/** Has a node's seals wait for ever: as if it died there. Resolves when one waits. */
function sealsNever({ mesh: { custody } }: FakeNode): Promise<void> {
  return new Promise((resolve) => {
    custody.seal = () => {
      resolve();
      return new Promise(() => {});
    };
  });
}

/** Has the next seal of each of these nodes wait: what the first node asks of it arrives when it is called. */
function sealsLate(at: readonly FakeNode[]): (count: number) => Promise<(() => Promise<unknown>)[]> {
  const late: (() => Promise<unknown>)[] = [];
  for (const { mesh: { custody } } of at) {
    const { seal } = custody;
    custody.seal = (from, request) =>
      new Promise((resolve, reject) => {
        custody.seal = seal;
        late.push(() => seal.call(custody, from, request).then(resolve, reject));
      });
  }
  return (count) =>
    waitFor(() => late.length === count ? late : undefined, {
      deadline_ms: patience_ms,
      what: `${count} seals to be asked for`,
    });
}

test('a job that was accepted is found, and is not made again', async () => {
  const [first, second] = nodes;
  const begun = begin(first);
  assert.is(await begun.answer, '');
  const fact = await resumed(second, first, begun.submission);
  assert.is(fact?.subject, begun.job);
  await untilKnown(nodes, 'job', begun.job);
  await prints(storedOf(fact as Fact, begun), second);
});

test('a node that is still at it takes the job back when the client has gone on', async () => {
  const [first, second, third] = nodes;
  const late = sealsLate([third]);
  const begun = begin(first);
  const [seal] = await late(1);
  assert.is(await resumed(second, first, begun.submission), undefined);
  await seal?.();
  assert.match(await begun.answer, /^unavailable: .*taken back/);
  await waitFor(() => nodes.every((node) => jobAt(node, begun.job) === undefined) || undefined, {
    deadline_ms: patience_ms,
    what: 'the job to be withdrawn everywhere',
  });
});

test('a node that dies before it has sealed the job itself: the others have, and it is one job', async () => {
  const [first, second, third] = nodes;
  const dying = sealsNever(first);
  const begun = begin(first);
  await dying;
  await first.stop();
  const fact = await resumed(second, first, begun.submission);
  assert.is(fact?.subject, begun.job);
  await untilKnown([second, third], 'job', begun.job);
  await first.start();
  await mesh.connected();
  await untilKnown(nodes, 'job', begun.job);
  await prints(storedOf(fact as Fact, begun), second);
});

test('a node that was started anew knows nothing of the job, and is not taken at its word', async () => {
  const [first, second] = nodes;
  const dying = sealsNever(first);
  const begun = begin(first);
  await dying;
  await first.stop();
  await first.start();
  await mesh.connected();
  const fact = await resumed(second, first, begun.submission);
  assert.is(fact?.subject, begun.job);
  await untilKnown(nodes, 'job', begun.job);
  await prints(storedOf(fact as Fact, begun), second);
});

test('a node that dies before any other has sealed: no job comes of it, not from one that was on its way', async () => {
  const [first, second, third] = nodes;
  const late = sealsLate([second, third]);
  const begun = begin(first);
  const seals = await late(2);
  await first.stop();
  assert.is(await resumed(second, first, begun.submission), undefined);
  for (const seal of seals) await seal();
  for (const node of [second, third]) {
    assert.is(node.state.pieces.get(begun.job)?.sealed, false, `${node.name} has not sealed it`);
    assert.is(jobAt(node, begun.job), undefined);
  }
  await first.start();
  await mesh.connected();
  assert.is(jobAt(first, begun.job), undefined);
});

test('nobody asks after, or fences off, what is somebody else’s', async () => {
  const [first, second] = nodes;
  const eve = await user(mesh, 'eve');
  const begun = begin(first);
  assert.is(await begun.answer, '');
  await untilKnown(nodes, 'job', begun.job);
  assert.is(await resumed(second, first, begun.submission, eve), undefined);
  const proof = await signRequest(ada, { ...viewPurpose, audience: first.peer }, Date.now());
  const ask = (fence: boolean, shown: string) =>
    refusalOf(() =>
      second.mesh.holders(first.peer).find(
        { job: begun.job, proof: shown, fence },
        new AbortController().signal,
      )
    );
  assert.match(await ask(true, proof), /^forbidden: .*another audience/);
  assert.match(await ask(true, ''), /^(?:bad-request|unauthenticated): /);
  const fact = jobAt(first, begun.job) as Fact;
  await prints(storedOf(fact, begun), second);
});

test('the same submission is one job id at a node, and another one for another user', () => {
  const [first, second] = nodes;
  const submission = crypto.randomUUID();
  const id = (node: FakeNode, owner: string) => node.mesh.acceptor.jobIdFor(owner, submission);
  assert.is(id(first, 'ada'), id(first, 'ada'));
  assert.is.not(id(first, 'ada'), id(first, 'eve'));
  assert.is.not(id(first, 'ada'), id(second, 'ada'));
  assert.is(id(first, 'ada').slice(0, 18), id(second, 'ada').slice(0, 18), 'what the submission gives');
});

test.run();
