/**
 * A submission goes on at another node while the first one is still deciding, or has died over it: it ends as one job,
 * and what was acknowledged is not taken back.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { acceptLimits, maxResumedPerOwner } from '../../mesh/limits.ts';
import { type Credential, generateHostKey } from '../../mesh/mod.ts';
import { type FakeMesh, type FakeNode, prints, startMesh, untilKnown, user } from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { begin, type Begun, halfSealed, jobAt, resumed, storedOf, until } from '../fakes/submissions.ts';

let mesh: FakeMesh;
let a: FakeNode;
let others: FakeNode[];
let ada: Credential;

test.before(async () => {
  mesh = await startMesh(4);
  [a, ...others] = mesh.nodes as [FakeNode, ...FakeNode[]];
  ada = await user(mesh, 'ada');
});

test.after(async () => await mesh.stop());

/** A job of `a` that one other node has sealed and the next one not yet, and the node that has nothing of it. */
async function half() {
  const box: { begun?: Begun } = {};
  const sealed = await halfSealed(others, () => (box.begun = begin(a, ada)).job);
  const b = others.find((node) => node !== sealed.first && node !== sealed.second) as FakeNode;
  return { ...sealed, b, begun: box.begun as Begun };
}

/** Has a node's answers to who looks for a job get lost, after they were made. @returns what ends that */
function mute({ mesh: { custody: { fence } } }: FakeNode): () => void {
  const { find } = fence;
  fence.find = async (from, request) => {
    await find.call(fence, from, request).catch(() => {});
    return await new Promise(() => {});
  };
  return () => fence.find = find;
}

/** Resolves when a node has answered somebody who looks for a job. */
function answered({ mesh: { custody: { fence } } }: FakeNode): Promise<void> {
  const { find } = fence;
  return new Promise((resolve) => {
    fence.find = async (from, request) => {
      fence.find = find;
      return await find.call(fence, from, request).finally(resolve);
    };
  });
}

/** The job is the one that comes of the submission, everywhere and for good. */
async function isOneJob({ begun, first, second }: { begun: Begun; first: FakeNode; second: FakeNode }) {
  await untilKnown(mesh.nodes, 'job', begun.job);
  for (const { name, mesh: { ledger } } of mesh.nodes) {
    assert.is(ledger.latest('withdrawn', begun.job), undefined, name);
  }
  const fact = jobAt(a, begun.job)!;
  const whole = () => [a, first, second].every(({ state }) => state.pieces.get(begun.job)?.sealed);
  await until('every holder to have sealed', whole);
  await prints(storedOf(fact, begun, ada, [a, first, second]), second);
}

const isTakenBack = ({ job }: Begun) => untilKnown(mesh.nodes, 'withdrawn', job);

test('an answer that is lost does not have the first node take the job back', async () => {
  const job = await half();
  const heard = mute(a);
  const asked = answered(job.first);
  const found = resumed(job.b, a, job.begun.submission, ada);
  await asked;
  job.go();
  assert.is(await job.begun.answer, '');
  assert.is((await found)?.subject, job.begun.job);
  heard();
  await isOneJob(job);
});

test('what one holder has sealed is no job while the silent node that accepts it may take it back', async () => {
  const job = await half();
  const heard = mute(a);
  const asked = answered(job.first);
  const found = resumed(job.b, a, job.begun.submission, ada);
  await asked;
  job.go(true);
  assert.match(await job.begun.answer, /^unavailable: .*taken back/);
  assert.is(await found, undefined);
  heard();
  await isTakenBack(job.begun);
});

test('a node that others have told of its job in its stead does not take it back', async () => {
  const job = await half();
  // what a holder does that has lost sight of the node
  const { ledger } = job.first.mesh;
  const fact = ledger.first('job', job.begun.job)!;
  ledger.publish(fact, ledger.recordFor(fact)!);
  await until(
    'the node to hear of its own job',
    () => a.mesh.ledger.first('job', job.begun.job) !== undefined,
  );
  assert.is(a.state.pieces.get(job.begun.job)?.sealed, false, 'it is not sealed before its time');
  const found = resumed(job.b, a, job.begun.submission, ada);
  job.go(true);
  assert.is(await job.begun.answer, '');
  assert.is((await found)?.subject, job.begun.job);
  await isOneJob(job);
});

