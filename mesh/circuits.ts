/**
 * A node's part of circuit relay v2: it is reached through relays, and reaches others through them. libp2p's own client
 * keeps something of each connection that it ever had to a relay, and after some failures never asks that relay again;
 * here a reservation is a note about one connection, and goes with it.
 */
import {
  type Connection,
  type ConnectionLimits,
  type Libp2p,
  type Listener,
  type PeerId,
  type Stream,
  type Transport,
  transportSymbol,
  type Upgrader,
} from '@libp2p/interface';
import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id';
import { lpStream } from '@libp2p/utils';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { relayOf, reservationAt } from './address.ts';
import {
  type CircuitLimit,
  decodeHopStatus,
  decodeStopConnect,
  encodeHopRequest,
  encodeStopStatus,
  hopProtocol,
  status,
  stopProtocol,
} from './circuit.ts';
import { CircuitConnection } from './circuit-connection.ts';
import { InkmeshError } from './errors.ts';
import { hopTime_ms, maxAddressesPerPeer, maxCircuitsPerPeer, maxHopMessageBytes } from './limits.ts';
import type { Clock } from './ports.ts';
import { deadline } from './timing.ts';

type Dialling = Parameters<Transport['dial']>[1];

export class Circuits {
  readonly #clock: Clock;
  /** whether circuits are taken from a relay */
  readonly #trusts: (relay: string) => boolean;
  /** connections to relays through which this node is reached, and the multiaddrs where */
  readonly #reserved = new Map<Connection, string[]>();
  #host: Libp2p | undefined;
  #upgrader: Upgrader | undefined;

  constructor(clock: Clock, trusts: (relay: string) => boolean) {
    this.#clock = clock;
    this.#trusts = trusts;
  }

  /** Multiaddrs where this node is reached through relays. */
  get addresses(): string[] {
    return [...new Set([...this.#reserved.values()].flat())];
  }

  /** For the options of a host. */
  transport({ upgrader }: { upgrader: Upgrader }): Transport {
    this.#upgrader = upgrader;
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: 'inkmesh/circuit',
      dial: (address, options) => this.#dial(address, options),
      listenFilter: () => [],
      createListener: (): Listener => {
        throw new TypeError('a circuit comes through a relay');
      },
      dialFilter: (addresses) => addresses.filter((address) => relayOf(address.toString()) !== null),
    };
  }

  /** Takes circuits, at a host that has not been started. */
  async open(host: Libp2p): Promise<void> {
    this.#host = host;
    await host.handle(stopProtocol, (stream, connection) => void this.#taken(stream, connection), {
      maxInboundStreams: maxCircuitsPerPeer,
    });
    host.addEventListener('connection:close', ({ detail }) => void this.#reserved.delete(detail));
  }

  /** Has this node reached through the other end of a connection, while that lasts. @throws InkmeshError or Error */
  async reserve(connection: Connection): Promise<void> {
    const { signal, done } = deadline(this.#clock, hopTime_ms);
    try {
      const asked = await ask(connection, undefined, signal);
      await asked.stream.close({ signal });
      if (connection.status !== 'open') throw new InkmeshError('unavailable', 'the relay has gone');
      const relay = connection.remotePeer.toString();
      const own = asked.addresses.map((octets) => multiaddr(octets).toString());
      const all = [connection.remoteAddr.toString(), ...own].filter((address) => relayOf(address) === null)
        .map((address) => reservationAt(address, relay));
      this.#reserved.set(connection, [...new Set(all)].slice(0, maxAddressesPerPeer));
    } catch (thrown) {
      this.#reserved.delete(connection);
      throw thrown;
    } finally {
      done();
    }
  }

  async #dial(address: Multiaddr, options: Dialling): Promise<Connection> {
    const [before = '', after = ''] = address.toString().split('/p2p-circuit/p2p/');
    const relay = peerIdFromString(relayOf(address.toString()) ?? '');
    const direct = this.#host?.getConnections(relay).findLast((connection) =>
      connection.status === 'open' && relayOf(connection.remoteAddr.toString()) === null
    );
    const { signal } = options;
    const connection = direct ?? await this.#host?.dial(multiaddr(before), { signal });
    if (connection === undefined) throw new InkmeshError('unavailable', 'the relay cannot be reached');
    const { stream, limits } = await ask(connection, peerIdFromString(after).toMultihash().bytes, signal);
    try {
      const circuit = new CircuitConnection(stream, address);
      return await options.upgrader.upgradeOutbound(circuit, { ...options, ...limits });
    } catch (thrown) {
      stream.abort(asError(thrown));
      throw thrown;
    }
  }

  /** A relay says that somebody is at the other end of a stream. */
  async #taken(stream: Stream, relay: Connection): Promise<void> {
    const { signal, done } = deadline(this.#clock, hopTime_ms);
    try {
      const asked = framed(stream);
      const { peer, limit } = decodeStopConnect((await asked.read({ signal })).subarray());
      const from = relay.remoteAddr.encapsulate(`/p2p-circuit/p2p/${peerOf(peer)}`);
      // what comes through a relay is no relay
      const isDirect = relayOf(relay.remoteAddr.toString()) === null;
      const isTaken = isDirect && this.#trusts(relay.remotePeer.toString());
      const answer = isTaken ? status.ok : status.permissionDenied;
      await asked.write(encodeStopStatus(answer), { signal });
      if (!isTaken) return await stream.close({ signal });
      const circuit = new CircuitConnection(asked.unwrap(), from);
      await this.#upgrader?.upgradeInbound(circuit, { signal, ...limitsOf(limit) });
    } catch (thrown) {
      stream.abort(asError(thrown));
    } finally {
      done();
    }
  }
}

const framed = (stream: Stream) => lpStream(stream, { maxDataLength: maxHopMessageBytes });

const asError = (thrown: unknown): Error => thrown instanceof Error ? thrown : new TypeError(String(thrown));

/** Nodes have Ed25519 keys, whose multihash is that of the key itself. @throws InkmeshError `bad-request` */
function peerOf(multihash: Uint8Array): PeerId {
  const [code, size, ...digest] = multihash;
  if (code !== 0 || size !== digest.length) {
    throw new InkmeshError('bad-request', 'a node is named by its Ed25519 key');
  }
  return peerIdFromMultihash({ code, size, digest: Uint8Array.from(digest), bytes: multihash.slice() });
}

/** As libp2p marks a connection that is not for everything. */
function limitsOf(limit: CircuitLimit | undefined): { limits?: ConnectionLimits } {
  return limit === undefined ? {} : { limits: { seconds: limit.duration_s, bytes: BigInt(limit.bytes) } };
}

/** A stream to a relay that has granted what was asked. @throws InkmeshError `unavailable` when it has not */
async function ask(connection: Connection, peer: Uint8Array | undefined, signal: AbortSignal) {
  const stream = await connection.newStream(hopProtocol, { signal, maxOutboundStreams: maxCircuitsPerPeer });
  try {
    const asked = framed(stream);
    await asked.write(encodeHopRequest(peer), { signal });
    const { answer, addresses, limit } = decodeHopStatus((await asked.read({ signal })).subarray());
    if (answer !== status.ok) {
      throw new InkmeshError('unavailable', `the relay refuses with status ${answer}`);
    }
    return { stream: asked.unwrap(), addresses, limits: limitsOf(limit) };
  } catch (thrown) {
    stream.abort(asError(thrown));
    throw thrown;
  }
}
