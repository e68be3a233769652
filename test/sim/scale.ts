/**
 * What a site of many nodes costs: how soon facts are everywhere, what nodes send meanwhile and when nothing happens,
 * how many connections they keep, how soon two halves are one again.
 *
 * Traffic is what a node sends: the octets of each frame that the mesh writes, with the four of its length. What lies
 * below (agreeing on a protocol for each call, yamux, Noise) is simulated, and told apart.
 */
import './crypto.ts';
import type { Arrivals, ScaleSite } from './scale-site.ts';

export interface Measured {
  /** octets that a node has sent on average, and the one that has sent most */
  sent: number;
  mostSent: number;
  /** with what lies below the mesh, on average */
  sentBelow: number;
  /** how long was measured */
  window_ms: number;
  /** when there were most */
  connections: { most: number; mean: number };
  byMethod: { method: string; frames: number; octets: number }[];
}

export interface Burst extends Measured {
  facts: number;
  /** of one fact on average, as it is signed */
  factBytes: number;
  /** until a fact had reached 99 % of the others: the slowest fact's, and the median */
  slowest_ms: number;
  median_ms: number;
  /** facts that have not reached every node */
  incomplete: number;
}

export interface Healing extends Measured {
  /** from the end of a partition in halves until 99 % of the nodes, and all of them, have every fact */
  most_ms: number;
  all_ms: number;
}

const reached = 0.99;
const lookEvery_ms = 250;
/** how long the halves may take to be one */
const healing_ms = 90_000;

/** Lets time go by and counts what is sent in it. */
export async function measure(
  site: ScaleSite,
  window_ms: number,
  during: (elapsed_ms: number) => Promise<void> = () => Promise.resolve(),
): Promise<Measured> {
  const { meter, network, nodes, timeline } = site;
  meter.reset();
  const below = () => [...network.traffic.values()].reduce((sum, { sent }) => sum + sent, 0);
  const before = below();
  let connections = site.connections();
  for (let elapsed_ms = 0; elapsed_ms < window_ms; elapsed_ms += lookEvery_ms) {
    await during(elapsed_ms);
    await timeline.advance(lookEvery_ms);
    const now = site.connections();
    if (now.most > connections.most) connections = now;
  }
  return {
    sent: meter.total / nodes.length,
    mostSent: Math.max(...meter.byNode.values()),
    sentBelow: (below() - before) / nodes.length,
    window_ms,
    connections,
    byMethod: [...meter.byMethod].map(([method, { frames, octets }]) => ({ method, frames, octets })),
  };
}

/** States so many job facts at random nodes in `over_ms`, and follows them until `window_ms` are over. */
export async function burst(
  site: ScaleSite,
  facts: number,
  over_ms: number,
  window_ms: number,
): Promise<Burst> {
  const first = site.arrivals.size;
  let stated = 0;
  const measured = await measure(site, window_ms, async (elapsed_ms) => {
    for (; stated < facts && stated <= facts * (elapsed_ms / over_ms); stated++) await site.stateJob();
  });
  const arrivals = [...site.arrivals.values()].slice(first);
  const others = site.nodes.length - 1;
  const times = arrivals.map((one) => reachedAfter(one, others)).sort((a, b) => a - b);
  return {
    ...measured,
    facts,
    factBytes: arrivals.reduce((sum, { octets }) => sum + octets, 0) / facts,
    slowest_ms: times.at(-1)!,
    median_ms: times[times.length >> 1]!,
    incomplete: arrivals.filter(({ took_ms }) => took_ms.length < others).length,
  };
}

function reachedAfter({ took_ms }: Arrivals, others: number): number {
  return took_ms[Math.ceil(others * reached) - 1] ?? Infinity;
}

/** Parts the site in halves, states facts in both, heals it and waits until they are everywhere. */
export async function heal(site: ScaleSite, facts: number, parted_ms: number): Promise<Healing> {
  const { nodes, network } = site;
  const halves = [nodes.filter((_, i) => i % 2 === 0), nodes.filter((_, i) => i % 2 === 1)] as const;
  site.part(...halves);
  for (let i = 0; i < facts; i++) await site.stateJob(halves[i % 2]);
  await site.timeline.advance(parted_ms);
  network.heal();
  let most_ms = Infinity;
  let all_ms = Infinity;
  const measured = await measure(site, healing_ms, (elapsed_ms) => {
    const whole = site.holding(site.arrivals.size);
    if (whole >= nodes.length * reached) most_ms = Math.min(most_ms, elapsed_ms);
    if (whole === nodes.length) all_ms = Math.min(all_ms, elapsed_ms);
    return Promise.resolve();
  });
  return { ...measured, most_ms, all_ms };
}
