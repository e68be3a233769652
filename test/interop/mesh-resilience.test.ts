import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chunkBytes, headerBytes } from '../../mesh/envelope.ts';
import {
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  leaseOf,
  outsider,
  patience_ms,
  prints,
  startMesh,
  store,
  type Stored,
  untilErased,
  untilFree,
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

test('one corrupt share of three is found out, and its holder named', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const [bad] = job.holders as [FakeNode];
  const damaged = (bad.state.pieces.get(job.id)?.share ?? new Uint8Array(0)).slice();
  damaged[0] = (damaged[0] ?? 0) ^ 1;
  bad.state.run('UPDATE pieces SET share = ? WHERE job = ?', damaged, job.id);
  const node = outsider(mesh, job);
  await prints(job, node);
  const named = node.logged.filter((line) => line.includes('corrupt share') && line.includes(job.id));
  assert.is(named.length, 1);
  assert.match(named[0] ?? '', `"node":"${bad.name}"`);
});

test('two corrupt shares of three give no key, and free the job', async () => {
  const job = await store(mesh, a1, { owner: ada });
  for (const bad of job.holders.slice(1)) {
    const share = bad.state.pieces.get(job.id)?.share ?? new Uint8Array(0);
    bad.state.run(
      'UPDATE pieces SET share = ? WHERE job = ?',
      share.map((octet, i) => i < 32 ? octet ^ 1 : octet),
      job.id,
    );
  }
  assert.match(await refusalOf(() => claim(a1, job)), /^corrupt: /);
  await untilFree(job);
});

/** Flips one bit of an envelope on a holder's disk. */
function damage(node: FakeNode, job: Stored, offset: number): void {
  const file = openSync(join(node.dir, 'envelopes', job.id), 'r+');
  const octet = new Uint8Array(1);
  readSync(file, octet, 0, 1, offset);
  writeSync(file, octet.map((value) => value ^ 1), 0, 1, offset);
  closeSync(file);
}

test('an envelope that is damaged on the local disk is read on from another holder', async () => {
  for (const offset of [headerBytes - 1, headerBytes + 5, headerBytes + chunkBytes + 100]) {
    const job = await store(mesh, a1, { owner: ada, document: randomBytes(3 * chunkBytes + 7) });
    damage(a1, job, offset);
    await prints(job, a1);
  }
});

test('an envelope that is missing or short on the local disk is read from another holder', async () => {
  const job = await store(mesh, a1, { owner: ada, document: randomBytes(2 * chunkBytes) });
  const claimed = await claim(a1, job);
  await claimed.begin();
  truncateSync(join(a1.dir, 'envelopes', job.id), chunkBytes + 1000);
  assert.equal(await collect(claimed.document()), Buffer.from(job.document));
  await claimed.settle('printed');
  await untilErased(job.holders, job.id);
});

test('a document that no holder has whole is corrupt, and nothing wrong comes out', async () => {
  const job = await store(mesh, a1, { owner: ada, document: randomBytes(3 * chunkBytes) });
  for (const node of job.holders) damage(node, job, headerBytes + chunkBytes + 100);
  const claimed = await claim(a1, job);
  const got: Uint8Array[] = [];
  const answer = await refusalOf(async () => {
    for await (const chunk of claimed.document()) got.push(chunk);
  });
  assert.match(answer, /^corrupt: chunk 1 does not authenticate/);
  assert.equal(Buffer.concat(got), Buffer.from(job.document.subarray(0, chunkBytes)));
  await claimed.yield();
  await untilFree(job);
});

test('a holder that stops while the document is fetched is replaced by another', async () => {
  const job = await store(mesh, a1, { owner: ada, document: randomBytes(12 * 1024 * 1024) });
  const serving: FakeNode[] = [];
  for (const node of job.holders) {
    const { custody } = node.mesh;
    const fetch = custody.fetch.bind(custody);
    custody.fetch = (from, request) => {
      serving.push(node);
      return fetch(from, request);
    };
  }
  const claimed = await claim(outsider(mesh, job), job);
  await claimed.begin();
  const got: Uint8Array[] = [];
  for await (const chunk of claimed.document()) {
    got.push(chunk.slice());
    if (got.length === 2) await serving[0]?.stop();
  }
  assert.equal(Buffer.concat(got), Buffer.from(job.document));
  assert.is(serving.length, 2);
  await claimed.settle('printed');
  await serving[0]?.start();
  await mesh.connected();
  await untilErased(job.holders, job.id);
});

test('a vote that comes late, after the claim has yielded, is not given', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const late = job.holders[2] as FakeNode;
  const { custody } = late.mesh;
  const vote = custody.vote.bind(custody);
  let go = () => {};
  const gate = new Promise<void>((open) => go = open);
  const answered: Promise<unknown>[] = [];
  custody.vote = async (from, request) => {
    await gate;
    const answer = vote(from, request);
    answered.push(answer.catch((error: Error) => error.message));
    return await answer;
  };
  const first = await claim(outsider(mesh, job), job);
  await first.yield();
  const refused = () => leaseOf(late, job).refused.includes(first.id);
  await waitFor(() => refused() || undefined, { deadline_ms: patience_ms, what: 'the yield to arrive' });
  go();
  await waitFor(() => answered[0], { deadline_ms: patience_ms, what: 'the late vote' });
  assert.match(await answered[0] as string, 'this claim has ended');
  assert.is(leaseOf(late, job).vote, null);
  custody.vote = vote;
  await prints(job, a1);
});

test('without a quorum the owner is told who must wake up, and then it goes on', async () => {
  const job = await store(mesh, a1, { owner: ada });
  const asleep = job.holders.filter((node) => node !== a1);
  await Promise.all(asleep.map((node) => node.stop()));
  const answer = await refusalOf(() => claim(a1, job));
  assert.match(answer, /^unavailable: waiting for \S+ or \S+ to wake up$/);
  for (const { name } of asleep) assert.match(answer, name);
  await waitFor(() => leaseOf(a1, job).vote === null || undefined, {
    deadline_ms: patience_ms,
    what: 'the yield',
  });
  await asleep[0]?.start();
  await mesh.connected();
  const claimed = await claim(a1, job);
  await claimed.begin();
  assert.equal(await collect(claimed.document()), Buffer.from(job.document));
  await claimed.settle('printed');
  await untilErased([a1, asleep[0] as FakeNode], job.id);
  await asleep[1]?.start();
  await mesh.connected();
  await untilErased(job.holders, job.id);
});

test.run();
