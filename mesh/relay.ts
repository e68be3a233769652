/**
 * Relaying: which nodes may be reached through this one, which relays this node has itself reached through, and the end
 * of what passes when a site's relay is turned off. The rule is scope.ts's.
 */
import { relayOf } from './address.ts';
import type { NodeIdentity } from './certificate.ts';
import { isCloud } from './cloud.ts';
import { asInkmeshError } from './errors.ts';
import type { Gate } from './gate.ts';
import { reservation_ms, reserveAgain_ms } from './limits.ts';
import type { Clock, Link, Log, RelayCounts, RelayRules, Transport } from './ports.ts';
import { type Policies, scopeRefusal } from './scope.ts';

export interface RelayOptions {
  self: NodeIdentity;
  transport: Transport;
  gate: Gate;
  policies: Policies;
  clock: Clock;
  log: Log;
}

/** Octets that a site's nodes have sent through a relay, and got through it. */
export interface Carried {
  out: number;
  in: number;
}

/** What a relay tells of itself, since it started. */
export interface Relayed extends RelayCounts {
  readonly bySite: ReadonlyMap<string, Readonly<Carried>>;
  /** connections that were ended because their peers were no members in time, or too many */
  readonly strangers: number;
}

export class Relay implements RelayRules {
  readonly #options: RelayOptions;
  readonly #carried = new Map<string, Carried>();
  /** links to relays over which this node has asked to be reached, and when by the monotonic clock */
  readonly #asked = new WeakMap<Link, number>();

  #stopped = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    options.transport.relayBy(this);
  }

  /** Lets nothing new pass; what is under way goes on. */
  stop(): void {
    this.#stopped = true;
  }

  isMember(peer: string): boolean {
    return this.#options.gate.member(peer) !== undefined;
  }

  mayReserve(peer: string): boolean {
    return !this.#stopped && this.#isServed(peer);
  }

  /** Whether a peer's site has itself relayed. */
  #isServed(peer: string): boolean {
    const identity = this.#options.gate.member(peer)?.identity;
    return identity !== undefined && this.#options.policies(identity.site).relay;
  }

  mayPass(source: string, target: string): boolean {
    const { gate, policies } = this.#options;
    const [one, other] = [gate.member(source)?.identity, gate.member(target)?.identity];
    if (one === undefined || other === undefined) return false;
    return this.mayReserve(target) && scopeRefusal(one, other, true, policies) === undefined;
  }

  registrars(): readonly string[] {
    const { self, gate } = this.#options;
    if (this.#stopped || !isCloud(self)) return [];
    return gate.members().map(({ identity }) => identity)
      .filter(({ roles, peerId }) => roles.includes('registrar') && gate.linkTo(peerId)?.relay === null)
      .map(({ peerId }) => peerId);
  }

  trusts(relay: string): boolean {
    return this.#options.gate.member(relay)?.identity.roles.includes('relay') ?? false;
  }

  carried(from: string, to: string, octets: number): void {
    const { gate } = this.#options;
    const count = (peer: string, way: keyof Carried) => {
      const site = gate.member(peer)?.identity.site;
      if (site === undefined) return;
      const counted = this.#carried.get(site) ?? { out: 0, in: 0 };
      counted[way] += octets;
      this.#carried.set(site, counted);
    };
    count(from, 'out');
    count(to, 'in');
  }

  /** Octets that have passed through this node so far, by site. */
  get bySite(): ReadonlyMap<string, Readonly<Carried>> {
    return this.#carried;
  }

  /** Has this node reached through the relays that it is connected to, if its site's relay is on. */
  reserve(): void {
    const { self, transport, gate, policies, clock, log } = this.#options;
    if (self.roles.includes('relay') || !policies(self.site).relay) return;
    for (const { identity } of gate.members()) {
      const link = gate.linkTo(identity.peerId);
      if (!identity.roles.includes('relay') || link === undefined || link.relay !== null) continue;
      const isReserved = transport.addresses().some((address) => relayOf(address) === identity.peerId);
      const asked_ms = this.#asked.get(link) ?? -Infinity;
      const rest_ms = isReserved ? reservation_ms / 2 : reserveAgain_ms;
      if (clock.monotonic_ms() - asked_ms < rest_ms) continue;
      this.#asked.set(link, clock.monotonic_ms());
      transport.reserveAt(link).catch((thrown) => {
        log('info', 'a relay does not take this node', {
          peer: identity.peerId,
          reason: asInkmeshError(thrown).message,
        });
      });
    }
  }

  /** On a relay: ends what passes from or to nodes whose site is not relayed any more. */
  review(): void {
    const { self, transport, gate } = this.#options;
    if (!self.roles.includes('relay')) return;
    for (const { identity } of gate.members()) {
      if (!this.#isServed(identity.peerId)) transport.endRelayed(identity.peerId);
    }
  }
}
