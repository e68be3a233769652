/** A node among many: whom it stays connected to, how it reaches the others, and what decisions about sites change. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { directoryDoc } from '../../mesh/facts.ts';
import { pruneInterval_ms } from '../../mesh/limits.ts';
import { defaultPolicy, siteKind, type SitePolicy } from '../../mesh/policy.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { type Presence, presenceKind } from '../../mesh/roster.ts';
import { type FakeMesh, type FakeNode, patience_ms, prints, startMesh, store, user } from '../fakes/mesh.ts';
import { waitFor } from '../fakes/processes.ts';

const closed_ms = 5000;

const names = (node: FakeNode) => node.mesh.members().map(({ identity }) => identity.name).sort();

/** States a decision about a site at the registrar, the first node. */
async function decide(mesh: FakeMesh, site: string, policy: Partial<SitePolicy>): Promise<void> {
  const [registrar] = mesh.nodes as [FakeNode];
  await registrar.mesh.ledger.state(siteKind, () => directoryDoc, site, { ...defaultPolicy, ...policy });
}

async function until(what: string, done: () => boolean, deadline_ms = patience_ms): Promise<void> {
  await waitFor(() => done() || undefined, { deadline_ms, what });
}

/** Has one node accept a document and another print it, while `nodes` are the ones that hear of it. */
async function printed(mesh: FakeMesh, nodes: FakeNode[], from: FakeNode, at: FakeNode): Promise<void> {
  await prints(await store({ ...mesh, nodes }, from, { owner: await user(mesh, 'ada') }), at);
}

/** Two sites of three nodes; the first node is the registrar. */
async function twoSites(): Promise<FakeMesh> {
  const mesh = await startMesh(3);
  for (const name of ['b1', 'b2', 'b3']) await mesh.add(name, { site: 'b' });
  await mesh.connected();
  return mesh;
}

test('a site that keeps to itself ends its connections to others within 5 s, prints on, and opens again', async () => {
  const mesh = await twoSites();
  try {
    const [a1, a2, a3, b1, b2, b3] = mesh.nodes as [
      FakeNode,
      FakeNode,
      FakeNode,
      FakeNode,
      FakeNode,
      FakeNode,
    ];
    await decide(mesh, 'b', { mesh: 'site' });
    const apart = () =>
      mesh.nodes.every((node) => names(node).every((name) => name.startsWith(node.name.slice(0, 1))));
    await until('the sites to part', apart, closed_ms);
    await printed(mesh, [a1, a2, a3], a1, a2);
    await printed(mesh, [b1, b2, b3], b1, b3);
    const before = a3.logged.length;
    await b2.stop();
    await b2.start();
    await until('the node to be back in its site', () => names(b2).length === 2);
    assert.equal(names(b2), ['b1', 'b3']);
    assert.ok(apart(), 'a node that starts anew keeps to its site too');
    const asked = a3.logged.slice(before).filter((line) => line.includes('not admitted'));
    assert.equal(asked, [], 'and nobody even asks the others');
  } finally {
    await mesh.stop();
  }
});

test('a decision passes to the other site before the connections end', async () => {
  const mesh = await twoSites();
  try {
    await decide(mesh, 'a', { mesh: 'site', retention_ms: 3600_000 });
    await until('the sites to part', () => mesh.nodes.every((node) => names(node).length === 2), closed_ms);
    for (const node of mesh.nodes) {
      const fact = node.mesh.ledger.latest(siteKind.name, 'a');
      assert.is((fact?.body as SitePolicy | undefined)?.retention_ms, 3600_000, node.name);
    }
  } finally {
    await mesh.stop();
  }
});

test('a revoked node is cut off everywhere within 5 s, and stays so', async () => {
  const mesh = await startMesh(4);
  try {
    const [a1, a2, a3, a4] = mesh.nodes as [FakeNode, FakeNode, FakeNode, FakeNode];
    await a1.mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf('node', a4.peer), {});
    const without = () => [a1, a2, a3].every((node) => !names(node).includes('a4')) && names(a4).length === 0;
    await until('the revoked node to be cut off', without, closed_ms);
    await a4.stop();
    await a4.start();
    await printed(mesh, [a1, a2, a3], a1, a2);
    assert.ok(without());
  } finally {
    await mesh.stop();
  }
});

