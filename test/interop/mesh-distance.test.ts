import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  claim,
  collect,
  type FakeMesh,
  type FakeNode,
  patience_ms,
  spooled,
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
/** at another site */
let far: FakeNode;
let ada: Stored['owner'];

test.before(async () => {
  mesh = await startMesh(3);
  [a1] = mesh.nodes as [FakeNode];
  far = await mesh.add('b1', { site: 'b' });
  await mesh.connected();
  ada = await user(mesh, 'ada');
});

test.after(async () => await mesh.stop());

const document = randomBytes(1_500_000);
const parts = (node: FakeNode) => spooled(node).filter((name) => name.endsWith('.part'));

/** Resolves when the far node keeps nothing of any envelope. */
async function untilGone(): Promise<void> {
  const gone = () => spooled(far).length === 0 || undefined;
  await waitFor(gone, { deadline_ms: patience_ms, what: 'the copy to be removed' });
}

test('at another site nothing is read from a holder once octets go to a printer', async () => {
  const job = await store(mesh, a1, { owner: ada, document });
  const claimed = await claim(far, job);
  assert.is(parts(far).length, 1, 'the envelope is here');
  await claimed.begin();
  await Promise.all(job.holders.map((node) => node.stop()));
  assert.equal(await collect(claimed.document()), Buffer.from(document));
  const settled = claimed.settle('printed');
  await untilGone();
  await Promise.all(job.holders.map((node) => node.start()));
  await settled;
  await mesh.connected();
  await untilErased(job.holders, job.id);
});

test('at the holders’ own site nothing is copied', async () => {
  const job = await store(mesh, a1, { owner: ada, document });
  const claimed = await claim(a1, job);
  assert.equal(parts(a1), []);
  claimed.yield();
  await untilFree(job);
});

test('the copy goes with a claim that is given up, with its node, and when it can’t be had whole', async () => {
  const job = await store(mesh, a1, { owner: ada, document });
  const first = await claim(far, job);
  first.yield();
  await untilGone();
  await untilFree(job);
  await claim(far, job);
  assert.is(parts(far).length, 1);
  await far.stop();
  await far.start();
  assert.equal(spooled(far), []);
  await mesh.connected();
  await untilFree(job);
  const restore = job.holders.map(({ mesh: { custody } }) => {
    const fetch = custody.fetch.bind(custody);
    custody.fetch = async (from, request) => {
      const body = await fetch(from, request);
      return (async function* () {
        for await (const part of body) {
          yield part.subarray(0, 1000);
          throw new Error('the link is gone');
        }
      })();
    };
    return () => custody.fetch = fetch;
  });
  assert.match(await refusalOf(() => claim(far, job)), /^unavailable: /);
  restore.forEach((each) => each());
  assert.equal(spooled(far), []);
  await untilFree(job);
  const again = await claim(far, job);
  await again.begin();
  assert.equal(await collect(again.document()), Buffer.from(document));
  await again.settle('printed');
  await untilErased(job.holders, job.id);
});

test.run();
