/**
 * The network of a simulation: links with a delay, ways that are blocked in one direction or both, links that break.
 * Where a way is blocked octets wait, as they do in TCP, until it is free or somebody gives up.
 */
import { InkmeshError } from '../../mesh/errors.ts';
import { dialTimeout_ms } from '../../mesh/limits.ts';
import type { Channel, Clock, Link, RelayRules, Transport, TransportEvents } from '../../mesh/ports.ts';
import { SimChannel } from './channel.ts';
import type { Timeline } from './clock.ts';
import { type Host, Lane } from './lane.ts';
import type { Random } from './random.ts';

/** Octets of agreeing on a protocol, beside its name: multistream-select and yamux. */
const openBytes = 64;
/** Octets of a new connection: TCP, Noise, yamux. */
const connectBytes = 600;

const unreachable = (peer: string) => new InkmeshError('unavailable', `${peer} cannot be reached`, { peer });

export interface Traffic {
  /** octets sent by it */
  sent: number;
  channels: number;
  connections: number;
}

export interface NetworkOptions {
  timeline: Timeline;
  random: Random;
  /** one way, milliseconds; each frame takes up to twice as long */
  delay_ms: number;
  /** what is sent, in order */
  note(line: string): void;
}

export class SimNetwork {
  readonly timeline: Timeline;
  readonly #options: NetworkOptions;
  readonly #transports = new Map<string, SimTransport>();
  readonly #blocked = new Set<string>();
  /** extra delay of a peer's links, milliseconds */
  readonly slow = new Map<string, number>();
  /** lanes with something that waits for its way to be free */
  readonly stalled = new Set<Lane>();
  readonly traffic = new Map<string, Traffic>();

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.timeline = options.timeline;
  }

  /** The transport of one run of a node's process, which is reached at `address`, a multiaddr. */
  attach(host: Host, address: string, clock: Clock): SimTransport {
    const transport = new SimTransport(this, host, address, clock);
    this.#transports.set(address, transport);
    return transport;
  }

  at(address: string): SimTransport | undefined {
    return this.#transports.get(address);
  }

  delay_ms(from: Host, to: Host): number {
    const { random, delay_ms } = this.#options;
    const extra_ms = (this.slow.get(from.peer) ?? 0) + (this.slow.get(to.peer) ?? 0);
    return delay_ms * (1 + random.fraction()) + extra_ms;
  }

  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`);
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(`${from}>${to}`);
  }

  /** Every way is free again, and as quick as it was. */
  heal(): void {
    this.#blocked.clear();
    this.slow.clear();
    const stalled = [...this.stalled];
    this.stalled.clear();
    for (const lane of stalled) lane.resume();
  }

  /** The process of a host has been killed: its operating system ends its connections. */
  reset(host: Host): void {
    for (const transport of this.#transports.values()) transport.peerDied(host);
  }

  /** Whatever was under way between two peers breaks off. */
  breakLinks(a: string, b: string): void {
    for (const transport of this.#transports.values()) {
      if (transport.peer === a) { for (const link of transport.links(b)) link.close(); }
    }
  }

  count(host: Host, octets: number, what?: 'channels' | 'connections'): void {
    const known = this.traffic.get(host.peer) ?? { sent: 0, channels: 0, connections: 0 };
    known.sent += octets;
    if (what !== undefined) known[what]++;
    this.traffic.set(host.peer, known);
  }

  note(from: Host, to: Host, what: string): void {
    this.#options.note(`${this.timeline.now_ms} ${from.name}>${to.name} ${what}`);
  }
}

interface Served {
  maxStreams: number;
  serve(channel: Channel, link: Link): void;
}

class SimLink implements Link {
  readonly peer: string;
  readonly relay = null;
  readonly limited = false;
  readonly opened_ms: number;
  readonly direction: 'inbound' | 'outbound';
  readonly remote: string;
  readonly own: SimTransport;
  readonly other: SimTransport;
  readonly open = new Map<SimChannel, string>();
  readonly control: Lane;
  far: SimLink | undefined;
  ended = false;

  constructor(own: SimTransport, other: SimTransport, direction: 'inbound' | 'outbound') {
    this.own = own;
    this.other = other;
    this.peer = other.peer;
    this.remote = other.address;
    this.direction = direction;
    this.opened_ms = own.clock.monotonic_ms();
    this.control = this.lane();
  }

  lane(): Lane {
    return new Lane(this.own.network, this.own.host, this.other.host, () => this.broken());
  }

  get channels(): number {
    return this.open.size;
  }

  close(): void {
    if (this.ended) return;
    this.end();
    this.control.post(() => this.far?.end());
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    for (const channel of [...this.open.keys()]) channel.fail(unreachable(this.peer));
    this.own.drop(this);
  }

  /** The other end is gone, and says so. */
  broken(): void {
    this.own.network.timeline.after(1, () => this.own.host.machine.run(this.own.host.life, () => this.end()));
  }
}

export class SimTransport implements Transport {
  readonly peer: string;
  readonly network: SimNetwork;
  readonly host: Host;
  readonly address: string;
  readonly clock: Clock;
  readonly #links = new Set<SimLink>();
  readonly #served = new Map<string, Served>();
  #events: TransportEvents | undefined;
  #listens = false;

  constructor(network: SimNetwork, host: Host, address: string, clock: Clock) {
    this.network = network;
    this.host = host;
    this.address = address;
    this.clock = clock;
    this.peer = host.peer;
  }

  addresses(): string[] {
    return [this.address];
  }

  links(peer?: string): Link[] {
    return [...this.#links].filter((link) => peer === undefined || link.peer === peer);
  }

  async dial(peer: string | null, addresses: readonly string[], signal: AbortSignal): Promise<Link> {
    const known = peer === null ? undefined : this.links(peer)[0];
    if (known !== undefined) return known;
    const places = addresses.map((address) => address.replace(/\/p2p\/[^/]+$/, ''));
    const other = places.map((place) => this.network.at(place)).find((one) =>
      one !== undefined && one !== this
    );
    if (other === undefined) throw unreachable(peer ?? addresses.join(', '));
    await this.#roundTrip(other, signal);
    // what answers may be another process than the one that was there when it was asked
    const there = this.network.at(other.address);
    const answers = there !== undefined && there.host.life.alive && there.#listens &&
      (peer === null || peer === there.peer);
    if (!answers || signal.aborted) throw unreachable(peer ?? other.address);
    return this.#connect(there);
  }

  async probe(peer: string, addresses: readonly string[]): Promise<boolean> {
    const link = await this.dial(peer, addresses, new AbortController().signal).catch(() => undefined);
    return link !== undefined;
  }

  // deno-lint-ignore require-await
  async open(link: Link, protocol: string, signal: AbortSignal): Promise<Channel> {
    const near = link as SimLink;
    const far = near.far;
    if (near.ended || far === undefined || signal.aborted) throw unreachable(link.peer);
    const { network, host } = this;
    network.count(host, openBytes + protocol.length, 'channels');
    const [out, back] = [near.lane(), far.lane()];
    const own = this.channel(near, protocol);
    const other = far.own.channel(far, protocol);
    own.join(out, other);
    other.join(back, own);
    near.open.set(own, protocol);
    out.post(() => far.own.accept(far, other, protocol));
    return own;
  }

  channel(link: SimLink, protocol: string): SimChannel {
    const { network, host } = this;
    return new SimChannel({
      clock: this.clock,
      count: (octets) => {
        network.count(host, octets);
        network.note(host, link.other.host, `${protocol} ${octets}`);
      },
      closed: (channel) => link.open.delete(channel),
    });
  }

  /** A channel that the other end has opened. */
  accept(link: SimLink, channel: SimChannel, protocol: string): void {
    const served = this.#served.get(protocol);
    const open = [...link.open.values()].filter((one) => one === `<${protocol}`).length;
    if (link.ended || served === undefined || open >= served.maxStreams) {
      return channel.abort(unreachable(this.peer));
    }
    link.open.set(channel, `<${protocol}`);
    served.serve(channel, link);
  }

  handle(
    protocol: string,
    maxStreams: number,
    serve: (channel: Channel, link: Link) => void,
  ): Promise<void> {
    this.#served.set(protocol, { maxStreams, serve });
    return Promise.resolve();
  }

  report(events: TransportEvents): void {
    this.#events = events;
  }

  relayBy(_rules: RelayRules): void {}

  reserveAt(link: Link): Promise<void> {
    return Promise.reject(new InkmeshError('unavailable', `${link.peer} is no relay`));
  }

  endRelayed(_peer: string): void {}

  relayed() {
    return { reservations: 0, circuits: 0, joining: 0, refused: {} };
  }

  start(): Promise<void> {
    this.#listens = true;
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#listens = false;
    for (const link of this.#links) link.close();
    return Promise.resolve();
  }

  drop(link: SimLink): void {
    this.#links.delete(link);
    this.#soon(() => this.#events?.closed(link));
  }

  peerDied(host: Host): void {
    for (const link of this.#links) {
      const silent = link.other.host.life !== host.life || this.network.isBlocked(host.peer, this.peer);
      if (!silent) link.broken();
    }
  }

  #connect(other: SimTransport): Link {
    const near = new SimLink(this, other, 'outbound');
    const far = new SimLink(other, this, 'inbound');
    near.far = far;
    far.far = near;
    for (const [transport, link] of [[this, near], [other, far]] as const) {
      transport.#links.add(link);
      this.network.count(transport.host, connectBytes, 'connections');
      transport.#soon(() => transport.#events?.opened(link));
    }
    return near;
  }

  #soon(what: () => void): void {
    this.network.timeline.after(0, () => this.host.machine.run(this.host.life, what));
  }

  /** Resolves when the other machine has answered, rejects when it has not in time. */
  #roundTrip(other: SimTransport, signal: AbortSignal): Promise<void> {
    const { network, host } = this;
    const there = () => network.at(other.address)?.host ?? other.host;
    const reaches = () =>
      there().machine.power && !there().machine.asleep && !network.isBlocked(host.peer, other.peer) &&
      !network.isBlocked(other.peer, host.peer);
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        for (const callOff of callOffs) callOff();
        reject(unreachable(other.peer));
      };
      const rtt_ms = network.delay_ms(host, other.host) + network.delay_ms(other.host, host);
      const callOffs = [
        this.clock.after(rtt_ms, () => {
          if (!reaches()) return;
          for (const callOff of callOffs) callOff();
          resolve();
        }),
        this.clock.after(dialTimeout_ms, giveUp),
      ];
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }
}
