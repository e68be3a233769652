/** How claims end when something stands in the way, and what lists say meanwhile. */
import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { maxPiecesPerAuthor, withdrawRetry_ms } from '../../mesh/limits.ts';
import type { SettledBody } from '../../mesh/mod.ts';
import { viewPurpose } from '../../mesh/protocol.ts';
import { signRequest } from '../../mesh/request.ts';
import { Jobs } from '../../src/release/jobs.ts';
import {
  claim,
  type FakeMesh,
  type FakeNode,
  grantOf,
  leftOf,
  outsider,
  patience_ms,
  pieces,
  prints,
  startMesh,
  store,
  type Stored,
  untilErased,
  untilFree,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

const day_ms = 24 * 3600_000;
const ticket = encode({ title: 'a letter', format: 'application/pdf', options: {} });

let mesh: FakeMesh;
let a1: FakeNode;
let ada: Stored['owner'];

test.before(async () => {
  mesh = await startMesh(4);
  [a1] = mesh.nodes as [FakeNode];
  ada = await user(mesh, 'ada');
});

test.after(() => mesh.stop());

/** What the list of a node that is linked to nobody says of a job. */
async function stateAt(node: FakeNode, job: Stored): Promise<string | undefined> {
  const unlinked = { ...node.mesh, members: () => [] };
  const proof = await signRequest(job.owner, { ...viewPurpose, audience: node.peer }, node.mesh.now_ms());
  return (await new Jobs(unlinked).of('ada', proof)).find(({ id }) => id === job.id)?.state;
}

test('a job that is being printed is not called interrupted because no link to its claimant is open', async () => {
  const job = await store(mesh, a1, { owner: ada, ticket });
  const far = outsider(mesh, job);
  const claimed = await claim(far, job);
  await claimed.begin();
  assert.is(await stateAt(a1, job), 'delivering');
  await far.stop();
  // a list that has not found out yet in its time says nothing worse than before
  await waitFor(async () => await stateAt(a1, job) === 'interrupted' || undefined, {
    deadline_ms: patience_ms,
    what: 'the list to notice that its claimant is away',
  });
  await far.start();
  await mesh.connected();
  await untilKnown([a1], 'settled', job.id);
});

test('a cancellation that a restart has cut off is carried through', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const far = outsider(mesh, job);
  const grant = await grantOf(job, { action: 'cancel', claimant: far.peer });
  const claimed = await far.mesh.claimant.claim(job.id, { grant }, '');
  await claimed.begin();
  await far.stop();
  await far.start();
  await mesh.connected();
  await untilErased(job.holders, job.id);
  await untilKnown([a1], 'settled', job.id);
  assert.is((a1.mesh.ledger.latest('settled', job.id)?.body as SettledBody).outcome, 'cancelled');
});

test('a claimant whose disk is full when it has begun gives the job free all the same', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const far = outsider(mesh, job);
  const claimed = await claim(far, job);
  const { put } = far.state.claims;
  far.state.claims.put = () => {
    throw new InkmeshError('unavailable', 'the disk is full');
  };
  assert.match(await refusalOf(() => claimed.begin()), /the disk is full/);
  far.state.claims.put = put;
  await untilFree(job);
  await prints(job, a1);
});

test('the record of a claim is written again only when a holder has answered', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const [away] = job.holders.filter((node) => node !== a1) as [FakeNode];
  await away.stop();
  const claimed = await claim(a1, job);
  await claimed.begin();
  let written = 0;
  const { put } = a1.state.claims;
  a1.state.claims.put = (row) => {
    written++;
    put(row);
  };
  await claimed.settle('printed');
  a1.state.claims.put = put;
  // its ending, and the answers of the two that are awake, however often the third was asked meanwhile
  assert.is(written, 2);
  await away.start();
  await mesh.connected();
  await untilErased(job.holders, job.id);
});

test('an envelope that is asked for and not read is not opened', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const claimed = await claim(a1, job);
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 50; i++) {
    await a1.mesh.custody.fetch(a1.peer, { job: job.id, claim: claimed.id, offset: 0 });
  }
  assert.ok(open() < before + 25, `${before} files were open, now ${open()}`);
  claimed.yield();
});

test('a job that was not accepted is taken back as soon as the disk has room for the record of it', async () => {
  const id = a1.mesh.acceptor.newJobId();
  const restore = mesh.nodes.slice(1).map(({ mesh: { custody } }) => {
    const { seal } = custody;
    custody.seal = () => Promise.reject(new InkmeshError('forbidden', 'not here'));
    return () => custody.seal = seal;
  });
  const { add } = a1.state.facts;
  a1.state.facts.add = () => {
    throw new InkmeshError('unavailable', 'the disk is full');
  };
  const job = { job: id, owner: 'ada', submitter: null, ticket };
  const accepting = a1.mesh.acceptor.accept(job, pieces(new Uint8Array(9)), new AbortController().signal);
  assert.match(await refusalOf(() => accepting), /print again/);
  a1.state.facts.add = add;
  restore.forEach((each) => each());
  a1.clock.hurry(withdrawRetry_ms);
  await untilKnown(mesh.nodes, 'withdrawn', id);
  await untilErased(mesh.nodes, id);
});

test('a holder keeps so many jobs of one node and no more', async () => {
  const kept = a1.state.pieces.countOf(a1.peer);
  const others = mesh.nodes.slice(1);
  const restore = others.map(({ state: { pieces } }) => {
    const { countOf } = pieces;
    pieces.countOf = (author) => author === a1.peer ? maxPiecesPerAuthor : countOf(author);
    return () => pieces.countOf = countOf;
  });
  assert.match(await refusalOf(() => store(mesh, a1, { owner: ada })), /have no room for documents/);
  const other = await store(mesh, mesh.nodes[1] as FakeNode, { owner: ada });
  restore.forEach((each) => each());
  for (const job of [other, await store(mesh, a1, { owner: ada })]) await prints(job, a1);
  assert.is(a1.state.pieces.countOf(a1.peer), kept);
});

test('a node whose clock is days behind dates a job by the clock that is agreed on', async () => {
  a1.clock.shift(-day_ms * 5 / 2);
  const job = await store(mesh, a1, { owner: ada });
  a1.clock.shift(day_ms * 5 / 2);
  const behind_ms = Date.now() - job.fact.time_ms;
  assert.ok(Math.abs(behind_ms) < day_ms / 24, `dated ${behind_ms} ms ago`);
  await waitFor(() => mesh.nodes.every((node) => node.mesh.ledger.first('job', job.id)) || undefined, {
    deadline_ms: patience_ms,
    what: 'the job to be known',
  });
  for (const node of job.holders) assert.equal(leftOf(node, job.id), ['envelope', 'piece', 'share']);
  await prints(job, a1);
});

test.run();
