/** Who this node is right now: its certificate is renewed, and it may become a registrar, while it runs. */
import type { Authority } from './authority.ts';
import { type NodeIdentity, type Trust, verifyIdentity } from './certificate.ts';
import { InkmeshError } from './errors.ts';
import type { NodeCertificates } from './issue.ts';
import type { Clock } from './ports.ts';

export interface SelfOptions {
  identity: NodeIdentity;
  issuers: Uint8Array[];
  authority: Authority | undefined;
  trust: Trust;
  clock: Clock;
  /** keeps new certificates, durably, and serves TLS with them from then on */
  keep(certificates: NodeCertificates): Promise<void>;
  /** the mesh takes the new certificate into use */
  changed(identity: NodeIdentity, issuers: Uint8Array[]): Promise<void>;
}

export class Self {
  readonly #options: SelfOptions;
  #identity: NodeIdentity;
  #issuers: Uint8Array[];
  #authority: Authority | undefined;

  constructor(options: SelfOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#issuers = options.issuers;
    this.#authority = options.authority;
  }

  get identity(): NodeIdentity {
    return this.#identity;
  }

  get issuers(): Uint8Array[] {
    return this.#issuers;
  }

  /** What a registrar issues with; undefined on a node that is none. */
  get authority(): Authority | undefined {
    return this.#authority;
  }

  /**
   * The certificate that a registrar has given this node, checked and not yet in use.
   * @throws InkmeshError `unauthenticated` unless it is for this node: the same key, PeerId, name and site
   */
  async examine(given: NodeCertificates): Promise<NodeIdentity> {
    const { trust, clock } = this.#options;
    const identity = await verifyIdentity(trust, given.leaf, given.issuers, clock.wall_ms());
    return sameNode(this.#identity, identity);
  }

  /** From here on this node is what the certificate says. @throws InkmeshError when it can't be kept: nothing changes */
  async become(given: NodeCertificates, authority: Authority | undefined = this.#authority): Promise<void> {
    const identity = await this.examine(given);
    await this.#options.keep(given);
    this.#identity = identity;
    this.#issuers = given.issuers;
    this.#authority = authority;
    await this.#options.changed(identity, given.issuers);
  }
}

/** @throws InkmeshError `unauthenticated` unless the certificate is of the same node, whatever its roles */
export function sameNode(
  before: NodeIdentity,
  after: Awaited<ReturnType<typeof verifyIdentity>>,
): NodeIdentity {
  const same = after.kind === 'node' && after.peerId === before.peerId && after.name === before.name &&
    after.site === before.site;
  if (!same) throw new InkmeshError('unauthenticated', 'the new certificate is not of this node');
  return after;
}
