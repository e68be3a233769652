/**
 * Who there is, where, and how reliably: what each node says of itself once or a few times a day, as a fact in its
 * site's document of the day. From it follow where to dial a node, who holds jobs best, and the super nodes of a site;
 * whoever sees the same roster gets the same answers.
 */
import * as v from 'valibot';
import { hostOf, isAddress, subnetOf } from './address.ts';
import type { NodeIdentity } from './certificate.ts';
import { isCloud } from './cloud.ts';
import { integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { jobsDoc, type Kind } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import {
  maxAddressChars,
  maxAddressesPerPeer,
  presenceDays,
  presenceInterval_ms,
  renewGrace_ms,
} from './limits.ts';
import type { Clock, Log } from './ports.ts';
import { revokedSince } from './revocation.ts';
import { hasSiteKey } from './site-key.ts';
import { every, fraction } from './timing.ts';
import { rendezvous } from './topology.ts';

const minute_ms = 60_000;
const day_ms = 24 * 3600_000;
const minutesPerDay = 24 * 60;

const presenceBody = v.strictObject({
  /** multiaddrs where it can be dialled, through relays too */
  addresses: v.pipe(
    v.array(v.pipe(text(maxAddressChars), v.check(isAddress, 'expected a multiaddr'))),
    v.maxLength(maxAddressesPerPeer),
  ),
  /** minutes that it was awake, by UTC day, today first */
  awake: v.pipe(v.array(integer(0, minutesPerDay)), v.length(presenceDays)),
  /** TCP port where it takes documents of clients, over TLS; null where nobody is to come for that */
  clients: v.nullable(integer(1, 65535)),
});
export type Presence = v.InferOutput<typeof presenceBody>;

/** Its subject is the node that states it. */
export const presenceKind: Kind<typeof presenceBody> = {
  name: 'presence',
  body: presenceBody,
  check(fact, author) {
    if (fact.subject !== fact.author) throw new InkmeshError('forbidden', 'a node tells of itself only');
    if (fact.doc !== jobsDoc(author.site, fact.time_ms)) {
      throw new InkmeshError('forbidden', 'a presence belongs to its site and day');
    }
  },
};

export interface RosterOptions {
  self: NodeIdentity;
  ledger: FactLedger;
  clock: Clock;
  now_ms(): number;
  /** where this node can be dialled now */
  addresses(): string[];
  /** TCP port where clients bring documents */
  clientPort: number | null;
  log: Log;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #endMinutes: () => void;
  #awake: number[];
  #day: number;
  #minute_ms: number;
  #stated: { place: string; time_ms: number } | undefined;
  #stating = false;
  readonly #jitter_ms = fraction() * presenceInterval_ms / 4;

  constructor(options: RosterOptions) {
    this.#options = options;
    const { self, ledger, clock } = options;
    this.#day = dayOf(options.now_ms());
    this.#minute_ms = clock.monotonic_ms();
    const last = ledger.latest(presenceKind.name, self.peerId);
    // a site that is switched on in the morning says again only what has changed
    this.#stated = last === undefined
      ? undefined
      : { place: placeOf(last.body as Presence), time_ms: last.time_ms };
    this.#awake = shifted(
      last === undefined ? [] : (last.body as Presence).awake,
      last === undefined ? 0 : this.#day - dayOf(last.time_ms),
    );
    this.#endMinutes = every(clock, minute_ms, () => this.#minute());
  }

  close(): void {
    this.#endMinutes();
  }

  /** States this node's presence if there is something new to say. */
  async state(): Promise<void> {
    const { self, ledger, now_ms, log } = this.#options;
    const here = { addresses: this.#options.addresses(), clients: this.#options.clientPort };
    const now = now_ms();
    const last = this.#stated;
    const due = last === undefined || last.place !== placeOf(here) ||
      now - last.time_ms > presenceInterval_ms + this.#jitter_ms || now < last.time_ms - day_ms;
    if (!due || this.#stating) return;
    this.#stating = true;
    try {
      const place = (time_ms: number) => jobsDoc(self.site, time_ms);
      await ledger.state(presenceKind, place, self.peerId, { ...here, awake: [...this.#awake] });
      this.#stated = { place: placeOf(here), time_ms: now };
    } catch (thrown) {
      log('error', 'this node cannot tell where it is', { reason: String(thrown) });
    } finally {
      this.#stating = false;
    }
  }

  /** The other nodes that may take part: known, not revoked, and not away for longer than they could be renewed. */
  others(): NodeIdentity[] {
    const { self, ledger, now_ms } = this.#options;
    const lapsed_ms = now_ms() - renewGrace_ms;
    return ledger.nodes().filter(({ peerId, notAfter }) =>
      peerId !== self.peerId && notAfter > lapsed_ms && revokedSince(ledger, 'node', peerId) === undefined
    );
  }

  addressesOf(peer: string): string[] {
    return this.#presence(peer)?.addresses ?? [];
  }

  /** Where a node takes documents of clients over TLS: HOST:PORT each. */
  clientAddresses(peer: string): string[] {
    const { addresses = [], clients = null } = this.#presence(peer) ?? {};
    if (clients === null) return [];
    const hosts = addresses.flatMap((address) => hostOf(address) ?? []);
    return [...new Set(hosts)].map((host) => `${host.includes(':') ? `[${host}]` : host}:${clients}`);
  }

  /**
   * This site's other nodes in the order in which they should hold a job: those that are awake most first, each in
   * another network than those before it where there are several; among equals the job's id decides, so that the jobs
   * spread.
   */
  mates(job: string): string[] {
    const { self } = this.#options;
    const ranked = this.others().filter((node) => node.site === self.site && !isCloud(node))
      .map(({ peerId }) => ({
        peer: peerId,
        awake: this.#steadiness(peerId),
        rank: rendezvous(job, peerId),
        nets: this.addressesOf(peerId).flatMap((address) => subnetOf(address) ?? []),
      }))
      .sort((a, b) => b.awake - a.awake || a.rank - b.rank);
    return spread(ranked, new Set(this.#options.addresses().flatMap((address) => subnetOf(address) ?? [])));
  }

  /**
   * The two nodes of a site that face phones and print dialogs: of those with the role `front` the steadiest, by the
   * roster alone.
   * @param away whether a node is known not to answer
   */
  supers(site: string, away: (peer: string) => boolean): NodeIdentity[] {
    const { self, ledger } = this.#options;
    return [self, ...this.others()]
      .filter((node) => node.site === site && node.roles.includes('front') && !away(node.peerId))
      .map((node) => ({
        ...{ node, awake: this.#steadiness(node.peerId), rank: rendezvous(site, node.peerId) },
        keyed: hasSiteKey(ledger, node),
      }))
      // one that cannot serve the site's name comes last
      .sort((a, b) => Number(b.keyed) - Number(a.keyed) || b.awake - a.awake || a.rank - b.rank)
      .slice(0, 2).map(({ node }) => node);
  }

  /** 0 to 4: how much of the last days a node was awake, coarse enough that minutes change no order. */
  #steadiness(peer: string): number {
    const awake = this.#presence(peer)?.awake ?? [];
    // today is not over, and a node that is new has no days before
    const days = awake.slice(1);
    return Math.round(
      4 * days.reduce((sum, minutes) => sum + minutes, 0) / (minutesPerDay * (presenceDays - 1)),
    );
  }

  #presence(peer: string): Presence | undefined {
    return this.#options.ledger.latest(presenceKind.name, peer)?.body as Presence | undefined;
  }

  #minute(): void {
    const { clock, now_ms } = this.#options;
    const day = dayOf(now_ms());
    if (day !== this.#day) this.#awake = shifted(this.#awake, day - this.#day);
    this.#day = day;
    const since_ms = clock.monotonic_ms() - this.#minute_ms;
    this.#minute_ms += since_ms;
    // a minute that took much longer was slept through
    if (since_ms < 2 * minute_ms) this.#awake[0] = Math.min(minutesPerDay, (this.#awake[0] ?? 0) + 1);
  }
}

const placeOf = ({ addresses, clients }: Pick<Presence, 'addresses' | 'clients'>): string =>
  [...addresses, clients].join();

const dayOf = (time_ms: number): number => Math.floor(time_ms / day_ms);

/** The minutes awake of each day, some days later. */
function shifted(awake: readonly number[], days: number): number[] {
  const passed = Math.min(presenceDays, Math.max(0, days));
  const kept = awake.slice(0, presenceDays - passed);
  const list = [...Array.from({ length: passed }, () => 0), ...kept];
  return [...list, ...Array.from({ length: presenceDays - list.length }, () => 0)];
}

/**
 * Moves up what is in another network than what comes before it, among nodes that are as steady: two machines on one
 * switch go down together.
 */
function spread(
  ranked: readonly { peer: string; awake: number; nets: readonly string[] }[],
  mine: ReadonlySet<string>,
): string[] {
  const used = new Set(mine);
  const left = [...ranked];
  const order: string[] = [];
  for (let first = left[0]; first !== undefined; first = left[0]) {
    const { awake } = first;
    const apart = left.findIndex(({ nets, awake: as }) =>
      as === awake && nets.length > 0 && nets.every((net) => !used.has(net))
    );
    const [taken = first] = left.splice(Math.max(0, apart), 1);
    order.push(taken.peer);
    for (const net of taken.nets) used.add(net);
  }
  return order;
}
