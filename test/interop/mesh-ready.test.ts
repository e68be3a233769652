/** Whether a job would be taken is known before its document comes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type FakeNode, patience_ms, spooled, startMesh } from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

test('a node is ready among three, and says what is lacking when it is left alone; it leaves nothing behind', async () => {
  const mesh = await startMesh(3);
  try {
    const [a1, a2, a3] = mesh.nodes as [FakeNode, FakeNode, FakeNode];
    await a1.mesh.acceptor.ready();
    assert.equal(spooled(a1), []);
    await Promise.all([a2.stop(), a3.stop()]);
    const alone = async () => (await refusalOf(() => a1.mesh.acceptor.ready())) || undefined;
    const refusal = await waitFor(alone, { deadline_ms: patience_ms, what: 'the others to be missed' });
    assert.match(refusal, /^unavailable: .*wake another workstation/);
    assert.equal(spooled(a1), []);
  } finally {
    await mesh.stop();
  }
});

test.run();
