/**
 * The relay's part of circuit relay v2: reservations, and circuits between two peers. libp2p's own server reads one end
 * as fast as it sends, whether or not the other end takes it, so that a slow reader would fill the relay's memory; here
 * it holds its sender back. All is bounded by peer, by address and in all, and what is refused is counted.
 */
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface';
import { lpStream } from '@libp2p/utils';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { hostOf, relayOf } from './address.ts';
import {
  type CircuitLimit,
  decodeHop,
  decodeStopStatus,
  encodeHopStatus,
  encodeStopConnect,
  hopProtocol,
  type Status,
  status,
  stopProtocol,
} from './circuit.ts';
import { joinerLimit, Joiners, type Joining } from './joiners.ts';
import { joinStreams } from './join-streams.ts';
import {
  hopTime_ms,
  maxCircuits,
  maxCircuitsPerPeer,
  maxHopMessageBytes,
  maxReservations,
  maxReservationsPerAddress,
  reservation_ms,
  unreadHighWaterBytes,
} from './limits.ts';
import type { Clock, RelayCounts, RelayRules } from './ports.ts';
import { deadline } from './timing.ts';

interface Reservation {
  peer: PeerId;
  /** of the connection that it was made over */
  host: string;
  /** by the monotonic clock */
  expires_ms: number;
}

interface Circuit {
  from: string;
  to: string;
  /** whether it is allowed now */
  isAllowed(): boolean;
  /** of who is no member */
  joining?: Joining;
  end(reason: Error): void;
}

/** Why something was not granted, as it is counted. */
type Why = 'admission' | 'reservation' | 'policy' | 'peer' | 'address' | 'full' | 'malformed' | 'gone';

const statusOf: Readonly<Record<Why, Status>> = {
  admission: status.permissionDenied,
  policy: status.permissionDenied,
  reservation: status.noReservation,
  peer: status.resourceLimitExceeded,
  address: status.reservationRefused,
  full: status.resourceLimitExceeded,
  malformed: status.malformedMessage,
  gone: status.connectionFailed,
};

type Framed = ReturnType<typeof lpStream<Stream>>;
const framed = (stream: Stream): Framed =>
  lpStream(stream, { maxDataLength: maxHopMessageBytes, maxBufferSize: unreadHighWaterBytes });

export class HopServer {
  readonly #host: Libp2p;
  readonly #clock: Clock;
  readonly #rules: () => RelayRules;
  /** by the multihash of the peer, hex */
  readonly #reservations = new Map<string, Reservation>();
  readonly #circuits = new Set<Circuit>();
  readonly #joiners: Joiners;
  readonly #refused = new Map<Why, number>();

  private constructor(host: Libp2p, clock: Clock, rules: () => RelayRules) {
    this.#host = host;
    this.#clock = clock;
    this.#joiners = new Joiners(clock);
    this.#rules = rules;
  }

  /** Serves as a relay on a host that has not been started. */
  static async open(host: Libp2p, clock: Clock, rules: () => RelayRules): Promise<HopServer> {
    const server = new HopServer(host, clock, rules);
    await host.handle(hopProtocol, (stream, connection) => void server.#serve(stream, connection), {
      maxInboundStreams: maxCircuitsPerPeer,
    });
    host.addEventListener('peer:disconnect', ({ detail }) => server.#reservations.delete(keyOf(detail)));
    return server;
  }

  counts(): RelayCounts {
    return {
      reservations: this.#reservations.size,
      circuits: this.#circuits.size,
      joining: this.#joiners.count,
      refused: Object.fromEntries(this.#refused),
    };
  }

  /** Ends every circuit from or to a peer; its reservation stays, and is of no use while the rules refuse it. */
  end(peer: string, reason: Error): void {
    for (const circuit of this.#circuits) {
      if (circuit.from === peer || circuit.to === peer) circuit.end(reason);
    }
  }

  async #serve(stream: Stream, connection: Connection): Promise<void> {
    const { signal, done } = deadline(this.#clock, hopTime_ms);
    const asked = framed(stream);
    try {
      const refusal = await this.#answer(asked, connection, signal);
      if (refusal === undefined) return;
      this.#refused.set(refusal, (this.#refused.get(refusal) ?? 0) + 1);
      await asked.write(encodeHopStatus(statusOf[refusal]), { signal });
      await stream.close({ signal });
    } catch (thrown) {
      stream.abort(thrown instanceof Error ? thrown : new TypeError(String(thrown)));
    } finally {
      done();
    }
  }

  async #answer(asked: Framed, connection: Connection, signal: AbortSignal): Promise<Why | undefined> {
    let request;
    try {
      request = decodeHop((await asked.read({ signal })).subarray());
    } catch {
      return 'malformed';
    }
    // what has come through a relay goes through no other
    if (relayOf(connection.remoteAddr.toString()) !== null) return 'policy';
    if (request.type === 'reserve') return await this.#reserve(asked, connection, signal);
    if (request.type === 'connect') {
      return await this.#connect(asked, connection, request.peer, signal);
    }
    return 'malformed';
  }

