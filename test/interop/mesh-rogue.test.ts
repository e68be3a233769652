import type { Libp2p } from 'libp2p';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Discovery } from '../../mesh/discovery.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import type { Gate } from '../../mesh/gate.ts';
import { maxUnmetPeers, redialMax_ms } from '../../mesh/limits.ts';
import { generateHostKey } from '../../mesh/mod.ts';
import { systemClock } from '../../src/clock.ts';
import {
  certifiedNode,
  type FakeMesh,
  type FakeNode,
  type NodeKeys,
  patience_ms,
  prints,
  startMesh,
  store,
  type Stored,
  user,
} from '../fakes/mesh.ts';
import { fakePeer } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { answerTo, anyMethod, type Rogue, startInsider, startRogue, withRogue } from '../fakes/rogue.ts';

let mesh: FakeMesh;
let a1: FakeNode;
let a2: FakeNode;
let ada: Stored['owner'];
let keys: NodeKeys;
/** a member that follows no rule */
let insider: Rogue;

test.before(async () => {
  mesh = await startMesh(3);
  [a1, a2] = mesh.nodes as [FakeNode, FakeNode];
  ada = await user(mesh, 'ada');
  keys = await certifiedNode(mesh.authority, { name: 'insider' });
  insider = await startInsider(keys, mesh.nodes);
});

test.after(async () => {
  await insider.stop();
  await mesh.stop();
});

/** A PeerId that no node has. */
const inventedPeer = async () => (await generateHostKey()).peerId;

const nowhere = Array.from({ length: 8 }, (_, i) => `/ip4/127.0.0.1/tcp/${i + 1}`);

test('hearsay does not push out where a member says that it is', async () => {
  const own = a2.address.replace(/\/p2p\/.*/, '');
  const { identity, issuers } = keys;
  const said = { leaf: identity.der, issuers, time_ms: Date.now(), addresses: [] };
  for (let round = 0; round < 32; round++) {
    const invented = await Promise.all(Array.from({ length: 62 }, inventedPeer));
    // the second is none at all, although it has the form of one
    const peers = [fakePeer('z'), ...invented].map((peer) => ({ peer, addresses: nowhere.slice(0, 1) }));
    await insider.call(a1, 'hello', { ...said, peers: [{ peer: a2.peer, addresses: nowhere }, ...peers] });
  }
  const { peers } = await insider.call(a1, 'hello', { ...said, peers: [] }) as {
    peers: { peer: string; addresses: string[] }[];
  };
  const told = peers.find(({ peer }) => peer === a2.peer)?.addresses ?? [];
  assert.is(told[0], own);
  assert.equal(peers.map(({ peer }) => peer).filter((peer) => !mesh.nodes.some((n) => n.peer === peer)), []);
  await prints(await store(mesh, a1, { owner: ada }), a2);
});

test('peers known by hearsay are bounded, and those that were met are kept', async () => {
  const dialled = new Map<string, string>();
  const host = Object.assign(new EventTarget(), {
    ...{ peerId: await inventedPeer(), getPeers: () => [], getConnections: () => [] },
    dial: ([first]: unknown[]) => {
      const [, address = '', peer = ''] = /^(.*)\/p2p\/(.*)$/.exec(String(first)) ?? [];
      dialled.set(peer, address);
      return Promise.reject(new Error('nobody there'));
    },
  });
  let now_ms = 0;
  const discovery = new Discovery({
    host: host as unknown as Libp2p,
    gate: {} as Gate,
    configured: [],
    addresses: { list: () => [], put: () => {} },
    clock: {
      wall_ms: () => now_ms,
      monotonic_ms: () => now_ms,
      uptime_ms: () => now_ms,
      after: systemClock.after,
    },
    log: () => {},
    onGone: () => {},
  });
  discovery.start();
  try {
    const real = await inventedPeer();
    discovery.learn(real, ['/ip4/192.0.2.1/tcp/1']);
    for (let i = 0; i < 2000; i++) {
      discovery.hear(await inventedPeer(), nowhere);
      discovery.hear(real, nowhere);
    }
    dialled.clear();
    now_ms += 2 * redialMax_ms;
    await waitFor(() => dialled.has(real) || undefined, { deadline_ms: patience_ms, what: 'the next round' });
    assert.is(dialled.get(real), '/ip4/192.0.2.1/tcp/1');
    assert.ok(dialled.size <= maxUnmetPeers + 1, `${dialled.size} peers`);
    assert.ok(dialled.size > 1);
  } finally {
    discovery.stop();
  }
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
