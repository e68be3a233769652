/**
 * This node among the others: who is a member, whom it keeps connected, how any node is reached when a call needs it,
 * and what changes when a fact closes a site or shuts a node out.
 */
import type { NodeIdentity, Trust } from './certificate.ts';
import { isCloud } from './cloud.ts';
import { beatAll, serveBeats } from './beat.ts';
import { Discovery } from './discovery.ts';
import { InkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import { Gate, type Member } from './gate.ts';
import type { FactLedger } from './ledger.ts';
import {
  beatInterval_ms,
  circuitGrace_ms,
  idleLink_ms,
  maxStrangers,
  maxStrangersOfRelay,
  offDial_ms,
  presenceLook_ms,
  pruneInterval_ms,
  redialMin_ms,
  scopeGrace_ms,
  wantedLife_ms,
} from './limits.ts';
import { serveLead } from './lead.ts';
import { nodeKind } from './node-fact.ts';
import { defaultPolicy, policyOf, siteKind, type SitePolicy } from './policy.ts';
import type { AddressTable, Clock, Link, Log, Transport } from './ports.ts';
import { serveProbes } from './probe.ts';
import { Relay, type Relayed } from './relay.ts';
import { revokedKind, revokedSince } from './revocation.ts';
import { presenceKind, Roster } from './roster.ts';
import type { Rpc } from './rpc.ts';
import { type Policies, scopeRefusal } from './scope.ts';
import { every } from './timing.ts';
import { Topology } from './topology.ts';

export interface NetworkOptions {
  self(): NodeIdentity;
  issuers(): Uint8Array[];
  trust: Trust;
  transport: Transport;
  rpc: Rpc;
  ledger: FactLedger;
  addresses: AddressTable;
  /** multiaddrs to try besides what is found */
  configured: readonly string[];
  /** TCP port where clients bring documents */
  clientPort: number | null;
  clock: Clock;
  log: Log;
  /** a peer has been admitted: facts can be exchanged with it */
  onMember(peer: string): void;
}

export class Network {
  readonly #options: NetworkOptions;
  readonly gate: Gate;
  readonly roster: Roster;
  readonly discovery: Discovery;
  readonly #relay: Relay;
  readonly #topology: Topology;
  readonly #ends: (() => void)[] = [];
  /** since when links that nobody wants have carried nothing */
  readonly #idle = new Map<Link, number>();
  /** what held for sites about which something has just been decided */
  readonly #former: Map<string, SitePolicy>;
  #wanted: { peers: string[]; until_ms: number } = { peers: [], until_ms: -Infinity };

  private constructor(options: NetworkOptions, gate: Gate, former: Map<string, SitePolicy>) {
    this.#options = options;
    this.gate = gate;
    this.#former = former;
    const { transport, ledger, clock, log } = options;
    const self = options.self();
    this.#topology = new Topology(self.peerId, self.site);
    this.roster = new Roster({
      ...{ self, ledger, clock, log },
      now_ms: () => gate.now_ms(),
      addresses: () => transport.addresses(),
      clientPort: options.clientPort,
    });
    const policies: Policies = (site) => policyOf(ledger, site);
    this.#relay = new Relay({ self, transport, gate, policies, clock, log });
    this.discovery = new Discovery({
      ...{ transport, gate, clock, log },
      configured: options.configured,
      addresses: options.addresses,
      wanted: () => this.#wantedPeers(),
      listed: (peer) => this.roster.addressesOf(peer),
      mayDial: (peer, relayed) => this.#mayDial(peer, relayed),
      isRelay: (peer) => ledger.identity(peer)?.roles.includes('relay') ?? false,
    });
  }

  /** Registers what other nodes may ask of this one; `start` begins to listen and to dial. */
  static async open(options: NetworkOptions): Promise<Network> {
    const { rpc, trust, transport, ledger, clock, log } = options;
    const box: { network?: Network } = {};
    const former = new Map<string, SitePolicy>();
    const gate = await Gate.open({
      ...{ rpc, trust, clock, log },
      maxStrangers: options.self().roles.includes('relay') ? maxStrangersOfRelay : maxStrangers,
      links: (peer) => transport.links(peer),
      introduce: () => ({
        leaf: options.self().der,
        issuers: options.issuers(),
        addresses: transport.addresses(),
      }),
      refusal: (identity, link) =>
        refusal(options.self(), identity, link, ledger, (site) => former.get(site) ?? policyOf(ledger, site)),
      onMember: ({ identity }, { addresses }) => {
        box.network?.discovery.met(identity.peerId, addresses);
        options.onMember(identity.peerId);
      },
    });
    const network = new Network(options, gate, former);
    box.network = network;
    await serveBeats(rpc, clock);
    if (isCloud(options.self())) await serveLead(rpc, () => network.#relay.registrars());
    await serveProbes(rpc, options.transport, (peer) => network.roster.addressesOf(peer));
    rpc.reachBy((peer, signal) => network.#reach(peer, signal));
    ledger.onFact((fact) => network.#heard(fact));
    return network;
  }

  async start(): Promise<void> {
    const { transport, clock, rpc } = this.#options;
    transport.report({
      opened: (link) => this.gate.watch(link),
      closed: (link) => {
        this.#idle.delete(link);
        if (this.gate.closed(link)) this.discovery.lost(link);
      },
      found: (peer, addresses) => this.discovery.heard(peer, addresses),
    });
    await transport.start();
    this.#ends.push(
      every(clock, redialMin_ms, () => this.#tick()),
      every(clock, presenceLook_ms, () => void this.roster.state()),
      every(clock, beatInterval_ms, () => void beatAll(rpc, this.gate, transport.links())),
      every(clock, pruneInterval_ms, () => this.#prune()),
    );
    this.#tick();
    void this.roster.state();
  }

  /** Stops dialling; what is connected stays so until the transport stops. */
  close(): void {
    for (const end of this.#ends) end();
    this.roster.close();
  }

  members(): Member[] {
    return this.gate.members();
  }

  relayed(): Relayed {
    const counts = this.#options.transport.relayed();
    return { ...counts, bySite: this.#relay.bySite, strangers: this.gate.strangersEnded };
  }

  stopRelaying(): void {
    this.#relay.stop();
  }

  /** The nodes that can keep a job now: the connected ones of this site, best first, then those of other sites. */
  awake(job: string): string[] {
    const isLinked = (peer: string) => this.gate.linkTo(peer) !== undefined;
    const { site } = this.#options.self();
    // one that has just joined may be a member before the roster knows of it
    const members = this.members().map(({ identity }) => identity).filter((node) => !isCloud(node))
      .sort((a, b) => Number(b.site === site) - Number(a.site === site));
    const best = [...this.roster.mates(job), ...members.map(({ peerId }) => peerId)];
    return [...new Set(best)].filter(isLinked);
  }

  /**
   * The nodes that may hold what another one accepts, the likeliest first: those that it should be connected to. Those
   * that seem to be away come last: this node may be wrong about them, and they may have been there.
   */
  likelyHolders(author: string): string[] {
    const self = this.#options.self();
    const candidates = [self, ...this.roster.others()]
      .filter((node) => node.peerId !== author && !isCloud(node))
      .map(({ peerId, site }) => ({ peer: peerId, site, always: false }));
    const its = new Topology(author, this.#options.ledger.identity(author)?.site ?? self.site);
    const connected = this.members().map(({ identity }) => identity)
      .filter((node) => !isCloud(node)).map(({ peerId }) => peerId);
    const present = candidates.filter(({ peer }) => !this.discovery.isAway(peer));
    const nearOf = (some: typeof candidates) => [...its.neighbours(some), ...its.nearest(some)];
    // one that could not be reached may be back, and nothing but a call dials it: those come last
    const likely = [self.peerId, ...nearOf(present), ...connected, ...nearOf(candidates)];
    return [...new Set(likely)].filter((peer) => peer !== author);
  }

  /** The super nodes of this node's site, as this node sees it. */
  supers(): NodeIdentity[] {
    return this.roster.supers(this.#options.self().site, (peer) => this.discovery.isAway(peer));
  }

  /**
   * A link to a peer. Where relays would lead to it and are off the direct way is tried all the same: for long where
   * nothing says that there is none, and else in the background after a moment.
   */
  async #reach(peer: string, signal: AbortSignal): Promise<Link> {
    const off = this.gate.linkTo(peer) === undefined ? this.#relayIsOff(peer) : undefined;
    if (off === undefined) return await this.discovery.reach(peer, signal);
    try {
      return await this.discovery.reach(peer, signal, this.discovery.isBlocked(peer) ? offDial_ms : Infinity);
    } catch {
      throw off;
    }
  }

  /** Why a peer is out of reach: by what was decided for a site, where relays are all that leads to the peer's. */
  #relayIsOff(peer: string): InkmeshError | undefined {
    const { self, ledger, transport } = this.#options;
    const other = ledger.identity(peer);
    if (other === undefined || !this.roster.others().some(({ roles }) => roles.includes('relay'))) {
      return undefined;
    }
    const reason = scopeRefusal(self(), other, true, (site) => policyOf(ledger, site));
    const isDirect = (link: Link) =>
      link.relay === null && this.gate.member(link.peer)?.identity.site === other.site;
    if (reason === undefined || transport.links().some(isDirect)) return undefined;
    return new InkmeshError('unavailable', reason, { peer, relay: 'off' });
  }

  #tick(): void {
    this.discovery.tick();
    this.#relay.reserve();
  }

  /** The preferred neighbours, and for those of them that are away the next best. */
  #wantedPeers(): string[] {
    const now_ms = this.#options.clock.monotonic_ms();
    if (this.#wanted.until_ms > now_ms) return this.#wanted.peers;
    const self = this.#options.self();
    const isFront = (node: NodeIdentity) => node.roles.includes('front') && node.site === self.site;
    const candidates = this.roster.others().filter(({ peerId }) =>
      this.#mayDial(peerId, false) || this.#mayDial(peerId, true)
    ).map((node) => ({
      peer: node.peerId,
      site: node.site,
      always: node.roles.includes('relay') || isCloud(node) || (isFront(self) && isFront(node)),
    }));
    const present = candidates.filter(({ peer }) => !this.discovery.isAway(peer));
    const peers = [
      ...new Set([...this.#topology.neighbours(present), ...this.#topology.neighbours(candidates)]),
    ];
    this.#wanted = { peers, until_ms: now_ms + wantedLife_ms };
    return peers;
  }

  #mayDial(peer: string, relayed: boolean): boolean {
    const { self, ledger } = this.#options;
    const identity = ledger.identity(peer);
    if (identity === undefined) return true;
    return revokedSince(ledger, 'node', peer) === undefined &&
      scopeRefusal(self(), identity, relayed, (site) => this.#policy(site)) === undefined;
  }

  /** Ends what this node has opened, does not want, and has not used for a while. */
  #prune(): void {
    const now_ms = this.#options.clock.monotonic_ms();
    const wanted = new Set(this.#wantedPeers());
    for (const link of this.#options.transport.links()) {
      const kept = link.direction === 'inbound' || wanted.has(link.peer) || link.channels > 0 ||
        this.gate.member(link.peer) === undefined;
      if (kept) this.#idle.delete(link);
      else if (!this.#idle.has(link)) this.#idle.set(link, now_ms);
      else if (now_ms - (this.#idle.get(link) ?? now_ms) > idleLink_ms) link.close();
    }
  }

  #heard(fact: Fact): void {
    const review = () => {
      this.#wanted.until_ms = -Infinity;
      this.gate.review();
      this.#relay.review();
    };
    if (fact.kind === revokedKind.name) review();
    if (fact.kind === presenceKind.name) this.discovery.moved(fact.subject);
    if (fact.kind === nodeKind.name) {
      this.gate.renewed(fact.subject, this.#options.ledger.identity(fact.subject));
    }
    if (fact.kind !== siteKind.name) return;
    // the fact goes on to the other sites over the very links that it closes
    const { ledger, clock } = this.#options;
    const before = ledger.about(siteKind.name, fact.subject).filter((other) => other !== fact).at(-1);
    if (!this.#former.has(fact.subject)) {
      this.#former.set(fact.subject, before === undefined ? defaultPolicy : before.body as SitePolicy);
    }
    clock.after(circuitGrace_ms, () => this.#relay.review());
    clock.after(scopeGrace_ms, () => {
      this.#former.delete(fact.subject);
      review();
    });
  }

  #policy(site: string): SitePolicy {
    return this.#former.get(site) ?? policyOf(this.#options.ledger, site);
  }
}

function refusal(
  self: NodeIdentity,
  other: NodeIdentity,
  link: Link,
  ledger: FactLedger,
  policies: Policies,
): string | undefined {
  if (revokedSince(ledger, 'node', other.peerId) !== undefined) return 'this node is revoked';
  return scopeRefusal(self, other, link.relay !== null, policies);
}
