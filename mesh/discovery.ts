/**
 * Connections to other nodes: where they are known to be, whom to keep connected, and dialling, with back-off. A node
 * comes from mDNS, the configuration, an earlier run or the roster; a few are kept connected (topology.ts), any other
 * is dialled when a call needs it, directly where that is possible and else through a relay.
 */
import { isAddress, relayOf } from './address.ts';
import { DirectWay } from './direct-way.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import type { Gate } from './gate.ts';
import {
  dialTimeout_ms,
  directDial_ms,
  firstLinks,
  freshFailure_ms,
  maxAddressesPerPeer,
  maxKnownPeers,
  maxUnmetPeers,
  redialMax_ms,
  redialMin_ms,
  refusedAgain_ms,
  shortLink_ms,
} from './limits.ts';
import type { AddressTable, Clock, Link, Log, Transport } from './ports.ts';
import { deadline, fraction } from './timing.ts';

/** a peer that answers but does not belong here is dialled as seldom as this many failures make it */
const refusedFailures = 10;

const backoff_ms = (failures: number): number =>
  failures === 0 ? 0 : Math.min(redialMax_ms, redialMin_ms * 2 ** failures);

/** What is known of one peer, or of a configured address. */
interface Known {
  /** as it said itself */
  said: string[];
  /** as mDNS said, newest first */
  heard: string[];
  /** it has been a member in this run or an earlier one */
  met: boolean;
  failures: number;
  /** when it failed last, by the monotonic clock */
  failed_ms: number;
  /** it has said that this node may not talk to it */
  refused: boolean;
  next_ms: number;
  way: DirectWay;
  connecting: Promise<Link> | undefined;
  /** since when, by the monotonic clock */
  connecting_ms: number;
}

