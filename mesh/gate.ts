/**
 * Who is a member. libp2p proves a PeerId; the hello method proves that this organisation certified it. A peer
 * that has not passed gets hello and enrolment, and nothing else of ours: rpc.ts asks `admitted` for every
 * other method. The caller of a connection says hello first; the answer makes both sides members.
 */
import type { Connection } from '@libp2p/interface';
import * as v from 'valibot';
import { type NodeIdentity, type Trust, verifyIdentity } from './certificate.ts';
import { bytes, integer, text } from './codec.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import {
  admissionWait_ms,
  helloTimeout_ms,
  maxAddressChars,
  maxAddressesPerPeer,
  maxClockSkew_ms,
  maxStrangers,
  strangerLife_ms,
} from './limits.ts';
import { peerId } from './names.ts';
import type { Clock, Log } from './ports.ts';
import type { Method, Rpc } from './rpc.ts';

const maxCertificateBytes = 4096;
const maxPeersInHello = 64;

const addresses = v.pipe(v.array(text(maxAddressChars)), v.maxLength(maxAddressesPerPeer));

const helloSchema = v.strictObject({
  leaf: bytes(1, maxCertificateBytes),
  issuers: v.pipe(v.array(bytes(1, maxCertificateBytes)), v.maxLength(4)),
  time_ms: integer(0, Number.MAX_SAFE_INTEGER),
  addresses,
  /** where other members are: peer exchange */
  peers: v.pipe(v.array(v.strictObject({ peer: peerId, addresses })), v.maxLength(maxPeersInHello)),
});
export type Hello = v.InferOutput<typeof helloSchema>;

const hello: Method<typeof helloSchema, typeof helloSchema> = {
  name: 'hello',
  request: helloSchema,
  reply: helloSchema,
  admission: 'anyone',
};

/** A peer whose certificate has been checked, while it is connected. */
export interface Member {
  identity: NodeIdentity;
  issuers: Uint8Array[];
  /** its clock minus ours when it said hello */
  clockOffset_ms: number;
}

export interface GateOptions {
  rpc: Rpc;
  trust: Trust;
  clock: Clock;
  log: Log;
  /** whether there still is a connection to a peer */
  connected(peer: string): boolean;
  /** what this node says of itself */
  introduce(): Omit<Hello, 'time_ms'>;
  onMember(member: Member, hello: Hello): void;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #members = new Map<string, Member>();
  /** calls that wait for the hello of their peer */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** connections of others that may not be members, oldest first */
  readonly #strangers = new Set<Connection>();

  private constructor(options: GateOptions) {
    this.#options = options;
  }

  static async open(options: GateOptions): Promise<Gate> {
    const gate = new Gate(options);
    await options.rpc.handle(hello, async ({ from, request }) => {
      await gate.#admit(from, request);
      return { reply: gate.#introduce() };
    });
    options.rpc.admitBy((connection) => gate.admitted(connection));
    return gate;
  }

  members(): Member[] {
    return [...this.#members.values()];
  }

  isMember(peer: string): boolean {
    return this.#members.has(peer);
  }

  /** Says hello over a connection that this node has opened; closes it when the peer does not belong here. */
  greet(connection: Connection): Promise<void> {
    return this.#greet(connection.remotePeer.toString(), connection);
  }

  /**
   * Ends a connection that another has opened, unless it makes that peer a member (or a joiner is done) in time, and
   * before too many other strangers have come.
   */
  watch(connection: Connection): void {
    const end = (one: Connection) => {
      if (this.#members.has(one.remotePeer.toString())) return;
      one.abort(new InkmeshError('timeout', 'no hello came in time'));
    };
    const timer = setTimeout(() => end(connection), strangerLife_ms);
    connection.addEventListener('close', () => {
      clearTimeout(timer);
      this.#strangers.delete(connection);
    }, { once: true });
    this.#strangers.add(connection);
    for (const one of this.#strangers) {
      if (this.#members.has(one.remotePeer.toString())) this.#strangers.delete(one);
    }
    const [oldest] = this.#strangers;
    if (oldest !== undefined && this.#strangers.size > maxStrangers) end(oldest);
  }

  forget(peer: string): void {
    this.#members.delete(peer);
  }

  /**
   * Resolves if the connection's peer is a member. On a new connection a method may overtake the hello that comes
   * with it: then it waits for a moment.
   * @throws InkmeshError `forbidden`
   */
  async admitted(connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const age_ms = Date.now() - connection.timeline.open;
    if (!this.#members.has(peer) && age_ms < admissionWait_ms) {
      await this.#admission(peer, admissionWait_ms - age_ms);
    }
    if (this.#members.has(peer)) return;
    throw new InkmeshError('forbidden', 'this node serves members of its organisation only: say hello first');
  }

  /** Resolves when the peer is a member, or after `limit_ms`. */
  async #admission(peer: string, limit_ms: number): Promise<void> {
    const waiting = this.#waiting.get(peer) ?? new Set();
    this.#waiting.set(peer, waiting);
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        waiting.delete(wake);
        if (waiting.size === 0) this.#waiting.delete(peer);
        resolve();
      };
      const timer = setTimeout(wake, limit_ms);
      waiting.add(wake);
    });
  }

  /** Now, by the median of this node's clock and its peers': one wrong clock moves nothing. */
  now_ms(): number {
    const offsets = [0, ...this.members().map((m) => m.clockOffset_ms)].sort((a, b) => a - b);
    const middle = offsets[Math.floor((offsets.length - 1) / 2)] ?? 0;
    return this.#options.clock.wall_ms() + middle;
  }

  #introduce(): Hello {
    return { ...this.#options.introduce(), time_ms: this.#options.clock.wall_ms() };
  }

  async #greet(peer: string, connection: Connection): Promise<void> {
    try {
      const { rpc } = this.#options;
      const how = { connection, timeout_ms: helloTimeout_ms };
      const introduction = this.#introduce();
      const { reply } = await rpc.call(peer, hello, { ...introduction, peers: [] }, how);
      await this.#admit(peer, reply);
      // where the others are is for members to know: told once the peer is known to be one
      if (introduction.peers.length > 0) await rpc.call(peer, hello, introduction, how);
    } catch (thrown) {
      const error = asInkmeshError(thrown);
      const level = error.code === 'unavailable' ? 'info' : 'warn';
      this.#options.log(level, 'a peer was not admitted', { peer, reason: error.message });
      await connection.close().catch(() => connection.abort(error));
      throw error;
    }
  }

  async #admit(peer: string, said: Hello): Promise<void> {
    const { trust, clock } = this.#options;
    const identity = await verifyIdentity(trust, said.leaf, said.issuers, clock.wall_ms());
    if (identity.kind !== 'node' || identity.peerId !== peer) {
      throw new InkmeshError('unauthenticated', 'the certificate is not that of the node that sent it');
    }
    const clockOffset_ms = said.time_ms - clock.wall_ms();
    if (Math.abs(clockOffset_ms) > maxClockSkew_ms) {
      throw new InkmeshError(
        'unauthenticated',
        `the clocks are ${Math.round(clockOffset_ms / 3600_000)} h apart`,
      );
    }
    // it may have gone while its certificate was being checked
    if (!this.#options.connected(peer)) {
      throw new InkmeshError('unavailable', 'the peer went away in mid-hello');
    }
    const member = { identity, issuers: said.issuers, clockOffset_ms };
    this.#members.set(peer, member);
    for (const wake of [...this.#waiting.get(peer) ?? []]) wake();
    this.#options.onMember(member, said);
  }
}