test('twelve nodes are not all connected; any one is reached when a call needs it, and let go after', async () => {
  const mesh = await startMesh(3);
  try {
    const [{ address }] = mesh.nodes as [FakeNode];
    for (let i = 4; i <= 12; i++) await mesh.add(`a${i}`, { peers: [address] });
    const knowAll = () =>
      mesh.nodes.every(({ mesh: { ledger } }) =>
        ledger.nodes().length === 12 && ledger.all(presenceKind.name).length === 12
      );
    await until('every node to know of every other', knowAll);
    // before clocks are moved, by which permissions are dated
    await printed(mesh, mesh.nodes, mesh.nodes[3] as FakeNode, mesh.nodes[11] as FakeNode);
    const isLean = (node: FakeNode) => names(node).length < 11;
    await until('connections that nobody wants to be let go', () => {
      for (const { clock } of mesh.nodes) clock.advance(5000);
      return mesh.nodes.some(isLean);
    }, 2 * patience_ms);
    // one that has let go of a node which wants it is connected again soon
    let last = { all: '', since_ms: performance.now() };
    await until('connections to stay as they are', () => {
      const all = mesh.nodes.map(names).join('; ');
      if (all !== last.all) last = { all, since_ms: performance.now() };
      return performance.now() - last.since_ms > 2 * pruneInterval_ms && mesh.nodes.some(isLean);
    }, 4 * patience_ms);
    const lean = mesh.nodes.find(isLean) as FakeNode;
    const far = mesh.nodes.find((node) => node !== lean && !names(lean).includes(node.name)) as FakeNode;
    const proof = { proof: 'AAAA' };
    const answer = await lean.mesh.holders(far.peer).view(proof).then(
      () => '',
      (error: Error) => error.message,
    );
    assert.match(answer, /authorization|base64|CBOR/, `it has answered: ${answer}`);
    assert.ok(names(lean).includes(far.name));
    await until('it to be let go when it is not used', () => {
      lean.clock.advance(10_000);
      return !names(lean).includes(far.name);
    }, 2 * patience_ms);
  } finally {
    await mesh.stop();
  }
});

test('every node tells where it is and how steady, and all name the same super nodes', async () => {
  const mesh = await startMesh(2, { roles: ['registrar', 'front'] });
  try {
    for (const name of ['a3', 'a4', 'a5']) await mesh.add(name, { roles: ['front'] });
    await mesh.connected();
    const told = (node: FakeNode, other: FakeNode) =>
      node.mesh.ledger.latest(presenceKind.name, other.peer)?.body as Presence | undefined;
    await until(
      'every presence to be known everywhere',
      () => mesh.nodes.every((node) => mesh.nodes.every((other) => told(node, other) !== undefined)),
    );
    for (const node of mesh.nodes) {
      assert.ok(told(node, node)?.addresses.every((address) => address.startsWith('/ip4/127.0.0.1/tcp/')));
    }
    const supers = (node: FakeNode) => node.mesh.supers().map(({ name }) => name).sort().join();
    await until('all to agree', () => new Set(mesh.nodes.map(supers)).size === 1);
    assert.is(supers(mesh.nodes[1] as FakeNode).split(',').length, 2);
    const [first = ''] = supers(mesh.nodes[1] as FakeNode).split(',');
    const gone = mesh.nodes.find(({ name }) => name === first) as FakeNode;
    await mesh.drop(gone);
    await until(
      'another to take its place',
      () => mesh.nodes.every((node) => !supers(node).includes(first) && supers(node).includes(',')),
    );
    assert.is(new Set(mesh.nodes.map(supers)).size, 1);
  } finally {
    await mesh.stop();
  }
});

test.run();
