/**
 * Finding and keeping other nodes: mDNS on the LAN, addresses from configuration, join tokens and hellos
 * (kept over restarts), redialled with backoff. Every new outbound connection goes through the gate.
 */
import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Libp2p } from 'libp2p';
import { asInkmeshError } from './errors.ts';
import type { Gate } from './gate.ts';
import {
  helloTimeout_ms,
  maxAddressesPerPeer,
  maxKnownPeers,
  maxUnmetPeers,
  redialMax_ms,
  redialMin_ms,
} from './limits.ts';
import type { AddressTable, Clock, Log } from './ports.ts';

const refusedFailures = 10;

const backoff_ms = (failures: number): number =>
  Math.min(redialMax_ms, redialMin_ms * 2 ** Math.min(failures, refusedFailures));

interface Known {
  /** as it said itself, or as configured */
  addresses: string[];
  /** as others or mDNS said, newest first */
  heard: string[];
  /** it said hello, or is configured: not known by hearsay only */
  met: boolean;
  /** for a configured address: who answered there last */
  peer?: string;
  failures: number;
  next_ms: number;
  dialling: boolean;
}

export interface DiscoveryOptions {
  host: Libp2p;
  gate: Gate;
  /** multiaddrs to try besides what is found */
  configured: readonly string[];
  addresses: AddressTable;
  clock: Clock;
  log: Log;
  onGone(peer: string): void;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  /** by PeerId, or by the address itself while its PeerId is not known */
  readonly #known = new Map<string, Known>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { host } = options;
    host.addEventListener('peer:discovery', (event) => {
      this.hear(event.detail.id.toString(), event.detail.multiaddrs.map(String));
    });
    host.addEventListener('connection:open', (event) => this.#opened(event.detail));
    host.addEventListener('peer:disconnect', (event) => this.#gone(event.detail.toString()));
  }

  start(): void {
    for (const address of this.#options.configured) this.#remember(address, [address], true);
    for (const { peer, addresses } of this.#options.addresses.list()) this.#remember(peer, addresses, true);
    this.#timer = setInterval(() => this.#dialDue(), redialMin_ms);
    this.#dialDue();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Takes note of where a member says that it is. */
  learn(peer: string, addresses: readonly string[]): void {
    this.#remember(peer, addresses, true);
  }

  /** Takes note of where a peer is said to be, and dials it if it is not connected. */
  hear(peer: string, addresses: readonly string[]): void {
    if (peer === this.#options.host.peerId.toString()) return;
    this.#remember(peer, addresses, false);
    this.#dialDue();
  }

  /** The peers that this node can tell others about. */
  exchange(): { peer: string; addresses: string[] }[] {
    const connected = new Set(this.#options.host.getPeers().map(String));
    return [...this.#known]
      .filter(([peer, { met }]) => met && connected.has(peer))
      .map(([peer, { addresses }]) => ({ peer, addresses }));
  }

  /** What a peer says of itself comes first; hearsay only adds to it, and is the first to be forgotten. */
  #remember(key: string, addresses: readonly string[], met: boolean): void {
    // what has the form of a PeerId need not be one
    if (!key.startsWith('/') && !isPeer(key)) return;
    const usable = addresses.filter(isAddress).slice(0, maxAddressesPerPeer);
    const known = this.#known.get(key);
    if (known !== undefined) {
      if (met) known.addresses = usable;
      else known.heard = [...new Set([...usable, ...known.heard])].slice(0, maxAddressesPerPeer);
      known.met ||= met;
      return;
    }
    const unmet = [...this.#known].filter(([, other]) => !other.met);
    const full = met ? this.#known.size >= maxKnownPeers : unmet.length >= maxUnmetPeers;
    const [oldest] = unmet;
    if (full && oldest !== undefined) this.#known.delete(oldest[0]);
    if (usable.length === 0 || (full && oldest === undefined)) return;
    const places = met ? { addresses: usable, heard: [] } : { addresses: [], heard: usable };
    this.#known.set(key, { ...places, met, failures: 0, next_ms: 0, dialling: false });
  }

  #dialDue(): void {
    const now_ms = this.#options.clock.monotonic_ms();
    for (const [key, known] of this.#known) {
      if (known.dialling || known.next_ms > now_ms) continue;
      const peer = known.peer ?? key;
      if (this.#connected(peer)) {
        this.#greetAgain(peer, known);
        continue;
      }
      known.dialling = true;
      void this.#dial(key, known).finally(() => {
        known.dialling = false;
      });
    }
  }

  /** A peer that is connected and no member (a hello was lost between two connections) would stay so for ever. */
  #greetAgain(peer: string, known: Known): void {
    const [connection] = this.#options.host.getConnections(peerIdFromString(peer));
    if (connection === undefined || this.#options.gate.isMember(peer)) return;
    known.next_ms = this.#options.clock.monotonic_ms() + helloTimeout_ms;
    this.#options.gate.greet(connection).catch((thrown) => this.#backOff(peer, thrown));
  }

  #connected(key: string): boolean {
    return !key.startsWith('/') && this.#options.host.getConnections(peerIdFromString(key)).length > 0;
  }

  async #dial(key: string, known: Known): Promise<void> {
    try {
      const suffix = key.startsWith('/') ? '' : `/p2p/${key}`;
      const connection = await this.#options.host.dial(
        [...new Set([...known.addresses, ...known.heard])].map((a) => multiaddr(withPeer(a, suffix))),
      );
      known.failures = 0;
      // a configured address stays one, whoever answers there
      if (key.startsWith('/')) known.peer = connection.remotePeer.toString();
    } catch {
      known.failures++;
    }
    known.next_ms = this.#options.clock.monotonic_ms() + backoff_ms(known.failures);
  }

  #opened(connection: Connection): void {
    if (connection.direction !== 'outbound') return this.#options.gate.watch(connection);
    this.#options.gate.greet(connection).catch((thrown) =>
      this.#backOff(connection.remotePeer.toString(), thrown)
    );
  }

  /** One that answers but does not belong here must not be dialled in a tight loop. */
  #backOff(peer: string, thrown: unknown): void {
    const { code } = asInkmeshError(thrown);
    const passing = code === 'unavailable' || code === 'timeout';
    for (const known of this.#entriesOf(peer)) {
      known.failures = passing ? known.failures + 1 : refusedFailures;
      known.next_ms = this.#options.clock.monotonic_ms() + backoff_ms(known.failures);
    }
  }

  /** What is known of a peer, and the configured addresses where it answered. */
  #entriesOf(peer: string): Known[] {
    return [...this.#known].filter(([key, known]) => key === peer || known.peer === peer).map(([, known]) =>
      known
    );
  }

  /** The last connection to a peer has ended. */
  #gone(peer: string): void {
    for (const known of this.#entriesOf(peer)) if (known.failures === 0) known.next_ms = 0;
    this.#options.onGone(peer);
  }
}

function isPeer(text: string): boolean {
  try {
    peerIdFromString(text);
    return true;
  } catch {
    return false;
  }
}

function isAddress(text: string): boolean {
  try {
    multiaddr(text);
    return true;
  } catch {
    return false;
  }
}

const withPeer = (address: string, suffix: string): string => address.replace(/\/p2p\/[^/]+$/, '') + suffix;

/** The host's own addresses as it announces them, without its PeerId. */
export function ownAddresses(host: Libp2p): string[] {
  return host.getMultiaddrs().map((a: Multiaddr) => withPeer(a.toString(), '')).slice(0, maxAddressesPerPeer);
}
