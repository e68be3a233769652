/** One site of many nodes, which have been off for a minute: real meshes above simulated time, network and tables. */
import { drawFrom } from './crypto.ts';
import { Carrier } from '../../mesh/carrier.ts';
import { directoryDoc, type Fact, jobsDoc, rowOf, signFact } from '../../mesh/facts.ts';
import { jobKind } from '../../mesh/job-facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { type Mesh, openMesh } from '../../mesh/mod.ts';
import { nodeKind } from '../../mesh/node-fact.ts';
import type { FactRow, Storage } from '../../mesh/ports.ts';
import { clientOf, newArrayName } from '../../mesh/update.ts';
import { presenceKind } from '../../mesh/roster.ts';
import { sealRecipient } from '../../mesh/seal.ts';
import { Machine, start_ms } from './clock.ts';
import { SimNetwork } from './network.ts';
import { addressOf } from './node.ts';
import { type Org, organisation, type SimKeys } from './org.ts';
import { Random } from './random.ts';
import { StepTimeline } from './scale-clock.ts';
import { byId, type Known, memoryTables, noSpool } from './scale-tables.ts';
import { Meter } from './scale-meter.ts';

const site = 'a';
/** of a link, one way: each frame takes this long, and up to as long again */
const delay_ms = 5;
/** the nodes are switched on one after the other, within this time */
const starting_ms = 5000;
const off_ms = 60_000;

export interface ScaleNode {
  readonly peer: string;
  readonly mesh: Mesh;
}

export interface NodeParts {
  org: Org;
  keys: SimKeys;
  /** its number in the network, from 1 */
  index: number;
  machine: Machine;
  network: SimNetwork;
  storage: Storage;
  /** addresses to try first */
  peers?: readonly string[];
}

/** A real mesh above simulated time and network. */
export function openNode(
  { org, keys, index, machine, network, storage, peers = [] }: NodeParts,
): Promise<Mesh> {
  const life = machine.start();
  const clock = machine.clock(life);
  const { peerId: peer, name } = keys.identity;
  return openMesh({
    ...keys,
    ...{ trust: org.authority.trust, peers, storage, spool: noSpool, clock, kinds: [], authority: undefined },
    transport: network.attach({ peer, name, machine, life }, addressOf(index), clock),
    log: () => {},
    keeper: { certificates: () => Promise.resolve(), authority: () => Promise.resolve() },
    askLapsed: () => Promise.reject(new Error('no certificate lapses in a simulation')),
  });
}

/** Says that a node has accepted a job. @returns the fact's octets, as they are signed */
export async function stateJob(mesh: Mesh, job: string, holders: string[], now_ms: number): Promise<number> {
  const { site } = mesh.self;
  const place = (time_ms: number) => jobsDoc(site, time_ms);
  const { fact, record } = await mesh.ledger.sign(jobKind, place, job, {
    ...{ owner: 'ada@example.org', bytes: 100_000, epoch: 1, expires_ms: now_ms + 8 * 3600_000 },
    ...{ degraded: null, sleeper: null, handed: null, holders },
  });
  mesh.ledger.add(fact, record);
  mesh.ledger.publish(fact, record);
  return record.length;
}

/** When and where a fact has arrived. */
export interface Arrivals {
  readonly stated_ms: number;
  octets: number;
  /** milliseconds that it took to each of the other nodes that it has reached */
  readonly took_ms: number[];
}

export class ScaleSite {
  readonly timeline = new StepTimeline();
  readonly meter = new Meter();
  readonly network: SimNetwork;
  readonly nodes: ScaleNode[] = [];
  /** by job */
  readonly arrivals = new Map<string, Arrivals>();
  readonly #random: Random;

  private constructor(seed: number) {
    this.#random = new Random(`site ${seed}`);
    this.network = new SimNetwork({
      ...{ timeline: this.timeline, random: new Random(`network ${seed}`), delay_ms },
      note: (line) => this.meter.note(line),
    });
  }

