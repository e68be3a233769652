/** This node's standing in its organisation: its certificate and its renewal, and what it does for others as a registrar. */
import { isDeepStrictEqual } from 'node:util';
import { appoint, serveAppointment } from './appoint.ts';
import type { Authority, AuthorityFile } from './authority.ts';
import type { NodeIdentity, Trust } from './certificate.ts';
import { isCloud } from './cloud.ts';
import { check } from './codec.ts';
import {
  type EnrolBrowser,
  enrolBrowser,
  enrolBrowserMethod,
  enrolBrowserRequest,
  type Enrolment,
  serveEnrolment,
} from './enrol.ts';
import { asInkmeshError, type Code, InkmeshError } from './errors.ts';
import type { NodeCertificates } from './issue.ts';
import type { FactLedger } from './ledger.ts';
import { enrolAnswer_ms, maxRegistrarsAsked, maxSourcesAsked, sourceAnswer_ms } from './limits.ts';
import { nameKind, nameTaken } from './node-names.ts';
import type { Clock, InviteTable, Log } from './ports.ts';
import { Renewal } from './renewal.ts';
import {
  type DeviceCertificates,
  mustIssue,
  renewDeviceMethod,
  renewedDevice,
  renewPurpose,
} from './renew.ts';
import { serveRenewal } from './renew.ts';
import { verifyRequest } from './request.ts';
import { revokedSince } from './revocation.ts';
import type { Rpc } from './rpc.ts';
import { Self } from './self.ts';
import { SiteIssuer } from './site-issue.ts';
import { SiteKey } from './site-key.ts';
import { type SourceId, sourceMethod, type Standing, standingOf } from './source.ts';
import { deadline } from './timing.ts';
import { Turns } from './turns.ts';

/** Keeps what a node becomes; resolves when it is durable. */
export interface Keeper {
  /** new certificates for the same keys, which are served from then on */
  certificates(given: NodeCertificates): Promise<void>;
  /** the issuers of the organisation: this node becomes a registrar */
  authority(file: AuthorityFile): Promise<void>;
}

export interface MembershipOptions {
  identity: NodeIdentity;
  issuers: Uint8Array[];
  authority: Authority | undefined;
  sealKey: string;
  trust: Trust;
  keeper: Keeper;
  rpc: Rpc;
  ledger: FactLedger;
  invites: InviteTable;
  clock: Clock;
  log: Log;
  /** agreed with the peers */
  now_ms(): number;
  /** PeerIds of members */
  connected(): string[];
  /** IP addresses of this node */
  ownHosts(): string[];
  /** tries to connect to a node that is just enrolling */
  reaches(peer: string, addresses: readonly string[]): Promise<boolean>;
  /** asks registrars for new certificates outside of the mesh */
  askLapsed(): Promise<NodeCertificates>;
}

export class Membership {
  readonly self: Self;
  readonly siteKey: SiteKey;
  readonly #options: MembershipOptions;
  readonly #renewal: Renewal;
  readonly #asking = new Turns(maxSourcesAsked);
  readonly #siteIssuer: SiteIssuer;

  private constructor(options: MembershipOptions) {
    const { identity, issuers, authority, trust, clock, keeper, ledger } = options;
    this.#options = options;
    this.self = new Self({
      ...{ identity, issuers, authority, trust, clock },
      keep: (given) => keeper.certificates(given),
      changed: (...now) => ledger.useCertificate(...now),
    });
    this.#renewal = new Renewal({ ...options, self: this.self, registrars: () => this.#registrars() });
    this.siteKey = new SiteKey({ ...options, self: this.self });
    this.#siteIssuer = new SiteIssuer({ ...options, self: this.self });
  }

  static async open(options: MembershipOptions): Promise<Membership> {
    const membership = new Membership(options);
    const { self } = membership;
    const { keeper, ledger } = options;
    await serveEnrolment({ ...options, self });
    await serveRenewal({ ...options, authority: () => self.authority });
    await serveAppointment({ ...options, self, keep: (file) => keeper.authority(file) });
    await options.rpc.handle(sourceMethod, ({ request }) => {
      if (!isCloud(self.identity)) mustIssue(self.authority);
      return Promise.resolve({ reply: standingOf(ledger, request, options.now_ms()) });
    });
    ledger.onFact((fact) => {
      if (fact.kind === nameKind.name && fact.subject === self.identity.name) membership.#lookAtName();
    });
    membership.#lookAtName();
    await membership.siteKey.open();
    return membership;
  }

  close(): void {
    this.#renewal.close();
    this.#siteIssuer.close();
  }

  /** Whether this node enrols others. */
  isRegistrar(): boolean {
    return this.self.authority !== undefined;
  }

  /** Makes a connected node a registrar too. @throws InkmeshError on a node that is none, or what that node said */
  async appoint(peer: string): Promise<void> {
    const { rpc, ledger, clock } = this.#options;
    const node = ledger.identity(peer);
    if (node === undefined) throw new InkmeshError('not-found', 'this node is not known');
    await appoint(rpc, mustIssue(this.self.authority), ledger, node, ledger.sealOf(peer), clock.wall_ms());
  }

