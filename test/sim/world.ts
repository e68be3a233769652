/** Five nodes at two sites, their users, and whatever happens to them. */
import { drawFrom } from './crypto.ts';
import { decode } from '../../mesh/codec.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import { leaseSchema } from '../../mesh/lease.ts';
import { defaultPolicy, siteKind } from '../../mesh/policy.ts';
import type { ClaimRow, Piece } from '../../mesh/ports.ts';
import { Timeline } from './clock.ts';
import { lies, type Tap } from './disk.ts';
import { type Broken, Driver } from './driver.ts';
import type { Step } from './faults.ts';
import { SimNetwork } from './network.ts';
import { SimNode } from './node.ts';
import { type Org, organisation, type SimKeys } from './org.ts';
import { Random } from './random.ts';
import { Rogue } from './rogue.ts';
import type { Trace } from './trace.ts';
import { type Job, retention_ms, Watch } from './watch.ts';

export const nodeCount = 5;
const sites = ['a', 'a', 'a', 'b', 'b'];
/** of all seeds, how many have a holder that lies */
const liarShare = 3;
const opening_ms = 8000;
const maxWrites = 40;
const night_ms = 20 * 60_000;
const hour_ms = 3600_000;

interface OrgKeys {
  readonly nodes: SimKeys[];
  readonly rogue: SimKeys;
}

export class World {
  readonly timeline = new Timeline();
  readonly watch = new Watch();
  readonly network: SimNetwork;
  readonly driver: Driver;
  readonly nodes: SimNode[] = [];
  readonly #random: Random;
  readonly #trace: Trace;
  readonly #rogue: Rogue;
  /** the holder that lies, where there is one: then no other is lost for ever */
  readonly #liar: number | undefined;

  private constructor(seed: number, org: Org, keys: OrgKeys, trace: Trace, broken: Broken | undefined) {
    this.#random = new Random(`world ${seed}`);
    this.#trace = trace;
    this.network = new SimNetwork({
      timeline: this.timeline,
      random: new Random(`network ${seed}`),
      delay_ms: 3,
      note: (line) => trace.note(line),
    });
    this.driver = new Driver(org, this.timeline, this.watch, broken);
    this.#liar = seed % liarShare === 0 ? Math.floor(seed / liarShare) % nodeCount : undefined;
    const peers = keys.nodes.map(({ identity }) => identity.peerId);
    this.#rogue = new Rogue(this.network, this.watch, new Random(`rogue ${seed}`), keys.rogue, peers);
    for (const [i, own] of keys.nodes.entries()) {
      this.nodes.push(
        new SimNode({
          ...{ org, keys: own, index: i + 1, network: this.network, say: (line) => trace.say(line) },
          random: new Random(`disk ${seed} ${i}`),
          tap: (node) => this.#tap(node, broken),
        }),
      );
    }
  }

  /** Resolves when all nodes know each other, and their sites' retention. */
  static async open(seed: number, trace: Trace, broken: Broken | undefined): Promise<World> {
    const org = await organisation();
    const keys: OrgKeys = { nodes: [], rogue: await org.node('rogue', 'a', []) };
    for (const [i, site] of sites.entries()) {
      keys.nodes.push(await org.node(`n${i + 1}`, site, i === 0 ? ['registrar'] : []));
    }
    drawFrom(new Random(`crypto ${seed}`));
    const world = new World(seed, org, keys, trace, broken);
    for (const node of world.nodes) node.start();
    await world.timeline.advance(opening_ms);
    await world.#rogue.enter(world.nodes[0]!);
    await world.#decide();
    await world.timeline.advance(opening_ms);
    return world;
  }