  async #reserve(asked: Framed, connection: Connection, signal: AbortSignal): Promise<Why | undefined> {
    const { remotePeer: peer, remoteAddr } = connection;
    const rules = this.#rules();
    if (!rules.isMember(peer.toString())) return 'admission';
    if (!rules.mayReserve(peer.toString())) return 'policy';
    const now_ms = this.#clock.monotonic_ms();
    for (const [key, { expires_ms }] of this.#reservations) {
      if (expires_ms < now_ms) this.#reservations.delete(key);
    }
    const host = hostOf(remoteAddr.toString()) ?? '';
    if (!this.#reservations.has(keyOf(peer))) {
      if (this.#reservations.size >= maxReservations) return 'full';
      const ofHost = [...this.#reservations.values()].filter((other) => other.host === host);
      if (ofHost.length >= maxReservationsPerAddress) return 'address';
    }
    this.#reservations.set(keyOf(peer), { peer, host, expires_ms: now_ms + reservation_ms });
    const addresses = this.#host.getMultiaddrs().map((address) => multiaddr(address).bytes);
    const expires_s = Math.floor((this.#clock.wall_ms() + reservation_ms) / 1000);
    await asked.write(encodeHopStatus(status.ok, { reservation: { expires_s, addresses } }), { signal });
    await asked.unwrap().close({ signal });
    return undefined;
  }

  async #connect(
    asked: Framed,
    { remotePeer: source, remoteAddr }: Connection,
    wanted: Uint8Array,
    signal: AbortSignal,
  ): Promise<Why | undefined> {
    const from = source.toString();
    const isMember = this.#rules().isMember(from);
    const far = isMember ? this.#reserved(wanted) : this.#registrar(wanted);
    if (far === undefined) return isMember ? 'reservation' : 'admission';
    const to = far.toString();
    const host = hostOf(remoteAddr.toString()) ?? '';
    const isAllowed = isMember
      ? () => this.#rules().isMember(from) && this.#rules().mayPass(from, to)
      : () => this.#rules().registrars().includes(to);
    if (!isAllowed()) return 'policy';
    if (this.#circuits.size >= maxCircuits) return 'full';
    if ([from, to].some((peer) => this.#circuitsOf(peer) >= maxCircuitsPerPeer)) return 'peer';
    const tooMany = isMember ? undefined : this.#joiners.refusal(host);
    if (tooMany !== undefined) return tooMany;
    const ended = new AbortController();
    const circuit: Circuit = { from, to, isAllowed, end: (reason) => ended.abort(reason) };
    if (!isMember) circuit.joining = this.#joiners.begin(host, (reason) => circuit.end(reason));
    this.#circuits.add(circuit);
    try {
      const either = AbortSignal.any([signal, ended.signal]);
      const target = await this.#reach(far, source, either, isMember ? undefined : joinerLimit);
      const refusal = target === undefined ? 'gone' : await this.#join(circuit, asked, target, either);
      if (refusal !== undefined) this.#drop(circuit);
      return refusal;
    } catch (error) {
      this.#drop(circuit);
      throw error;
    }
  }

  #drop(circuit: Circuit): void {
    this.#circuits.delete(circuit);
    circuit.joining?.ended();
  }

  #reserved(wanted: Uint8Array): PeerId | undefined {
    const reservation = this.#reservations.get(Buffer.from(wanted).toString('hex'));
    const isOver = reservation === undefined || reservation.expires_ms < this.#clock.monotonic_ms();
    return isOver ? undefined : reservation.peer;
  }

  /** Registrars need no reservation: whatever is decided for their site, they enrol. */
  #registrar(wanted: Uint8Array): PeerId | undefined {
    const key = Buffer.from(wanted).toString('hex');
    return this.#rules().registrars().map((peer) => peerIdFromString(peer)).find((peer) =>
      keyOf(peer) === key
    );
  }

  /** Unless the circuit is made, its target's stream has ended. */
  async #join(
    circuit: Circuit,
    asked: Framed,
    target: Framed,
    signal: AbortSignal,
  ): Promise<Why | undefined> {
    const { from, to, joining } = circuit;
    const rules = this.#rules();
    // time has passed since this was asked
    if (!circuit.isAllowed()) {
      target.unwrap().abort(new TypeError('it may not pass any more'));
      return 'policy';
    }
    try {
      const limit = joining === undefined ? undefined : joinerLimit;
      await asked.write(encodeHopStatus(status.ok, { limit }), { signal });
      signal.throwIfAborted();
      circuit.end = joinStreams(asked.unwrap(), target.unwrap(), {
        forth: (octets) => {
          rules.carried(from, to, octets);
          joining?.carried(octets);
        },
        back: (octets) => {
          rules.carried(to, from, octets);
          joining?.carried(octets);
        },
        ended: () => this.#drop(circuit),
      });
      return undefined;
    } catch (thrown) {
      target.unwrap().abort(thrown instanceof Error ? thrown : new TypeError(String(thrown)));
      throw thrown;
    }
  }

  /** A stream to the end of a circuit, over the newest connection to it, once it has said that it takes it. */
  async #reach(
    peer: PeerId,
    source: PeerId,
    signal: AbortSignal,
    limit: CircuitLimit | undefined,
  ): Promise<Framed | undefined> {
    const direct = this.#host.getConnections(peer).filter(({ status, remoteAddr }) =>
      status === 'open' && relayOf(remoteAddr.toString()) === null
    );
    const stream = await direct.at(-1)?.newStream(stopProtocol, {
      ...{ signal, maxOutboundStreams: maxCircuitsPerPeer },
    }).catch(() => undefined);
    if (stream === undefined) return undefined;
    const told = framed(stream);
    try {
      await told.write(encodeStopConnect(source.toMultihash().bytes, limit), { signal });
      if (decodeStopStatus((await told.read({ signal })).subarray()) === status.ok) return told;
    } catch {
      // it is as good as a refusal
    }
    stream.abort(new TypeError('the circuit was not taken'));
    return undefined;
  }

  #circuitsOf(peer: string): number {
    return [...this.#circuits].filter(({ from, to }) => from === peer || to === peer).length;
  }
}

const keyOf = (peer: PeerId): string => Buffer.from(peer.toMultihash().bytes).toString('hex');
