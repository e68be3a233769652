import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import type { JobBody } from '../../mesh/job-facts.ts';
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

async function submit(node: FakeNode, document: AsyncIterable<Uint8Array>, id: string = crypto.randomUUID()) {
  return await node.mesh.acceptor.accept(
    { job: id, owner: 'ada', submitter: null, ticket: new Uint8Array([1]), retention_ms: 3600_000 },
    document,
    new AbortController().signal,
  );
}

test('with two machines awake a job is refused, and nothing is left of it', async () => {
  const small = await startMesh(2);
  try {
    const id = crypto.randomUUID();
    const answer = await refusalOf(() => submit(small.nodes[0] as FakeNode, pieces(randomBytes(100)), id));
    assert.match(
      answer,
      /^unavailable: a job is kept on 3 machines and 2 can be reached: wake another workstation/,
    );
    for (const node of small.nodes) {
      assert.equal(leftOf(node, id), []);
      assert.is(node.mesh.ledger.latest('job', id), undefined);
    }
  } finally {
    await small.stop();
  }
});

test('a document that breaks off leaves nothing anywhere', async () => {
  const id = crypto.randomUUID();
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

test('a holder that stops in mid-store is replaced, and the job prints', async () => {
  const id = crypto.randomUUID();
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

test('when no node is left to replace it the job is refused, and nothing is left', async () => {
  const id = crypto.randomUUID();
  const stopped: FakeNode[] = [];
  const answer = await refusalOf(() =>
    submit(
      a1,
      interrupted(randomBytes(1_000_000), async () => {
        stopped.push(...await untilStoring(id));
        for (const node of stopped) await node.stop();
      }),
      id,
    )
  );
  assert.match(answer, /^unavailable: /);
  for (const node of stopped) await node.start();
  await mesh.connected();
  await untilErased(mesh.nodes, id);
  for (const node of mesh.nodes) assert.is(node.mesh.ledger.latest('job', id), undefined);
});

test('a job that one holder does not seal is taken back everywhere', async () => {
  const id = crypto.randomUUID();
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

test('a job that is accepted already is not accepted again at any node, and prints', async () => {
  const job = await store(mesh, a1, { owner: ada });
  for (const node of mesh.nodes) {
    const answer = await refusalOf(() => submit(node, pieces(randomBytes(10)), job.id));
    assert.match(answer, job.holders.includes(node) ? /^conflict: / : /^unavailable: /, node.name);
  }
  await prints(job, a1);
});

test.run();
