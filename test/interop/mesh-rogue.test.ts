import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { directoryDoc } from '../../mesh/facts.ts';
import { certifiedNode, type FakeMesh, type FakeNode, type NodeKeys, startMesh } from '../fakes/mesh.ts';
import { answerTo, anyMethod, type Rogue, startInsider, startRogue, withRogue } from '../fakes/rogue.ts';

let mesh: FakeMesh;
let a1: FakeNode;
let keys: NodeKeys;
/** a member that follows no rule */
let insider: Rogue;

test.before(async () => {
  mesh = await startMesh(3);
  [a1] = mesh.nodes as [FakeNode];
  keys = await certifiedNode(mesh.authority, { name: 'insider' });
  insider = await startInsider(keys, mesh.nodes);
});

test.after(async () => {
  await insider.stop();
  await mesh.stop();
});

test('a call that overtakes the hello of its connection is served after it, and refused without it', async () => {
  const own = await certifiedNode(mesh.authority, { name: 'hasty' });
  const request = [directoryDoc, new Uint8Array([0]), true];
  await withRogue(await startRogue({ hostKey: own.hostKey }), async (hasty) => {
    for (const name of ['digests', 'pull']) {
      await hasty.rpc.handle(anyMethod(name), () => Promise.reject(new Error('not here')));
    }
    await hasty.connect(a1);
    let early = '';
    const call = answerTo(hasty.call(a1, 'pull', request)).then((answer) => early = answer);
    await new Promise((later) => setTimeout(later, 500));
    assert.is(early, '', 'it waits');
    await hasty.hello(a1, own);
    assert.is(await call, 'answered');
  });
  await withRogue(await startRogue(), async (stranger) => {
    await stranger.connect(a1);
    const calls = ['pull', 'view'].map((method) => answerTo(stranger.call(a1, method, request)));
    for (const answer of await Promise.all(calls)) assert.match(answer, /^forbidden: .*say hello first/);
    const start_ms = performance.now();
    // refused so soon that the stream is reset before the stranger has sent anything
    const late = await answerTo(stranger.call(a1, 'pull', request));
    assert.match(late, /^forbidden: |^unavailable: /);
    assert.ok(performance.now() - start_ms < 1000, 'nobody waits for a hello that late');
  });
});

test.run();
