/** Who keeps connections to whom: few each, mutual mostly, and the mesh stays one piece. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createHash, randomInt } from 'node:crypto';
import process from 'node:process';
import { type Candidate, Topology } from '../../mesh/topology.ts';

const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31));

const named = (site: string, count: number): Candidate[] =>
  Array.from({ length: count }, (_, i) => ({
    peer: createHash('sha256').update(`${seed} ${site} ${i}`).digest('hex'),
    site,
    always: false,
  }));

/** Each node's neighbours when everybody sees the same others, those that it chose and those that chose it. */
function graph(nodes: readonly Candidate[]): Map<string, Set<string>> {
  const edges = new Map(nodes.map(({ peer }) => [peer, new Set<string>()]));
  for (const { peer, site } of nodes) {
    const chosen = new Topology(peer, site).neighbours(nodes.filter((other) => other.peer !== peer));
    for (const other of chosen) {
      edges.get(peer)?.add(other);
      edges.get(other)?.add(peer);
    }
  }
  return edges;
}

/** The most hops from a node to any other, and how many it reaches at all. */
function reach(edges: Map<string, Set<string>>, from: string): { reached: number; hops: number } {
  const seen = new Set([from]);
  let hops = 0;
  for (let ring = [from];; hops++) {
    ring = ring.flatMap((peer) => [...edges.get(peer) ?? []]).filter((peer) =>
      !seen.has(peer) && seen.add(peer)
    );
    if (ring.length === 0) return { reached: seen.size, hops };
  }
}

test('a few nodes are all connected to each other', () => {
  const nodes = named('a', 9);
  for (const [, others] of graph(nodes)) assert.is(others.size, 8);
});

test(`a thousand nodes of one site keep under 16 connections each, and are all near (SEED=${seed})`, () => {
  const nodes = named('a', 1000);
  const edges = graph(nodes);
  const degrees = [...edges.values()].map((others) => others.size);
  assert.ok(Math.max(...degrees) < 16, `the most is ${Math.max(...degrees)}`);
  const mean = degrees.reduce((sum, degree) => sum + degree, 0) / degrees.length;
  assert.ok(mean > 4 && mean < 9, `the mean is ${mean}`);
  const { reached, hops } = reach(edges, nodes[0]?.peer ?? '');
  assert.is(reached, 1000);
  assert.ok(hops <= 9, `${hops} hops`);
});

test(`a tenth of the nodes may go: hardly anybody notices, and nobody is left out for long (SEED=${seed})`, () => {
  const nodes = named('a', 300);
  const edges = graph(nodes);
  for (let part = 0; part < 10; part++) {
    const gone = new Set(nodes.slice(part * 30, part * 30 + 30).map(({ peer }) => peer));
    const left = nodes.filter(({ peer }) => !gone.has(peer));
    const [first = ''] = left.map(({ peer }) => peer);
    const unnoticed = new Map(
      left.map(({ peer }) => [peer, new Set([...edges.get(peer) ?? []].filter((other) => !gone.has(other)))]),
    );
    assert.ok(reach(unnoticed, first).reached >= 267, 'at once');
    if (part === 0) assert.is(reach(graph(left), first).reached, 270, 'when the others are chosen instead');
  }
});

test(`twenty sites are one piece, by connections between any of their nodes (SEED=${seed})`, () => {
  const nodes = Array.from({ length: 20 }, (_, i) => named(`site-${i}`, 15)).flat();
  assert.is(reach(graph(nodes), nodes[0]?.peer ?? '').reached, 300);
});

test(`sites of one node each are one piece too (SEED=${seed})`, () => {
  for (const count of [12, 100]) {
    const nodes = Array.from({ length: count }, (_, i) => named(`office-${i}`, 1)).flat();
    const edges = graph(nodes);
    assert.is(reach(edges, nodes[0]?.peer ?? '').reached, count);
    const most = Math.max(...[...edges.values()].map((others) => others.size));
    assert.ok(most < 16, `the most is ${most}`);
  }
});

test('what is always kept is kept whatever its rank', () => {
  const nodes = named('a', 100);
  const relays = named('hub', 2).map((relay) => ({ ...relay, always: true }));
  const chosen = new Topology('self', 'a').neighbours([...nodes, ...relays]);
  for (const { peer } of relays) assert.ok(chosen.includes(peer));
});

test('a node that is away leaves its place to the next, and the rest as it was', () => {
  const nodes = named('a', 100);
  const topology = new Topology('self', 'a');
  const before = topology.neighbours(nodes);
  const after = topology.neighbours(nodes.filter(({ peer }) => peer !== before[0]));
  assert.is(after.length, before.length);
  assert.ok(before.slice(1).every((peer) => after.includes(peer)));
});

test.run();
