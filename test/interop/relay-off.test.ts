/** A site's relay is turned off while a document passes through it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { circuitGrace_ms } from '../../mesh/limits.ts';
import { policyOf } from '../../mesh/mod.ts';
import { claim, collect, grantOf, patience_ms, store, user } from '../fakes/mesh.ts';
import { waitFor } from '../fakes/processes.ts';
import { type RelayedMesh, startRelayed, transfer } from '../fakes/relayed.ts';

const documentBytes = 64 * 1024 * 1024;
/** from the decision to the end of what passes; hearing of it takes a part of that */
const promised_ms = 2000;

let relayed: RelayedMesh;

test.before(async () => {
  relayed = await startRelayed();
});

test.after(async () => await relayed?.mesh.stop());

test('circuits end when their site’s relay is turned off, after the grace and nothing else, with the reason', async () => {
  const { mesh, here: [a1], hub, far, decide, throughRelay } = relayed;
  if (a1 === undefined) throw new TypeError('no nodes');
  assert.ok(circuitGrace_ms < promised_ms / 2);
  const owner = await user(mesh, 'ada');
  const job = await store(mesh, a1, { owner, document: Buffer.alloc(documentBytes, 'a document') });
  const { ended } = await transfer(relayed, job);
  assert.ok(hub.mesh.relayed().circuits > 0);
  await decide({ relay: false });
  await waitFor(
    () => [hub, far].every(({ mesh: { ledger } }) => !policyOf(ledger, 'b').relay) || undefined,
    { deadline_ms: patience_ms, what: 'the relay and the node at its far end to hear of it' },
  );
  hub.clock.hurry(circuitGrace_ms);
  assert.is(hub.mesh.relayed().circuits, 0);
  assert.is(await ended, 'relay is off for site b: ask your operator');
  await decide({ relay: true });
  await throughRelay();
  const claimed = await claim(far, job, await grantOf(job, { claimant: far.peer }));
  assert.ok((await collect(claimed.document())).equals(job.document), 'it comes whole when it is on again');
  claimed.yield();
});

test.run();