  /** The registrar sets how long jobs are held. */
  async #decide(): Promise<void> {
    const ledger = this.nodes[0]?.running?.mesh.ledger;
    if (ledger === undefined) throw this.nodes[0]?.failure ?? new Error('the first node did not start');
    for (const site of new Set(sites)) {
      await ledger.state(siteKind, () => directoryDoc, site, { ...defaultPolicy, retention_ms });
    }
  }

  /** Watches what a node writes. */
  #tap(node: SimNode, broken: Broken | undefined): Tap {
    return (table, method, values) => {
      this.#trace.note(`${this.timeline.now_ms} ${node.name} ${table}.${method}`);
      if (table === 'age') node.noted();
      if (table === 'claims' && method === 'put') this.watch.claimRow(values[0] as ClaimRow);
      if (table === 'pieces' && method === 'put') {
        const { on_ms, lost_ms } = node;
        node.kept.set((values[0] as Piece).job, { on_ms, lost_ms, lease_ms: on_ms });
      }
      if (table !== 'pieces' || method !== 'setLease') return;
      const [job, octets] = values as [string, Uint8Array];
      const kept = node.kept.get(job);
      if (kept !== undefined) kept.lease_ms = node.on_ms;
      const lease = decode(leaseSchema, octets);
      this.watch.lease(node, job, lease);
      if (broken === 'vote not persisted' && lease.vote !== null) node.disk.forget(job);
      else node.disk.remember(job);
    };
  }

  /** Does what a step says, and lets its time go by. */
  async step(step: Step): Promise<void> {
    this.#apply(step);
    if (step.op === 'night') await this.rest(night_ms, step.confirm ? this.nodes[step.node] : undefined);
    await this.timeline.advance(step.wait_ms);
    this.watch.check(this.nodes);
  }

  /** Everybody goes home, and comes back: machines that were awake sleep meanwhile. */
  async rest(time_ms: number, but?: SimNode): Promise<void> {
    const awake = this.nodes.filter((node) => node.up && node !== but);
    for (const { machine } of awake) machine.sleep();
    await this.timeline.advance(time_ms);
    for (const node of awake) if (node.machine.asleep) node.wake();
  }

  #apply(step: Step): void {
    const node = this.nodes[step.node]!;
    const other = this.nodes[step.other]!;
    if (node.removed) return;
    switch (step.op) {
      case 'submit':
        return void this.driver.submit(node, step.other % 2, this.#document(step.pick));
      case 'release':
      case 'replay':
      case 'cancel':
        return this.#ask(node, step);
      case 'kill':
        return node.kill();
      case 'fuse':
        return void (node.disk.fuse = 1 + Math.floor(step.pick * maxWrites));
      case 'cut':
        return node.cut();
      case 'start':
      case 'wake':
        return step.op === 'start' ? node.start() : node.wake();
      case 'sleep':
        return node.machine.power ? node.machine.sleep() : undefined;
      case 'full':
      case 'roomy':
        return node.fill(step.op === 'full');
      case 'jump':
        // the median bears one wrong clock, as the design has it
        for (const one of this.nodes) one.machine.wallOffset_ms = 0;
        return void (node.machine.wallOffset_ms = step.confirm ? 0 : (step.pick - 0.5) * 6 * hour_ms);
      case 'lie':
        return this.#lie(step.pick);
      case 'mend':
        return this.mend(step.confirm);
      case 'night':
        return;
      case 'remove':
        return this.#liar !== undefined || this.nodes.some(({ removed }) => removed)
          ? undefined
          : node.remove();
      case 'rogue':
        return this.#rogue.act(this.nodes, this.jobs());
      default:
        return this.#weather(step, node, other);
    }
  }

  #lie(pick: number): void {
    const liar = this.#liar === undefined ? undefined : this.nodes[this.#liar];
    if (liar === undefined) return;
    liar.disk.lie = lies[Math.floor(pick * lies.length)] ?? 'none';
    liar.disk.hasLied ||= liar.disk.lie !== 'none';
  }

  #weather(step: Step, node: SimNode, other: SimNode): void {
    const { network } = this;
    switch (step.op) {
      case 'partition':
        for (const one of this.nodes) {
          if ((one.index + step.other) % 2 === node.index % 2 && one !== node) continue;
          for (const far of this.nodes) {
            if ((far.index + step.other) % 2 !== node.index % 2 || far === node) continue;
            network.block(one.peer, far.peer);
            network.block(far.peer, one.peer);
          }
        }
        return;
      case 'one-way':
        // to one other node, or of all others to this one
        for (const far of step.confirm ? this.nodes : []) network.block(far.peer, node.peer);
        return network.block(node.peer, step.confirm ? node.peer : other.peer);
      case 'heal':
        return network.heal();
      case 'slow':
        return void network.slow.set(node.peer, step.pick * 2000);
      case 'break':
        return network.breakLinks(node.peer, other.peer);
    }
  }

  #ask(node: SimNode, step: Step): void {
    const jobs = this.jobs();
    // mostly the ones that something is happening to
    const recent = jobs.filter(({ accepted, ended }) => accepted && !ended).slice(-6);
    if (step.op === 'replay') return void this.driver.replay(node, jobs, step.pick);
    const job = step.pick < 0.7
      ? recent[Math.floor(step.pick / 0.7 * recent.length)]
      : jobs[Math.floor((step.pick - 0.7) / 0.3 * jobs.length)];
    if (job === undefined) return;
    if (step.op === 'release') void this.driver.release(node, job, step.fate, step.confirm);
    else void this.driver.cancel(node, job);
  }

  /** Small, but now and then one of several chunks. */
  #document(pick: number): Uint8Array {
    return this.#random.bytes(pick > 0.97 ? 600_000 : 1 + Math.floor(pick * 3000));
  }

  /** Everything works again, but for what is gone for ever. @param clocks whether those are set right, too */
  mend(clocks: boolean): void {
    this.network.heal();
    for (const node of this.nodes) {
      node.fill(false);
      node.disk.fuse = Infinity;
      if (clocks) node.machine.wallOffset_ms = 0;
      node.start();
    }
  }

  get honest(): SimNode[] {
    return this.alive.filter(({ index }) => index - 1 !== this.#liar);
  }

  get alive(): SimNode[] {
    return this.nodes.filter(({ removed }) => !removed);
  }

  /** All jobs that somebody has stated facts about. */
  subjects(): string[] {
    return [...this.watch.jobs.keys(), ...this.#rogue.jobs];
  }

  jobs(): Job[] {
    return [...this.watch.jobs.values()];
  }

  dispose(): void {
    for (const node of this.nodes) node.cut();
  }
}