test('a node that dies while it has the others seal has said nothing that its death breaks', async () => {
  const job = await half();
  const found = resumed(job.b, a, job.begun.submission, ada);
  await a.stop();
  assert.is((await found)?.subject, job.begun.job);
  job.go();
  await a.start();
  await mesh.connected();
  await isOneJob(job);
});

test('a document that waits in line, or has not come yet, is left when the client has gone on', async () => {
  const [b] = others as [FakeNode];
  const stop = new AbortController();
  const silence = Promise.withResolvers<void>();
  const wanted = () => ({
    ...{ job: a.mesh.acceptor.newJobId(), owner: 'eve', submitter: null, ticket: new Uint8Array([1]) },
  });
  async function* slow() {
    yield new Uint8Array([1]);
    await silence.promise;
  }
  const slowly = () => refusalOf(() => a.mesh.acceptor.accept(wanted(), slow(), stop.signal));
  const taken = Array.from({ length: acceptLimits.slots }, slowly);
  const inLine = begin(a, ada);
  assert.is(await resumed(b, a, inLine.submission, ada), undefined);
  stop.abort(new InkmeshError('unavailable', 'enough'));
  assert.match(await inLine.answer, /^conflict: the client has gone on/);
  await Promise.all(taken);
  silence.resolve();
  const submission = crypto.randomUUID();
  assert.is(await resumed(b, a, submission, ada), undefined);
  assert.match(await begin(a, ada, submission).answer, /^conflict: the client has gone on/);
});

/** Has the records of withdrawals fail at a node, as they do on a full disk. @returns what ends that */
function keepsNoWithdrawal({ mesh: { ledger } }: FakeNode): () => void {
  const { state } = ledger;
  ledger.state = (kind, ...rest) =>
    kind.name === 'withdrawn'
      ? Promise.reject(new InkmeshError('unavailable', 'the disk of this machine is full'))
      : state.call(ledger, kind, ...rest);
  return () => ledger.state = state;
}

test('a job is handed out neither before its withdrawal is on disk nor after', async () => {
  const job = await half();
  const restore = keepsNoWithdrawal(a);
  job.go(true);
  assert.match(await job.begun.answer, /^unavailable: it is not known yet/);
  const found = resumed(job.b, a, job.begun.submission, ada);
  assert.is(jobAt(job.b, job.begun.job), undefined);
  restore();
  assert.is(await found, undefined);
  assert.ok(job.b.mesh.ledger.latest('withdrawn', job.begun.job), 'and knows why');
  await isTakenBack(job.begun);
});

test('a job that could not be taken back before its node ended is a job', async () => {
  const job = await half();
  keepsNoWithdrawal(a);
  job.go(true);
  assert.match(await job.begun.answer, /^unavailable: it is not known yet/);
  await a.stop();
  await a.start();
  await mesh.connected();
  assert.is((await resumed(job.b, a, job.begun.submission, ada))?.subject, job.begun.job);
  await isOneJob(job);
});

test('a refusal is no answer, and what a node knows itself needs none', async () => {
  const [b] = others as [FakeNode];
  const begun = begin(a, ada);
  assert.is(await begun.answer, '');
  await untilKnown(mesh.nodes, 'job', begun.job);
  const late = Date.now() - 125_000;
  assert.is((await resumed(b, a, begun.submission, ada, late))?.subject, begun.job);
  const unknown = await refusalOf(() => resumed(b, a, crypto.randomUUID(), ada, late));
  assert.match(unknown, /^unavailable: it is not known yet/);
});

test('a node that is none of the organisation is not looked for, and a user asks for so many at once', async () => {
  const [b] = others as [FakeNode];
  const { peerId: peer } = await generateHostKey();
  const asking = () => refusalOf(() => resumed(b, { peer }, crypto.randomUUID(), ada));
  const said = await Promise.all(Array.from({ length: maxResumedPerOwner + 2 }, asking));
  assert.is(said.filter((answer) => answer === '').length, maxResumedPerOwner);
  assert.is(said.filter((answer) => /^busy: too many/.test(answer)).length, 2);
  assert.is(b.logged.filter((line) => line.includes(peer)).length, 0);
});

test('nobody’s silence is an answer', async () => {
  const [b, ...rest] = others as [FakeNode, ...FakeNode[]];
  for (const node of [a, ...rest]) await node.stop();
  const answer = await refusalOf(() => resumed(b, a, crypto.randomUUID(), ada));
  assert.match(answer, /^unavailable: it is not known yet/);
});

test.run();
