/** Tries now and then which printers of its site this node can connect to, and tells the other nodes. */
import { jobsDoc, lanInterfaces, type Log, type Mesh } from '../../mesh/mod.ts';
import { reachLimits } from '../limits.ts';
import { endpointIn, identifyBySnmp } from './identity.ts';
import { inParallel } from './parallel.ts';
import { type Reach, reachKind, reachSaid } from './reach-kind.ts';
import type { SnmpSettings } from './snmp-settings.ts';
import { canConnect } from './subnet.ts';

/** A printer as it is tried. */
export interface Tried {
  name: string;
  site: string;
  uri: string;
  more?: readonly string[] | undefined;
}

export interface ReachOptions {
  mesh: Pick<Mesh, 'self' | 'ledger' | 'now_ms'>;
  /** null: SNMP is not asked */
  snmp: SnmpSettings | null;
  printers(): readonly Tried[];
  log: Log;
}

interface Result {
  tried: boolean;
  /** undefined where that cannot be told */
  reached: boolean | undefined;
  due_ms: number;
}

/**
 * Whether this node can connect to a printer. A RAW port is left alone: some printers take one connection at a time, and
 * each for a job. What answers SNMP can be reached; what does not may be, so that nothing is said of it.
 * @returns undefined where that cannot be told
 */
export async function canReach(
  { uri, more = [] }: Pick<Tried, 'uri' | 'more'>,
  snmp: SnmpSettings | null,
): Promise<boolean | undefined> {
  const ways = await Promise.all([uri, ...more].map(async (each) => {
    const endpoint = endpointIn(each);
    if (endpoint === undefined) return undefined;
    if (!each.startsWith('socket:')) return await canConnect(endpoint.host, endpoint.port);
    if (snmp === null) return undefined;
    return await identifyBySnmp(endpoint.host, snmp).then(() => true, () => undefined);
  }));
  return ways.includes(true) ? true : ways.includes(undefined) ? undefined : false;
}

export class ReachWatch {
  readonly #options: ReachOptions;
  /** by name and addresses */
  readonly #tried = new Map<string, Result>();
  readonly #timer: ReturnType<typeof setInterval>;
  #looking = false;
  #place = '';

  constructor(options: ReachOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), reachLimits.look_ms);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Whether this node reached a printer when it tried last; undefined where that cannot be told. */
  here(printer: Tried): boolean | undefined {
    return this.#tried.get(keyOf(printer))?.reached;
  }

  /** Whether a node has said that it reaches a printer of its site; undefined where it has said nothing. */
  at(peer: string, printer: string): boolean | undefined {
    return reachSaid(this.#options.mesh.ledger, peer, printer);
  }

  #said(peer: string): Reach | undefined {
    return this.#options.mesh.ledger.latest(reachKind.name, peer)?.body as Reach | undefined;
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#try();
      await this.#tell();
    } catch (thrown) {
      this.#options.log('warn', 'this node cannot tell which printers it reaches', {
        reason: String(thrown),
      });
    } finally {
      this.#looking = false;
    }
  }

  #printers(): Tried[] {
    const { mesh, printers } = this.#options;
    return printers().filter(({ site }) => site === mesh.self.site);
  }

  async #try(): Promise<void> {
    const now_ms = performance.now();
    // a machine that moves reaches others
    const place = lanInterfaces().map(({ address }) => address).join(' ');
    if (place !== this.#place) this.#tried.clear();
    this.#place = place;
    const printers = this.#printers();
    const keys = new Set(printers.map(keyOf));
    for (const key of this.#tried.keys()) if (!keys.has(key)) this.#tried.delete(key);
    for (const key of keys) {
      const due_ms = now_ms + later(reachLimits.spread_ms);
      if (!this.#tried.has(key)) this.#tried.set(key, { tried: false, reached: undefined, due_ms });
    }
    const due = printers.filter((printer) => (this.#tried.get(keyOf(printer))?.due_ms ?? Infinity) <= now_ms);
    await inParallel(due, reachLimits.atOnce, async (printer) => {
      const before = this.here(printer);
      const found = await canReach(printer, this.#options.snmp);
      // one that has answered once can be told from one that never does
      const reached = found ?? (before === undefined ? undefined : false);
      const due_ms = performance.now() + reachLimits.again_ms + later(reachLimits.again_ms);
      this.#tried.set(keyOf(printer), { tried: true, reached, due_ms });
    });
  }

  async #tell(): Promise<void> {
    const { mesh } = this.#options;
    const printers = this.#printers();
    if (printers.some((printer) => this.#tried.get(keyOf(printer))?.tried !== true)) return;
    const names = (reached: boolean) =>
      printers.filter((printer) => this.here(printer) === reached).map(({ name }) => name).sort()
        .slice(0, reachLimits.maxTold);
    const body: Reach = { reached: names(true), unreached: names(false) };
    const said = this.#said(mesh.self.peerId);
    if (said === undefined && body.reached.length + body.unreached.length === 0) return;
    const place = (time_ms: number) => jobsDoc(mesh.self.site, time_ms);
    const isToday = mesh.ledger.latest(reachKind.name, mesh.self.peerId)?.doc === place(mesh.now_ms());
    const isNew =
      JSON.stringify([said?.reached, said?.unreached]) !== JSON.stringify([body.reached, body.unreached]);
    if (isToday && !isNew) return;
    await mesh.ledger.state(reachKind, place, mesh.self.peerId, body);
  }
}

const keyOf = ({ name, uri, more = [] }: Tried) => [name, uri, ...more].join(' ');
const later = (most_ms: number) => Math.random() * most_ms;
