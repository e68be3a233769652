/**
 * The transport of real nodes: libp2p with TCP, Noise and yamux, and circuit relay for where no direct connection is
 * possible. Nothing else constructs libp2p. Neither identify nor ping is served; WIRE.md lists what is.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import { isAddress, relayOf, withoutPeer, withPeer } from './address.ts';
import { Circuits } from './circuits.ts';
import { InkmeshError } from './errors.ts';
import { Frames } from './frames.ts';
import { gathering } from './gathering.ts';
import { HopServer } from './hop.ts';
import { lanDiscovery, meshService } from './lan.ts';
import {
  dialTimeout_ms,
  handshakeTimeout_ms,
  maxAddressesPerPeer,
  maxConnections,
  maxConnectionsOfRelay,
  maxPendingConnections,
  maxPendingOfRelay,
} from './limits.ts';
import type { Channel, Clock, Link, RelayCounts, RelayRules, Transport, TransportEvents } from './ports.ts';
import { type SocketDoor, webSockets } from './websocket.ts';

const MiB = 1024 * 1024;

export interface HostOptions {
  /** libp2p's own key, as protobuf */
  key: Uint8Array;
  /** multiaddrs to listen on; none for a host that only dials */
  listen: readonly string[];
  /** SHA-256 of the organisation's root: nodes of other organisations on the LAN are not even dialled */
  organisation: string;
  mdns: boolean;
  /** relays for others */
  relay: boolean;
  /** where WebSockets of others come in: the cloud's */
  door?: SocketDoor;
  clock: Clock;
}

/** Builds a transport that does not listen yet: protocols are registered first, then it starts. */
export async function createTransport(options: HostOptions): Promise<Transport> {
  const rules: { current: RelayRules } = {
    current: {
      ...{ isMember: () => false, mayReserve: () => false, mayPass: () => false, trusts: () => false },
      ...{ registrars: () => [], carried: () => {} },
    },
  };
  const circuits = new Circuits(options.clock, (relay) => rules.current.trusts(relay));
  const host = await createHost(options, circuits);
  await circuits.open(host);
  const relay = options.relay ? await HopServer.open(host, options.clock, () => rules.current) : undefined;
  return new HostTransport({ host, options, rules, circuits, relay });
}

async function createHost(options: HostOptions, circuits: Circuits): Promise<Libp2p> {
  const serviceTag = meshService(options.organisation);
  return await createLibp2p({
    start: false,
    privateKey: privateKeyFromProtobuf(options.key),
    addresses: { listen: [...options.listen], appendAnnounce: [...options.door?.addresses ?? []] },
    transports: [
      tcp(),
      webSockets(options.door),
      (components: Parameters<Circuits['transport']>[0]) => circuits.transport(components),
    ],
    connectionEncrypters: [gathering(noise())],
    // a window under the read buffer's bound, so that a paused stream holds its sender back and never breaks
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1 * MiB } })],
    peerDiscovery: options.mdns ? [lanDiscovery({ serviceTag, clock: options.clock })] : [],
    connectionManager: {
      maxConnections: options.relay ? maxConnectionsOfRelay : maxConnections,
      dialTimeout: dialTimeout_ms,
      // a site's nodes may all come from one address (a VPN's NAT) when it reconnects
      inboundConnectionThreshold: maxConnections,
      reconnectRetries: 0,
      maxIncomingPendingConnections: options.relay ? maxPendingOfRelay : maxPendingConnections,
      inboundUpgradeTimeout: handshakeTimeout_ms,
    },
    // members hear of each other by beat.ts, which measures their clocks too
    connectionMonitor: { enabled: false },
    // every address that a peer announces is worth a try, private and loopback ones included
    connectionGater: { denyDialMultiaddr: () => false },
  });
}

interface HostParts {
  host: Libp2p;
  options: HostOptions;
  rules: { current: RelayRules };
  circuits: Circuits;
  relay: HopServer | undefined;
}

class HostTransport implements Transport {
  readonly peer: string;
  readonly #host: Libp2p;
  readonly #options: HostOptions;
  readonly #rules: { current: RelayRules };
  readonly #circuits: Circuits;
  readonly #relay: HopServer | undefined;
  readonly #links = new WeakMap<Connection, Link>();
  readonly #connections = new WeakMap<Link, Connection>();
  /** by peer, oldest first: libp2p would have its key parsed for each question */
  readonly #open = new Map<string, Link[]>();
  #events: TransportEvents | undefined;

  constructor({ host, options, rules, circuits, relay }: HostParts) {
    this.#host = host;
    this.#options = options;
    this.#rules = rules;
    this.#circuits = circuits;
    this.#relay = relay;
    this.peer = host.peerId.toString();
    host.addEventListener('connection:open', ({ detail }) => {
      const link = this.#linkOf(detail);
      this.#open.set(link.peer, [...this.#open.get(link.peer) ?? [], link]);
      this.#events?.opened(link);
    });
    host.addEventListener('connection:close', ({ detail }) => {
      const link = this.#linkOf(detail);
      const left = this.#open.get(link.peer)?.filter((other) => other !== link) ?? [];
      if (left.length === 0) this.#open.delete(link.peer);
      else this.#open.set(link.peer, left);
      this.#events?.closed(link);
    });
    host.addEventListener('peer:discovery', ({ detail }) => {
      this.#events?.found(detail.id.toString(), detail.multiaddrs.map(String));
    });
  }