  /**
   * Has the certificate of a device renewed, here or by another registrar.
   * @param proof `renewPurpose`, signed by the device for this node
   * @throws InkmeshError `unavailable` when no registrar is reached
   */
  async renewDevice(proof: string): Promise<DeviceCertificates> {
    const { rpc, trust, ledger, clock, now_ms } = this.#options;
    const { authority, identity } = this.self;
    if (authority !== undefined) {
      const expected = { ...renewPurpose, audience: identity.peerId };
      const { by } = await verifyRequest(trust, proof, expected, now_ms());
      return await renewedDevice(authority, ledger, by, clock.wall_ms());
    }
    let failure: unknown = new InkmeshError('unavailable', 'no registrar is known');
    for (const peer of this.#registrars()) {
      try {
        return (await rpc.call(peer, renewDeviceMethod, { proof })).reply;
      } catch (thrown) {
        failure = thrown;
      }
    }
    throw failure;
  }

  /**
   * Has a browser enrolled, here or by the registrar that knows its invitation.
   * @throws InkmeshError `unauthenticated` when none knows it; `unavailable` when one that may was not reached
   */
  async enrolBrowser(browser: EnrolBrowser): Promise<Enrolment> {
    const { rpc } = this.#options;
    const asked = check(enrolBrowserRequest, browser);
    let unknown: unknown;
    if (this.isRegistrar()) {
      try {
        return await enrolBrowser({ ...this.#options, self: this.self }, asked, this.self.identity.peerId);
      } catch (thrown) {
        if (!isUnknown(thrown)) throw thrown;
        unknown = thrown;
      }
    }
    let isAway = false;
    for (const peer of this.#registrars()) {
      try {
        return (await rpc.call(peer, enrolBrowserMethod, asked, { timeout_ms: enrolAnswer_ms })).reply;
      } catch (thrown) {
        if (!isUnknown(thrown)) throw thrown;
        if (asInkmeshError(thrown).code === 'unauthenticated') unknown = thrown;
        else isAway = true;
      }
    }
    // that others do not know an invitation says nothing: it is known to the registrar that gave it out
    if (unknown !== undefined && !isAway) throw unknown;
    throw new InkmeshError(
      'unavailable',
      'a registrar that may know this cannot be reached: try again later',
    );
  }

  /**
   * How a registrar says that a source stands: this node itself, or the first of some others that knows it. Where none
   * answers, a cloud node, which has heard of what they state, may confirm what is known here; it is believed no more.
   * @throws InkmeshError `unavailable` when none does within `sourceAnswer_ms`
   */
  async standingOf(source: SourceId): Promise<Standing> {
    const { rpc, ledger, clock, now_ms } = this.#options;
    if (this.isRegistrar()) return standingOf(ledger, source, now_ms());
    const limit = deadline(clock, sourceAnswer_ms);
    let unknown: Standing | undefined;
    const { signal } = limit;
    const ask = async (peer: string) => {
      const call = () => rpc.call(peer, sourceMethod, source, { signal });
      const { reply } = await this.#asking.take(peer, call);
      if (reply.standing !== 'unknown') return reply;
      unknown = reply;
      throw new InkmeshError('not-found', 'this registrar does not know the source');
    };
    const known = standingOf(ledger, source, now_ms());
    const confirm = async (peer: string) => {
      const { reply } = await rpc.call(peer, sourceMethod, source, { signal });
      if (isDeepStrictEqual(reply, known)) return reply;
      throw new InkmeshError('conflict', 'a cloud node says something else than is known here');
    };
    const confirmed = Promise.any(this.#clouds().map(confirm));
    confirmed.catch(() => {});
    try {
      return await Promise.any(this.#registrars().slice(0, maxRegistrarsAsked).map(ask));
    } catch (cause) {
      if (unknown !== undefined) return unknown;
      const by = await confirmed.catch(() => undefined);
      if (by !== undefined) return by;
      throw new InkmeshError('unavailable', 'no registrar answers', {}, { cause });
    } finally {
      limit.done();
    }
  }

  /** Whether another node has this one's name by the earlier reservation. */
  nameIsTaken(): boolean {
    const { name, peerId } = this.self.identity;
    return nameTaken(this.#options.ledger, name, peerId);
  }

  #lookAtName(): void {
    if (!this.nameIsTaken()) return;
    const { name } = this.self.identity;
    this.#options.log('warn', 'another node has this name: join again with another one', { name });
  }

  /** Cloud nodes that are connected. */
  #clouds(): string[] {
    const { ledger, connected } = this.#options;
    return connected().filter((peer) => isCloud(ledger.identity(peer) ?? { roles: [] }));
  }

  /** The connected ones first. */
  #registrars(): string[] {
    const { ledger, connected } = this.#options;
    const near = new Set(connected());
    return ledger.nodes()
      .filter((node) => node.roles.includes('registrar') && node.peerId !== this.self.identity.peerId)
      .map((node) => node.peerId)
      .filter((peer) => revokedSince(ledger, 'node', peer) === undefined)
      .sort((a, b) => Number(near.has(b)) - Number(near.has(a)));
  }
}

/** What does not say that an invitation is no good: it may be another registrar's. */
const anotherMayKnow: ReadonlySet<Code> = new Set(['unavailable', 'timeout', 'unauthenticated']);

const isUnknown = (thrown: unknown): boolean => anotherMayKnow.has(asInkmeshError(thrown).code);
