/** A submission that breaks off at one node and goes on at another: one job, whatever has become of it there. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fact } from '../../mesh/facts.ts';
import { type Credential, signRequest, viewPurpose } from '../../mesh/mod.ts';
import {
  type FakeMesh,
  type FakeNode,
  prints,
  startMesh,
  untilErased,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { begin, jobAt, resumed, sealsLate, sealsNever, storedOf, until } from '../fakes/submissions.ts';

let mesh: FakeMesh;
let nodes: [FakeNode, FakeNode, FakeNode];
let ada: Credential;

test.before(async () => {
  mesh = await startMesh(3);
  nodes = mesh.nodes as [FakeNode, FakeNode, FakeNode];
  ada = await user(mesh, 'ada');
});

test.after(async () => await mesh.stop());

test('a job that was accepted is found, and is not made again', async () => {
  const [first, second] = nodes;
  const begun = begin(first, ada);
  assert.is(await begun.answer, '');
  const fact = await resumed(second, first, begun.submission, ada);
  assert.is(fact?.subject, begun.job);
  await untilKnown(nodes, 'job', begun.job);
  await prints(storedOf(fact as Fact, begun, ada, nodes), second);
});

test('a node that is still at it when the client has gone on leaves it', async () => {
  const [first, second, third] = nodes;
  const arriving = Promise.withResolvers<void>();
  const { store } = third.mesh.custody;
  third.mesh.custody.store = async (...stored) => {
    await arriving.promise;
    return await store.apply(third.mesh.custody, stored);
  };
  const begun = begin(first, ada);
  await until('the document to arrive', () => first.state.pieces.get(begun.job) !== undefined);
  assert.is(await resumed(second, first, begun.submission, ada), undefined);
  arriving.resolve();
  third.mesh.custody.store = store;
  assert.match(await begun.answer, /^conflict: the client has gone on/);
  for (const node of nodes) assert.is(node.mesh.ledger.first('job', begun.job), undefined);
  await untilErased(nodes, begun.job);
});

test('a node that dies before it has sealed the job itself: the others have, and it is one job', async () => {
  const [first, second, third] = nodes;
  const dying = sealsNever(first);
  const begun = begin(first, ada);
  await dying;
  await first.stop();
  const fact = await resumed(second, first, begun.submission, ada);
  assert.is(fact?.subject, begun.job);
  await untilKnown([second, third], 'job', begun.job);
  await first.start();
  await mesh.connected();
  await untilKnown(nodes, 'job', begun.job);
  await prints(storedOf(fact as Fact, begun, ada, nodes), second);
});

test('a node that was started anew knows nothing of the job, and is not taken at its word', async () => {
  const [first, second] = nodes;
  const dying = sealsNever(first);
  const begun = begin(first, ada);
  await dying;
  await first.stop();
  await first.start();
  await mesh.connected();
  const fact = await resumed(second, first, begun.submission, ada);
  assert.is(fact?.subject, begun.job);
  await untilKnown(nodes, 'job', begun.job);
  await prints(storedOf(fact as Fact, begun, ada, nodes), second);
});

test('a node that dies before any other has sealed: no job comes of it, not from one that was on its way', async () => {
  const [first, second, third] = nodes;
  const late = sealsLate([second, third]);
  const begun = begin(first, ada);
  const seals = await late(2);
  await first.stop();
  assert.is(await resumed(second, first, begun.submission, ada), undefined);
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
  const begun = begin(first, ada);
  assert.is(await begun.answer, '');
  await untilKnown(nodes, 'job', begun.job);
  assert.is(await resumed(second, first, begun.submission, eve), undefined, 'hers would be another job');
  const proof = await signRequest(ada, { ...viewPurpose, audience: first.peer }, Date.now());
  const ask = (fence: boolean, shown: string) =>
    refusalOf(() =>
      second.mesh.holders(first.peer).find(
        { job: begun.job, proof: shown, fence, over: false },
        new AbortController().signal,
      )
    );
  assert.match(await ask(true, proof), /^forbidden: .*another audience/);
  assert.match(await ask(true, ''), /^(?:bad-request|unauthenticated): /);
  const hers = await signRequest(eve, { ...viewPurpose, audience: second.peer }, Date.now());
  assert.match(await ask(true, hers), /^forbidden: this job belongs to somebody else/);
  const fact = jobAt(first, begun.job) as Fact;
  await prints(storedOf(fact, begun, ada, nodes), second);
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
