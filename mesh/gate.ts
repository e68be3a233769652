/**
 * Who is a member. The transport proves a PeerId; the hello method proves that this organisation certified it. A peer
 * that has not passed gets hello and enrolment, and nothing else of ours: rpc.ts asks `admitted` for every
 * other method. The opener of a link says hello first; the answer makes both sides members. Site scope (scope.ts) and
 * revocation are part of it, at hello and again when facts change.
 */
import * as v from 'valibot';
import { hostOf } from './address.ts';
import { maxCertificateBytes, type NodeIdentity, type Trust, verifyIdentity } from './certificate.ts';
import { bytes, integer, text } from './codec.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import {
  admissionWait_ms,
  helloTimeout_ms,
  maxAddressChars,
  maxAddressesPerPeer,
  maxClockSkew_ms,
  maxLinksPerPeer,
  strangerLife_ms,
} from './limits.ts';
import type { Clock, Link, Log } from './ports.ts';
import type { Method, Rpc } from './rpc.ts';

const helloSchema = v.strictObject({
  leaf: bytes(1, maxCertificateBytes),
  issuers: v.pipe(v.array(bytes(1, maxCertificateBytes)), v.maxLength(4)),
  time_ms: integer(0, Number.MAX_SAFE_INTEGER),
  addresses: v.pipe(v.array(text(maxAddressChars)), v.maxLength(maxAddressesPerPeer)),
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
  /** its clock when this machine started: an anchor that a jump of this node's own clock does not move */
  zero_ms: number;
}

export interface GateOptions {
  rpc: Rpc;
  trust: Trust;
  clock: Clock;
  log: Log;
  /** connections of others that may not be members: beyond it one is ended */
  maxStrangers: number;
  /** open links to a peer */
  links(peer: string): Link[];
  /** what this node says of itself */
  introduce(): Omit<Hello, 'time_ms'>;
  /** why a certified node may not talk to this one over such a link; undefined when it may */
  refusal(identity: NodeIdentity, link: Link): string | undefined;
  onMember(member: Member, hello: Hello, link: Link): void;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #members = new Map<string, Member>();
  /** calls that wait for the hello of their peer */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** this node's own hellos that are under way: several callers may want one link */
  readonly #greeting = new Map<Link, Promise<void>>();
  /** links over which a hello has passed, one way or the other */
  readonly #proven = new WeakSet<Link>();
  /** links of others that may not be members, oldest first */
  readonly #strangers = new Set<Link>();
  /** how many of them have been ended so far */
  strangersEnded = 0;
  /** what `zero_ms` says of each member, sorted; made anew when one has changed: time is asked for with every fact */
  #zeros_ms: number[] | undefined;

  private constructor(options: GateOptions) {
    this.#options = options;
  }

  static async open(options: GateOptions): Promise<Gate> {
    const gate = new Gate(options);
    await options.rpc.handle(hello, async ({ link, request }) => {
      await gate.#admit(link, request);
      return { reply: gate.#introduce() };
    });
    options.rpc.admitBy((link) => gate.admitted(link));
    return gate;
  }

  members(): Member[] {
    return [...this.#members.values()];
  }

  member(peer: string): Member | undefined {
    return this.#members.get(peer);
  }

  /**
   * An open link to a member that may be used, a direct one where there is one, and the newest: an older one may be of
   * a machine that has lost its power since, which nothing has noticed yet. Undefined when there is none.
   */
  linkTo(peer: string): Link | undefined {
    const member = this.#members.get(peer);
    if (member === undefined) return undefined;
    const usable = this.#options.links(peer).filter((link) =>
      this.#proven.has(link) && this.#options.refusal(member.identity, link) === undefined
    );
    return usable.findLast(({ relay }) => relay === null) ?? usable.at(-1);
  }

  /**
   * Says hello over a link, once for all who want it at the same time; closes it when the peer does not belong here.
   * @throws InkmeshError
   */
  greet(link: Link): Promise<void> {
    const under = this.#greeting.get(link);
    if (under !== undefined) return under;
    const greeting = this.#greet(link).finally(() => this.#greeting.delete(link));
    this.#greeting.set(link, greeting);
    return greeting;
  }

  async #greet(link: Link): Promise<void> {
    const { peer } = link;
    try {
      const how = { link, timeout_ms: helloTimeout_ms };
      const { reply } = await this.#options.rpc.call(peer, hello, this.#introduce(), how);
      await this.#admit(link, reply);
    } catch (thrown) {
      const error = asInkmeshError(thrown);
      const level = error.code === 'unavailable' ? 'info' : 'warn';
      this.#options.log(level, 'a peer was not admitted', { peer, reason: error.message });
      // the peer's own hello may have passed meanwhile, and calls be under way
      if (!this.#proven.has(link)) link.close();
      throw error;
    }
  }

  /**
   * Ends a link unless its peer becomes a member (or a joiner is done) in time, and before too many other strangers
   * have come from its address; and the oldest of a peer that keeps opening new ones.
   */
  watch(link: Link): void {
    this.#options.clock.after(strangerLife_ms, () => this.#endStranger(link));
    for (const one of this.#strangers) if (this.#members.has(one.peer)) this.#strangers.delete(one);
    this.#strangers.add(link);
    if (this.#strangers.size > this.#options.maxStrangers) this.#endStranger(oldestOfMost(this.#strangers));
    const opened = this.#options.links(link.peer).filter(({ direction }) => direction === 'inbound');
    for (const one of opened.slice(0, -maxLinksPerPeer)) one.close();
  }

  /** A link has ended; with the last one the peer is no member any more. True for the last. */
  closed(link: Link): boolean {
    this.#strangers.delete(link);
    if (this.#options.links(link.peer).length > 0) return false;
    this.#members.delete(link.peer);
    this.#zeros_ms = undefined;
    return true;
  }

  /** Ends the links that are not allowed any more. */
  review(): void {
    const { links, refusal, log } = this.#options;
    for (const [peer, { identity }] of [...this.#members]) {
      for (const link of links(peer)) {
        const reason = refusal(identity, link);
        if (reason === undefined) continue;
        log('info', 'a link is ended', { peer, reason });
        link.close();
      }
    }
  }

  /**
   * Resolves if the link's peer is a member. On a new link a method may overtake the hello that comes with it: then
   * it waits for a moment.
   * @throws InkmeshError `forbidden`
   */
  async admitted(link: Link): Promise<void> {
    const { peer } = link;
    // the peer is through with the hello that this node is still judging the answer to
    if (!this.#members.has(peer)) await this.#greeting.get(link)?.catch(() => {});
    const age_ms = this.#options.clock.monotonic_ms() - link.opened_ms;
    if (!this.#members.has(peer) && age_ms < admissionWait_ms) {
      await this.#admission(peer, admissionWait_ms - age_ms);
    }
    const member = this.#members.get(peer);
    if (member === undefined) {
      throw new InkmeshError(
        'forbidden',
        'this node serves members of its organisation only: say hello first',
      );
    }
    const reason = this.#options.refusal(member.identity, link);
    if (reason !== undefined) throw new InkmeshError('forbidden', reason);
  }

  /** Takes note of a member's new certificate: its roles may have changed. */
  renewed(peer: string, identity: NodeIdentity | undefined): void {
    const member = this.#members.get(peer);
    if (member !== undefined && identity !== undefined) member.identity = identity;
  }

  /** Takes note of what a member's clock says; one that is out of all bounds counts for nothing. */
  heardTime(peer: string, time_ms: number): void {
    const { clock } = this.#options;
    const member = this.#members.get(peer);
    if (member === undefined || Math.abs(time_ms - clock.wall_ms()) > maxClockSkew_ms) return;
    member.zero_ms = time_ms - clock.uptime_ms();
    this.#zeros_ms = undefined;
  }

  /**
   * Now, by the median of this node's clock and its peers': one wrong clock among three moves nothing, and of two
   * middle ones the nearer to this node's own counts, so that a single peer moves nothing either.
   */
  now_ms(): number {
    const { clock } = this.#options;
    const uptime_ms = clock.uptime_ms();
    const own_ms = clock.wall_ms() - uptime_ms;
    this.#zeros_ms ??= this.members().map((member) => member.zero_ms).sort((a, b) => a - b);
    const below = this.#zeros_ms.findIndex((zero_ms) => zero_ms > own_ms);
    const zeros = this.#zeros_ms.toSpliced(below === -1 ? this.#zeros_ms.length : below, 0, own_ms);
    const low_ms = zeros[Math.floor((zeros.length - 1) / 2)] ?? own_ms;
    const high_ms = zeros[Math.floor(zeros.length / 2)] ?? own_ms;
    const middle_ms = Math.abs(high_ms - own_ms) < Math.abs(low_ms - own_ms) ? high_ms : low_ms;
    return Math.trunc(middle_ms + uptime_ms);
  }

  /** The same, null while fewer than two peers' clocks are known beside ours: then ours might be the wrong one. */
  agreed_ms(): number | null {
    return this.#members.size < 2 ? null : this.now_ms();
  }

  #endStranger(link: Link | undefined): void {
    if (link === undefined || !this.#strangers.delete(link) || this.#members.has(link.peer)) return;
    this.strangersEnded++;
    link.close();
  }

  /** Resolves when the peer is a member, or after `limit_ms`. */
  async #admission(peer: string, limit_ms: number): Promise<void> {
    const waiting = this.#waiting.get(peer) ?? new Set();
    this.#waiting.set(peer, waiting);
    await new Promise<void>((resolve) => {
      const wake = () => {
        callOff();
        waiting.delete(wake);
        if (waiting.size === 0) this.#waiting.delete(peer);
        resolve();
      };
      const callOff = this.#options.clock.after(limit_ms, wake);
      waiting.add(wake);
    });
  }

  #introduce(): Hello {
    return { ...this.#options.introduce(), time_ms: Math.trunc(this.#options.clock.wall_ms()) };
  }

  async #admit(link: Link, said: Hello): Promise<void> {
    const { trust, clock, links, refusal } = this.#options;
    const { peer } = link;
    if (link.limited) {
      throw new InkmeshError('unavailable', 'this connection is there to join, and ends soon');
    }
    const identity = await verifyIdentity(trust, said.leaf, said.issuers, clock.wall_ms());
    if (identity.kind !== 'node' || identity.peerId !== peer) {
      throw new InkmeshError('unauthenticated', 'the certificate is not that of the node that sent it');
    }
    const apart_ms = said.time_ms - clock.wall_ms();
    if (Math.abs(apart_ms) > maxClockSkew_ms) {
      throw new InkmeshError(
        'unauthenticated',
        `the clocks are ${Math.round(apart_ms / 3600_000)} h apart`,
      );
    }
    const reason = refusal(identity, link);
    if (reason !== undefined) throw new InkmeshError('forbidden', reason);
    // it may have gone while its certificate was being checked
    if (links(peer).length === 0) {
      throw new InkmeshError('unavailable', 'the peer went away in mid-hello');
    }
    this.#proven.add(link);
    const member = { identity, zero_ms: said.time_ms - clock.uptime_ms() };
    this.#members.set(peer, member);
    this.#zeros_ms = undefined;
    for (const wake of [...this.#waiting.get(peer) ?? []]) wake();
    this.#options.onMember(member, said, link);
  }
}

/** The oldest of the links that come from the address that most come from: a crowd displaces itself. */
function oldestOfMost(links: Iterable<Link>): Link | undefined {
  const byHost = Map.groupBy(links, ({ remote }) => hostOf(remote) ?? '');
  const [most] = [...byHost.values()].sort((a, b) => b.length - a.length);
  return most?.[0];
}
