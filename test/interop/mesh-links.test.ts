/** What one peer can do to a node's connections and to its idea of the time. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { maxLinksPerPeer, messageTime_ms } from '../../mesh/limits.ts';
import { certifiedNode, type FakeMesh, type FakeNode, patience_ms, startMesh } from '../fakes/mesh.ts';
import { waitFor } from '../fakes/processes.ts';
import { anyMethod, type Rogue, startRogue } from '../fakes/rogue.ts';

const hour_ms = 3600_000;

let mesh: FakeMesh;
let a1: FakeNode;

test.before(async () => {
  mesh = await startMesh(3);
  [a1] = mesh.nodes as [FakeNode];
});

test.after(async () => await mesh.stop());

test('a member that opens ever more connections keeps a few, and takes nobody else’s', async () => {
  const keys = await certifiedNode(mesh.authority, { name: 'greedy' });
  const many: Rogue[] = [];
  try {
    let open = 0;
    for (let i = 0; i < 3 * maxLinksPerPeer; i++) {
      const rogue = await startRogue({ hostKey: keys.hostKey });
      many.push(rogue);
      const connection = await rogue.connect(a1);
      open++;
      connection.addEventListener('close', () => open--, { once: true });
      await rogue.hello(a1, keys).catch(() => {});
    }
    await waitFor(() => open <= maxLinksPerPeer || undefined, {
      deadline_ms: patience_ms,
      what: `its connections to be ${maxLinksPerPeer}`,
    });
    assert.ok(open > 0, 'the newest stay');
    await mesh.connected();
  } finally {
    await Promise.all(many.map((rogue) => rogue.stop()));
  }
});

test('one peer moves a node’s time by nothing, whatever clock it tells', async () => {
  const lonely = await startMesh(1);
  const [node] = lonely.nodes as [FakeNode];
  const keys = await certifiedNode(lonely.authority, { name: 'liar' });
  const rogue = await startRogue({ hostKey: keys.hostKey });
  try {
    let asked = 0;
    await rogue.rpc.handle(anyMethod('beat'), () => {
      asked++;
      return Promise.resolve({ reply: { time_ms: asked % 2 === 0 ? 0 : Date.now() - 11 * hour_ms } });
    });
    await rogue.hello(node, keys, Date.now() - 11 * hour_ms);
    assert.is(node.mesh.members().length, 1);
    const wrong_ms = () => Math.abs(node.mesh.now_ms() - Date.now());
    assert.ok(wrong_ms() < 5000, `${wrong_ms()} ms off after hello`);
    node.clock.hurry(15_000);
    await waitFor(() => asked > 0 || undefined, { deadline_ms: patience_ms, what: 'a beat' });
    node.clock.hurry(15_000);
    await waitFor(() => asked > 1 || undefined, { deadline_ms: patience_ms, what: 'another' });
    assert.ok(wrong_ms() < 5000, `${wrong_ms()} ms off after beats`);
  } finally {
    await rogue.stop();
    await lonely.stop();
  }
});

test('a node’s own clock that jumps is outvoted at once', () => {
  const right_ms = () => Math.abs(a1.mesh.now_ms() - Date.now());
  a1.clock.shift(9 * hour_ms);
  try {
    assert.ok(right_ms() < 5000, `${right_ms()} ms off`);
  } finally {
    a1.clock.shift(-9 * hour_ms);
  }
});

test('an answer that drips in is given up', async () => {
  const keys = await certifiedNode(mesh.authority, { name: 'drip' });
  const rogue = await startRogue({ hostKey: keys.hostKey });
  let dripping = true;
  try {
    await rogue.rpc.handle(anyMethod('view'), async () => {
      await new Promise<void>((end) => {
        const look = () => dripping ? setTimeout(look, 50) : end();
        look();
      });
      return { reply: { pieces: [] } };
    });
    await rogue.hello(a1, keys);
    const asked = a1.mesh.holders(keys.identity.peerId).view({ proof: 'AAAA' })
      .then(() => 'answered', (error: Error) => error.message);
    const hurry = setInterval(() => a1.clock.hurry(messageTime_ms), 50);
    assert.match(await asked.finally(() => clearInterval(hurry)), /too long|broke/);
  } finally {
    dripping = false;
    await rogue.stop();
  }
});

test.run();
