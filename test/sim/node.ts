/** A node of a simulation: a real mesh above simulated ports, which can be killed, put to sleep and started again. */
import './crypto.ts';
import { type Mesh, openMesh } from '../../mesh/mod.ts';
import type { Clock } from '../../mesh/ports.ts';
import { type Life, Machine } from './clock.ts';
import { Disk, type Tap } from './disk.ts';
import type { Host } from './lane.ts';
import type { SimNetwork } from './network.ts';
import type { Org, SimKeys } from './org.ts';
import type { Random } from './random.ts';
import { tables } from './tables.ts';

export interface NodeOptions {
  org: Org;
  keys: SimKeys;
  /** its number in the network, from 1 */
  index: number;
  network: SimNetwork;
  random: Random;
  tap(node: SimNode): Tap;
  say(line: string): void;
}

/** A running process: what it is asked through. */
export interface Running {
  readonly life: Life;
  readonly clock: Clock;
  readonly mesh: Mesh;
}

export const addressOf = (index: number) => `/ip4/10.0.${index >> 8}.${index & 255}/tcp/9264`;

/** When a piece was put on a disk, as its machine's age. */
interface Kept {
  readonly on_ms: number;
  /** what power cuts had taken from its node's age until then */
  readonly lost_ms: number;
  /** the same as on_ms when its lease changed last */
  lease_ms: number;
}

export class SimNode {
  readonly name: string;
  readonly peer: string;
  readonly index: number;
  readonly machine: Machine;
  readonly disk: Disk;
  readonly #options: NodeOptions;
  #host: Host | undefined;
  /** while its mesh is open */
  running: Running | undefined;
  /** it never comes back */
  removed = false;
  /** what power cuts have taken from its age: all since that was written down, and be it a night's sleep */
  lost_ms = 0;
  #noted_ms = 0;
  /** by job */
  readonly kept = new Map<string, Kept>();
  #on_ms = 0;
  #awakeSince_ms = 0;
  #roomySince_ms = 0;
  /** why it could not start */
  failure: Error | undefined;

  constructor(options: NodeOptions) {
    const { keys, network, random } = options;
    this.#options = options;
    this.name = keys.identity.name;
    this.peer = keys.identity.peerId;
    this.index = options.index;
    this.machine = new Machine(network.timeline);
    this.disk = new Disk(tables(), random);
    this.disk.onFuse = () => this.kill();
  }

  /** Whether its process runs, awake. */
  get up(): boolean {
    return this.running !== undefined && !this.machine.asleep;
  }

  /** Switches it on, wakes it up, starts its process: whatever it takes. */
  start(): void {
    if (this.removed) return;
    this.machine.switchOn();
    this.wake();
    if (this.machine.life !== undefined) return;
    this.#awakeSince_ms = this.machine.timeline.now_ms;
    void this.#open(this.machine.start());
  }

  async #open(life: Life): Promise<void> {
    const { org, keys, network, tap, say } = this.#options;
    const clock = this.machine.clock(life);
    const host = { peer: this.peer, name: this.name, machine: this.machine, life };
    this.#host = host;
    try {
      const mesh = await openMesh({
        ...keys,
        trust: org.authority.trust,
        transport: network.attach(host, addressOf(this.index), clock),
        peers: [1, 2].filter((index) => index !== this.index).map(addressOf),
        storage: this.disk.tables(life, tap(this)),
        spool: this.disk.spool(life, clock),
        clock,
        log: (level, what, fields = {}) => {
          if (level === 'error' && life.alive) say(`  ${this.name} ${what} ${JSON.stringify(fields)}`);
        },
        kinds: [],
        authority: keys.identity.roles.includes('registrar') ? org.authority : undefined,
        keeper: { certificates: () => Promise.resolve(), authority: () => Promise.resolve() },
        askLapsed: () => Promise.reject(new Error('no certificate lapses in a simulation')),
      });
      if (life.alive) this.running = { life, clock, mesh };
    } catch (thrown) {
      if (!life.alive) return;
      if (!this.disk.full) this.failure = thrown instanceof Error ? thrown : new Error(String(thrown));
      this.kill();
    }
  }

  /** milliseconds that its machine has been switched on, over all its runs */
  get on_ms(): number {
    const { power, booted_ms, timeline } = this.machine;
    return this.#on_ms + (power ? timeline.now_ms - booted_ms : 0);
  }

  /** It has written down how old it is. */
  noted(): void {
    this.#noted_ms = this.on_ms;
  }

  /** for how long its process has been running and awake */
  get awake_ms(): number {
    return this.machine.timeline.now_ms - this.#awakeSince_ms;
  }

  /** for how long its disk has had room */
  get roomy_ms(): number {
    return this.disk.full ? 0 : this.machine.timeline.now_ms - this.#roomySince_ms;
  }

  fill(full: boolean): void {
    if (this.disk.full && !full) this.#roomySince_ms = this.machine.timeline.now_ms;
    this.disk.full = full;
  }

  wake(): void {
    if (this.machine.asleep) this.#awakeSince_ms = this.machine.timeline.now_ms;
    this.machine.wake();
  }

  /** It never comes back. */
  remove(): void {
    this.cut();
    this.removed = true;
  }

  /** Ends its process; the machine stays on. */
  kill(): void {
    this.running = undefined;
    this.machine.kill();
    this.disk.crash();
    if (this.#host !== undefined && !this.machine.asleep) this.#options.network.reset(this.#host);
  }

  /** Takes its power away. */
  cut(): void {
    this.running = undefined;
    this.#on_ms = this.on_ms;
    if (this.machine.power) this.lost_ms += this.#on_ms - this.#noted_ms;
    this.#noted_ms = this.#on_ms;
    this.machine.switchOff();
    this.disk.crash();
  }
}