  /** Resolves when all nodes run, and have had a minute to find their neighbours. */
  static async open(seed: number, count: number): Promise<ScaleSite> {
    const org = await organisation();
    const keys: SimKeys[] = [];
    for (let i = 1; i <= count; i++) keys.push(await org.node(`pc-${i}`, site, []));
    drawFrom(new Random(`crypto ${seed}`));
    const known = await earlier(keys);
    const opened = new ScaleSite(seed);
    for (const [i, own] of keys.entries()) {
      await opened.#start(org, own, i + 1, known);
      await opened.timeline.advance(starting_ms / count);
    }
    return opened;
  }

  async #start(org: Org, keys: SimKeys, index: number, known: Known): Promise<void> {
    const machine = new Machine(this.timeline);
    const mesh = await openNode({
      org,
      keys,
      index,
      machine,
      network: this.network,
      storage: memoryTables(known),
    });
    const peer = keys.identity.peerId;
    mesh.ledger.onFact((fact) => this.#arrived(peer, fact));
    this.nodes.push({ peer, mesh });
  }

  #arrived(peer: string, { kind, subject, author }: Fact): void {
    if (kind !== jobKind.name || author === peer) return;
    const arrivals = this.arrivals.get(subject);
    arrivals?.took_ms.push(this.timeline.now_ms - arrivals.stated_ms);
  }

  /** A random node says that it has accepted a job. */
  async stateJob(among: readonly ScaleNode[] = this.nodes): Promise<void> {
    const { peer, mesh } = this.#random.pick(among);
    const job = newJobId(peer);
    const start = this.#random.below(this.nodes.length);
    const holders = [0, 1, 2].map((i) => this.nodes[(start + i) % this.nodes.length]!.peer);
    const { now_ms } = this.timeline;
    const arrivals = { stated_ms: now_ms, octets: 0, took_ms: [] };
    this.arrivals.set(job, arrivals);
    arrivals.octets = await stateJob(mesh, job, holders, start_ms + now_ms);
  }

  /** The most connections that a node has now, and how many on average. */
  connections(): { most: number; mean: number } {
    const counts = this.nodes.map(({ mesh }) => mesh.members().length);
    return { most: Math.max(...counts), mean: counts.reduce((sum, one) => sum + one, 0) / counts.length };
  }

  /** How many nodes list so many jobs. */
  holding(jobs: number): number {
    return this.nodes.filter(({ mesh }) => mesh.ledger.all(jobKind.name).length === jobs).length;
  }

  /** Nothing passes between two parts of the site until `heal` of the network. */
  part(some: readonly ScaleNode[], others: readonly ScaleNode[]): void {
    for (const a of some) {
      for (const b of others) {
        this.network.block(a.peer, b.peer);
        this.network.block(b.peer, a.peer);
      }
    }
  }

  async close(): Promise<void> {
    for (const { mesh } of this.nodes) {
      await mesh.close();
    }
  }
}

/** What each of the nodes had stated before it was switched off, as they all had it. */
async function earlier(keys: readonly SimKeys[]): Promise<Known> {
  const time_ms = start_ms - off_ms;
  const day = jobsDoc(site, time_ms);
  const known = new Map<string, { rows: ReadonlyMap<string, FactRow>; snapshot: Uint8Array }>();
  for (const doc of [directoryDoc, day]) {
    const carrier = new Carrier(keys[0]!.identity.peerId);
    const rows: FactRow[] = [];
    for (const [i, own] of keys.entries()) {
      const author = own.identity.peerId;
      const about = { author, subject: author, time_ms };
      const fact: Fact = doc === day
        ? { ...about, doc, kind: presenceKind.name, seq: time_ms + 1, body: presenceOf(i + 1) }
        : { ...about, doc, kind: nodeKind.name, seq: time_ms, body: await certificateOf(own) };
      const record = await signFact(own.key, fact);
      const name = newArrayName(author);
      rows.push(rowOf(fact, record));
      carrier.integrate({ client: clientOf(name), name, clock: 0, records: [record] });
    }
    known.set(doc, { rows: byId(rows), snapshot: carrier.snapshot() });
    carrier.close();
  }
  return known;
}

const presenceOf = (index: number) => ({
  addresses: [addressOf(index)],
  awake: [60, 480, 480, 480, 480, 0, 0],
  clients: null,
});

const certificateOf = async ({ identity, issuers, sealKey }: SimKeys) => ({
  ...{ leaf: identity.der, issuers, seal: await sealRecipient(sealKey) },
});