  addresses(): string[] {
    const direct = this.#host.getMultiaddrs().map((address) => withoutPeer(address.toString()));
    // a machine with many addresses is reached through relays all the same
    const through = this.#circuits.addresses.slice(0, maxAddressesPerPeer / 2);
    return [...direct.slice(0, maxAddressesPerPeer - through.length), ...through];
  }

  links(peer?: string): Link[] {
    const links = peer === undefined ? [...this.#open.values()].flat() : this.#open.get(peer) ?? [];
    return links.filter((link) => this.#connections.get(link)?.status === 'open');
  }

  async dial(peer: string | null, addresses: readonly string[], signal: AbortSignal): Promise<Link> {
    try {
      const links = peer === null ? [] : this.links(peer);
      // a connection through a relay would do for libp2p
      const force = links.length > 0 && links.every(({ relay }) => relay !== null) &&
        addresses.every((address) => relayOf(address) === null);
      return this.#linkOf(await this.#host.dial(this.#dialled(peer, addresses), { signal, force }));
    } catch (cause) {
      throw new InkmeshError('unavailable', `${peer ?? addresses.join(', ')} cannot be reached`, {}, {
        cause,
      });
    }
  }

  async probe(peer: string, addresses: readonly string[]): Promise<boolean> {
    try {
      const connection = await this.#host.dial(this.#dialled(peer, addresses), { force: true });
      await connection.close();
      return true;
    } catch {
      return false;
    }
  }

  async open(link: Link, protocol: string, signal: AbortSignal): Promise<Channel> {
    try {
      const connection = this.#connections.get(link);
      if (connection === undefined) throw new TypeError('this link has ended');
      const stream = await connection.newStream(protocol, {
        ...{ signal, maxOutboundStreams: maxConnections, runOnLimitedConnection: true },
      });
      return new Frames(stream, this.#options.clock);
    } catch (cause) {
      throw new InkmeshError('unavailable', `the node ${link.peer} cannot be reached`, { peer: link.peer }, {
        cause,
      });
    }
  }

  async handle(
    protocol: string,
    maxStreams: number,
    serve: (channel: Channel, link: Link) => void,
  ): Promise<void> {
    await this.#host.handle(protocol, (stream, connection) => {
      serve(new Frames(stream, this.#options.clock), this.#linkOf(connection));
    }, { maxInboundStreams: maxStreams, runOnLimitedConnection: true });
  }

  report(events: TransportEvents): void {
    this.#events = events;
  }

  relayBy(rules: RelayRules): void {
    this.#rules.current = rules;
  }

  async reserveAt(link: Link): Promise<void> {
    const connection = this.#connections.get(link);
    if (connection === undefined) throw new InkmeshError('unavailable', 'this link has ended');
    await this.#circuits.reserve(connection);
  }

  endRelayed(peer: string): void {
    this.#relay?.end(peer, new InkmeshError('forbidden', 'the relay has been turned off for a site'));
  }

  relayed(): RelayCounts {
    return this.#relay?.counts() ?? { reservations: 0, circuits: 0, joining: 0, refused: {} };
  }

  async start(): Promise<void> {
    try {
      await this.#host.start();
    } catch (cause) {
      // libp2p's message has the stacks of all that went wrong in it
      const reason = /\bE[A-Z]{5,}\b/.exec(String(cause))?.[0] ?? 'it failed';
      throw new InkmeshError(
        'unavailable',
        `the mesh cannot listen on ${
          this.#options.listen.join(', ')
        }: ${reason}; change the port in the configuration`,
        {},
        { cause },
      );
    }
  }

  async stop(): Promise<void> {
    this.#options.door?.close();
    await this.#host.stop();
  }

  #dialled(peer: string | null, addresses: readonly string[]) {
    return [...new Set(addresses)].filter(isAddress).map((address) => multiaddr(withPeer(address, peer)));
  }

  #linkOf(connection: Connection): Link {
    const known = this.#links.get(connection);
    if (known !== undefined) return known;
    const remote = connection.remoteAddr.toString();
    const link: Link = {
      peer: connection.remotePeer.toString(),
      direction: connection.direction,
      remote: withoutPeer(remote),
      relay: relayOf(remote),
      limited: connection.limits !== undefined,
      opened_ms: this.#options.clock.monotonic_ms(),
      get channels() {
        return connection.streams.length;
      },
      close: () => connection.abort(new InkmeshError('unavailable', 'the connection was ended')),
    };
    this.#links.set(connection, link);
    this.#connections.set(link, connection);
    return link;
  }
}