export interface DiscoveryOptions {
  transport: Transport;
  gate: Gate;
  /** multiaddrs to try besides what is found */
  configured: readonly string[];
  addresses: AddressTable;
  clock: Clock;
  log: Log;
  /** the peers to keep connected, of those that `isAway` does not rule out */
  wanted(): readonly string[];
  /** where the roster says that a peer is */
  listed(peer: string): readonly string[];
  /** whether a peer may be dialled directly, or through a relay; unknown ones may */
  mayDial(peer: string, relayed: boolean): boolean;
  /** whether a peer is a relay of this organisation: through others nothing is dialled */
  isRelay(peer: string): boolean;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #known = new Map<string, Known>();
  /** by configured address: who answered there last */
  readonly #answered = new Map<string, { peer: string | undefined; known: Known }>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    for (const { peer, addresses } of options.addresses.list()) {
      this.#learn(peer, addresses, true);
      // an address that was configured then leads to the same peer now, until another answers
      for (const address of options.configured) {
        if (addresses.includes(address)) this.#answered.set(address, { peer, known: fresh() });
      }
    }
    for (const address of options.configured) {
      if (!this.#answered.has(address)) this.#answered.set(address, { peer: undefined, known: fresh() });
    }
  }

  /** Takes note of where a member says that it is. */
  met(peer: string, addresses: readonly string[]): void {
    this.#learn(peer, addresses, true);
    const known = this.#known.get(peer);
    if (known !== undefined) {
      known.failures = 0;
      known.next_ms = Math.min(known.next_ms, this.#options.clock.monotonic_ms() + shortLink_ms);
    }
    try {
      this.#options.addresses.put(peer, [...addresses]);
    } catch (thrown) {
      // a full disk is no reason to shut a peer out: it may be the one that makes room
      const fields = { peer, reason: asInkmeshError(thrown).message };
      this.#options.log('warn', 'the address of a peer cannot be kept', fields);
    }
  }

  /** Takes note of where a peer is said to be. */
  heard(peer: string, addresses: readonly string[]): void {
    if (peer !== this.#options.transport.peer) this.#learn(peer, addresses, false);
  }

  /** A peer may be somewhere else than it was: what failed before says nothing of that. */
  moved(peer: string): void {
    const known = this.#known.get(peer);
    if (known === undefined || known.refused) return;
    const now_ms = this.#options.clock.monotonic_ms();
    known.failures = Math.min(known.failures, 1);
    known.next_ms = Math.min(known.next_ms, now_ms + redialMin_ms);
    known.way.moved(now_ms);
  }

  /** The last link to a peer has ended: it may be dialled again at once, unless the link was as short as a refusal. */
  lost({ peer, opened_ms }: Link): void {
    if (this.#options.clock.monotonic_ms() - opened_ms < shortLink_ms) return;
    for (const known of this.#entriesOf(peer)) if (known.failures === 0) known.next_ms = 0;
  }

  /** True for a peer that did not answer when it was dialled last, or that nobody knows where to dial. */
  isAway(peer: string): boolean {
    if (this.#options.gate.linkTo(peer) !== undefined) return false;
    return (this.#known.get(peer)?.failures ?? 0) > 0 || !this.#isFindable(peer);
  }

  /** True for a peer that did not answer just now. */
  hasJustFailed(peer: string): boolean {
    const { failures = 0, failed_ms = -Infinity } = this.#known.get(peer) ?? {};
    return this.isAway(peer) && failures > 0 &&
      this.#options.clock.monotonic_ms() - failed_ms < freshFailure_ms;
  }

  /** True for a peer that did not answer directly when it was last given the time for it. */
  isBlocked(peer: string): boolean {
    return this.#known.get(peer)?.way.isBlocked ?? false;
  }

  /**
   * Dials whom to keep connected, every configured address until somebody has answered there, and while there are few
   * connections whoever is known.
   */
  tick(): void {
    const now_ms = this.#options.clock.monotonic_ms();
    const { gate } = this.#options;
    const few = gate.members().length < firstLinks;
    for (const [address, entry] of this.#answered) {
      const needed = entry.peer === undefined || (few && gate.linkTo(entry.peer) === undefined);
      if (needed && this.#isDue(entry.known, now_ms) && this.#mayTry(entry.peer)) {
        this.#dialConfigured(address, entry);
      }
    }
    const isOpen = (peer: string, known: Known) =>
      this.#isDue(known, now_ms) && gate.linkTo(peer) === undefined && this.#mayTry(peer) &&
      this.#isFindable(peer);
    for (const peer of this.#options.wanted()) {
      const known = this.#entry(peer);
      if (isOpen(peer, known)) this.#connect(peer, known).catch(() => {});
      else if (gate.linkTo(peer)?.relay) void this.#straighten(peer, known);
    }
    // of whom nobody knows yet who they are: they may be what connects this LAN to the others
    const dialling = [...this.#known.values()].filter(({ connecting }) => connecting !== undefined).length;
    const room = Math.max(0, 2 * firstLinks - gate.members().length - dialling);
    const untold = [...this.#known].filter(([peer, known]) => (few || !known.met) && isOpen(peer, known))
      .sort(([, a], [, b]) => a.failures - b.failures);
    for (const [peer, known] of untold.slice(0, room)) this.#connect(peer, known).catch(() => {});
  }

  /**
   * A link to a peer that has become a member over it. Dialling goes on when the caller gives up.
   * @param patience_ms how long a dial may have been under way
   * @throws InkmeshError `unavailable`
   */
  async reach(peer: string, signal: AbortSignal, patience_ms = Infinity): Promise<Link> {
    const known = this.#entry(peer);
    const link = this.#options.gate.linkTo(peer);
    if (link !== undefined) {
      if (link.relay !== null) void this.#straighten(peer, known);
      return link;
    }
    const connecting = this.#connect(peer, known);
    if (patience_ms === Infinity) return await orAborted(connecting, signal, peer);
    const { clock } = this.#options;
    const left_ms = known.connecting_ms + patience_ms - clock.monotonic_ms();
    const limited = deadline(clock, Math.max(0, left_ms), signal);
    return await orAborted(connecting, limited.signal, peer).finally(limited.done);
  }

  #connect(peer: string, known: Known, over?: Link): Promise<Link> {
    if (known.connecting !== undefined) return known.connecting;
    const connecting = this.#greeted(peer, known, over).then((link) => {
      known.failures = 0;
      known.refused = false;
      if (link.relay === null) known.way.worked();
      return link;
    }, (thrown) => {
      const error = asInkmeshError(thrown);
      this.#failed(known, error);
      throw error;
    }).finally(() => {
      known.connecting = undefined;
      this.#rest(known);
    });
    known.connecting = connecting;
    known.connecting_ms = this.#options.clock.monotonic_ms();
    return connecting;
  }

  /** Looks now and then whether a peer that is reached through a relay can be reached directly. */
  async #straighten(peer: string, { way }: Known): Promise<void> {
    const { clock, gate, mayDial } = this.#options;
    if (way.rests(clock.monotonic_ms()) || !mayDial(peer, false)) return;
    const direct = this.#addressesOf(peer).filter((address) => relayOf(address) === null);
    if (direct.length === 0) return;
    way.tried();
    try {
      await gate.greet(await this.#dialAt(peer, direct, dialTimeout_ms));
      way.worked();
    } catch {
      // it is reached through the relay as before
      way.failed(clock.monotonic_ms(), true);
    }
  }

  /** Greets over a link that is open, else over one that it dials. */
  async #greeted(peer: string, known: Known, over: Link | undefined): Promise<Link> {
    const { transport, gate } = this.#options;
    const open = transport.links(peer).findLast(({ relay }) => this.#options.mayDial(peer, relay !== null));
    const link = over ?? open ?? await this.#dial(peer, known);
    await gate.greet(link);
    const allowed = gate.linkTo(peer);
    if (allowed === undefined) {
      throw new InkmeshError('unavailable', 'the peer went away in mid-hello', { peer });
    }
    return allowed;
  }

  #addressesOf(peer: string): string[] {
    const { said = [], heard = [] } = this.#known.get(peer) ?? {};
    return [...new Set([...said, ...heard, ...this.#options.listed(peer)])];
  }

  #isFindable(peer: string): boolean {
    return this.#addressesOf(peer).length > 0 || this.#options.transport.links(peer).length > 0;
  }

  async #dial(peer: string, known: Known): Promise<Link> {
    const { clock, mayDial, isRelay } = this.#options;
    const all = this.#addressesOf(peer);
    const direct = mayDial(peer, false) ? all.filter((address) => relayOf(address) === null) : [];
    const isThroughRelay = (address: string) => {
      const relay = relayOf(address);
      return relay !== null && isRelay(relay);
    };
    const relayed = mayDial(peer, true) ? all.filter(isThroughRelay) : [];
    if (direct.length + relayed.length === 0) {
      throw new InkmeshError('unavailable', `it is not known where the node ${peer} is`, { peer });
    }
    if (direct.length > 0 && (relayed.length === 0 || !known.way.rests(clock.monotonic_ms()))) {
      const isLast = relayed.length === 0;
      const limit_ms = isLast ? dialTimeout_ms : directDial_ms;
      const began_ms = clock.monotonic_ms();
      try {
        return await this.#dialAt(peer, direct, limit_ms);
      } catch (error) {
        const now_ms = clock.monotonic_ms();
        known.way.failed(now_ms, isLast || now_ms - began_ms < limit_ms);
        if (isLast) throw error;
      }
    }
    return await this.#dialAt(peer, relayed, dialTimeout_ms);
  }

  async #dialAt(peer: string | null, addresses: readonly string[], limit_ms: number): Promise<Link> {
    const { signal, done } = deadline(this.#options.clock, limit_ms);
    try {
      return await this.#options.transport.dial(peer, addresses, signal);
    } finally {
      done();
    }
  }

  #dialConfigured(address: string, entry: { peer: string | undefined; known: Known }): void {
    const { known } = entry;
    known.connecting = this.#dialAt(null, [address], dialTimeout_ms).then(async (link) => {
      entry.peer = link.peer;
      await this.#connect(link.peer, this.#entry(link.peer), link);
      known.failures = 0;
      known.refused = false;
      return link;
    });
    known.connecting.catch((thrown) => this.#failed(known, asInkmeshError(thrown))).finally(() => {
      known.connecting = undefined;
      this.#rest(known);
    });
  }

  /** Until the next attempt; one that has been refused is longer off, as only a decision can change it. */
  #rest(known: Known): void {
    // all whom a peer has left at the same time are not to come back to it at the same time
    const backoff = backoff_ms(known.failures) * (1 + fraction() / 2);
    const rest_ms = known.refused ? refusedAgain_ms : Math.max(redialMin_ms, backoff);
    known.next_ms = this.#options.clock.monotonic_ms() + rest_ms;
  }

  #failed(known: Known, error: InkmeshError): void {
    const passing = ['unavailable', 'timeout', 'busy', 'internal'].includes(error.code);
    known.failed_ms = this.#options.clock.monotonic_ms();
    known.refused = error.code === 'forbidden';
    known.failures = passing ? Math.min(known.failures + 1, refusedFailures) : refusedFailures;
  }

  #isDue(known: Known, now_ms: number): boolean {
    return known.connecting === undefined && known.next_ms <= now_ms;
  }

  #mayTry(peer: string | undefined): boolean {
    const { mayDial } = this.#options;
    return peer === undefined || mayDial(peer, false) || mayDial(peer, true);
  }

  #entriesOf(peer: string): Known[] {
    const configured = [...this.#answered.values()].filter((entry) => entry.peer === peer);
    return [this.#known.get(peer) ?? [], ...configured.map(({ known }) => known)].flat();
  }

  #entry(peer: string): Known {
    const known = this.#known.get(peer) ?? fresh();
    if (!this.#known.has(peer)) this.#keep(peer, known);
    return known;
  }

  /** What a peer says of itself comes first; hearsay only adds to it. */
  #learn(peer: string, addresses: readonly string[], met: boolean): void {
    const usable = addresses.filter(isAddress).slice(0, maxAddressesPerPeer);
    const known = this.#known.get(peer) ?? fresh();
    const isNew = usable.some((address) => !known.said.includes(address) && !known.heard.includes(address));
    if (met) known.said = usable;
    else known.heard = [...new Set([...usable, ...known.heard])].slice(0, maxAddressesPerPeer);
    known.met ||= met;
    if (usable.length > 0) this.#keep(peer, known);
    if (isNew) this.moved(peer);
  }

  /** Bounded: hearsay is the first to be forgotten, and never displaces who was a member. */
  #keep(peer: string, known: Known): void {
    if (this.#known.has(peer)) return;
    const unmet = [...this.#known].filter(([, other]) => !other.met && other.connecting === undefined);
    const full = this.#known.size >= maxKnownPeers || (!known.met && unmet.length >= maxUnmetPeers);
    const idle = [...this.#known].filter(([other, { connecting }]) =>
      connecting === undefined && this.#options.gate.linkTo(other) === undefined
    );
    const [oldest] = unmet.length > 0 || !known.met ? unmet : idle;
    if (full && oldest !== undefined) this.#known.delete(oldest[0]);
    if (!full || oldest !== undefined) this.#known.set(peer, known);
  }
}

const fresh = (): Known => ({
  said: [],
  heard: [],
  met: false,
  failures: 0,
  failed_ms: -Infinity,
  refused: false,
  next_ms: 0,
  way: new DirectWay(),
  connecting: undefined,
  connecting_ms: -Infinity,
});

/** A connection that is being made for several callers goes on when one of them gives up. */
function orAborted(connecting: Promise<Link>, signal: AbortSignal, peer: string): Promise<Link> {
  return new Promise((resolve, reject) => {
    const stop = () =>
      reject(new InkmeshError('unavailable', `the node ${peer} cannot be reached`, { peer }));
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    connecting.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
