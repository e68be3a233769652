import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import type { JobBody } from '../../mesh/job-facts.ts';
import { defaultPolicy, siteKind } from '../../mesh/policy.ts';
import {
  type FakeMesh,
  type FakeNode,
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
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

let mesh: FakeMesh;
let a1: FakeNode;
let ada: Stored['owner'];

test.before(async () => {
  mesh = await startMesh(4);
  [a1] = mesh.nodes as [FakeNode];
  ada = await user(mesh, 'ada');
});

test.after(async () => await mesh.stop());

async function submit(
  node: FakeNode,
  document: AsyncIterable<Uint8Array>,
  id: string = node.mesh.acceptor.newJobId(),
) {
  return await node.mesh.acceptor.accept(
    { job: id, owner: 'ada', submitter: null, ticket: new Uint8Array([1]) },
    document,
    new AbortController().signal,
  );
}

test('a document that breaks off leaves nothing anywhere', async () => {
  const id = a1.mesh.acceptor.newJobId();
  async function* broken() {
    yield* pieces(randomBytes(700_000));
    throw new InkmeshError('unavailable', 'the client went away');
  }
  assert.match(await refusalOf(() => submit(a1, broken(), id)), /^unavailable: the client went away/);
  await untilErased(mesh.nodes, id);
  for (const node of mesh.nodes) assert.is(node.mesh.ledger.latest('job', id), undefined);
});

/** A document that goes on once `then` has done its work in the middle. */
async function* interrupted(document: Uint8Array, then: () => Promise<void>): AsyncGenerator<Uint8Array> {
  yield* pieces(document.subarray(0, document.length / 2));
  await then();
  yield* pieces(document.subarray(document.length / 2));
}

const storing = (id: string) =>
  mesh.nodes.filter((node) => node !== a1 && node.running && leftOf(node, id).length > 0);

async function untilStoring(id: string): Promise<FakeNode[]> {
  return await waitFor(() => storing(id).length === 2 ? storing(id) : undefined, {
    deadline_ms: patience_ms,
    what: 'two nodes to receive the envelope',
  });
}

test('a machine that was replaced while it stored keeps nothing once it is done', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const slow: { node?: FakeNode; stored?: Promise<string> } = {};
  const others = mesh.nodes.filter((node) => node !== a1);
  const restore = others.map((node) => {
    const { custody } = node.mesh;
    const { keep, store } = custody;
    custody.store = (from, request, body) => {
      if (slow.node !== undefined) return store.call(custody, from, request, body);
      slow.node = node;
      return new Promise((_, reject) => {
        custody.keep = async (...kept) => {
          reject(new InkmeshError('timeout', 'the answer comes too late'));
          await untilKnown([node], 'job', id);
          await keep.apply(custody, kept);
        };
        slow.stored = refusalOf(() => store.call(custody, from, request, body));
      });
    };
    return () => Object.assign(custody, { keep, store });
  });
  const { holders } = (await submit(a1, pieces(randomBytes(200_000)), id)).body as JobBody;
  assert.is(holders.length, 3);
  assert.not(holders.includes(slow.node?.peer ?? ''));
  assert.match(await slow.stored ?? '', /^conflict: the job has been accepted without this node/);
  restore.forEach((each) => each());
  assert.equal(leftOf(slow.node as FakeNode, id), []);
});

test('a holder that stops in mid-store is replaced, and the job prints', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const document = randomBytes(1_000_000);
  let gone: FakeNode | undefined;
  const fact = await submit(
    a1,
    interrupted(document, async () => {
      [gone] = await untilStoring(id);
      await gone?.stop();
    }),
    id,
  );
  const { holders } = fact.body as JobBody;
  assert.not(holders.includes(gone?.peer ?? ''));
  assert.is(new Set(holders).size, 3);
  await gone?.start();
  await mesh.connected();
  await untilKnown(mesh.nodes, 'job', id);
  const job = {
    id,
    fact,
    owner: ada,
    document,
    holders: mesh.nodes.filter(({ peer }) => holders.includes(peer)),
  };
  await prints(job, gone as FakeNode);
});

test('when all others stop in mid-store the job is refused, and nothing is left', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const others = mesh.nodes.slice(1);
  const answer = await refusalOf(() =>
    submit(
      a1,
      interrupted(randomBytes(1_000_000), async () => {
        await untilStoring(id);
        await Promise.all(others.map((node) => node.stop()));
      }),
      id,
    )
  );
  assert.match(answer, /^unavailable: /);
  for (const node of others) await node.start();
  await mesh.connected();
  await untilErased(mesh.nodes, id);
  for (const node of mesh.nodes) assert.is(node.mesh.ledger.latest('job', id), undefined);
});

test('a job that one holder does not seal is taken back everywhere', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const refusing = mesh.nodes.slice(1).map(({ mesh: { custody } }) => {
    const seal = custody.seal.bind(custody);
    custody.seal = (from, request) =>
      request.job === id ? Promise.reject(new InkmeshError('forbidden', 'not me')) : seal(from, request);
    return () => custody.seal = seal;
  });
  const answer = await refusalOf(() => submit(a1, pieces(randomBytes(1000)), id));
  assert.match(answer, /^unavailable: .*the job was taken back: print again/, answer);
  for (const restore of refusing) restore();
  await untilKnown(mesh.nodes, 'withdrawn', id);
  await untilErased(mesh.nodes, id);
});

test('a job is accepted once, and by no node that its id is not of', async () => {
  const job = await store(mesh, a1, { owner: ada });
  for (const node of mesh.nodes) {
    const answer = await refusalOf(() => submit(node, pieces(randomBytes(10)), job.id));
    assert.match(answer, node === a1 ? /^conflict: / : /^forbidden: a job’s id is of the node/, node.name);
  }
  await prints(job, a1);
});

test('a job is kept for as long as its site has decided', async () => {
  const retention_ms = 45 * 60_000;
  await a1.mesh.ledger.state(siteKind, () => directoryDoc, 'a', { ...defaultPolicy, retention_ms });
  const { fact } = await store(mesh, a1, { owner: ada });
  const { expires_ms } = fact.body as JobBody;
  assert.ok(Math.abs(expires_ms - fact.time_ms - retention_ms) < 5000, `${expires_ms - fact.time_ms}`);
});

test.run();
