/**
 * Keys that a registrar makes and seals for certain nodes of each site: whom they are for, and when it looks. Several
 * registrars look one after the other, so that one of them does what is to be done.
 */
import type { NodeIdentity } from './certificate.ts';
import { asInkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import { maxKeyRegistrars, maxSealedNodes, renewLook_ms, siteKeyDelay_ms } from './limits.ts';
import type { Role } from './names.ts';
import { nodeKind } from './node-fact.ts';
import type { Clock, Log } from './ports.ts';
import { revokedKind, revokedSince } from './revocation.ts';
import { canSealFor } from './seal.ts';
import type { Self } from './self.ts';
import type { SiteFacts } from './site-key.ts';

/** Whom a key of a site is for: age recipients. */
export interface Recipients {
  /** nodes of the site that need it */
  readonly users: readonly string[];
  /** registrars but for the one that asks */
  readonly others: readonly string[];
  /** those that it is to be sealed for */
  readonly all: readonly string[];
  /** whether somebody may have it who may not any more */
  readonly leaked: boolean;
}

/**
 * @param role of the nodes that need it
 * @param own age recipient of the registrar that asks
 * @param kept whom it is sealed for now: these come first
 */
export function recipientsOf(
  known: SiteFacts,
  site: string,
  role: Role,
  own: string,
  kept: ReadonlySet<string>,
): Recipients {
  const standing = known.nodes().filter(({ peerId }) => revokedSince(known, 'node', peerId) === undefined);
  const sealsOf = (nodes: readonly NodeIdentity[]) =>
    nodes.flatMap(({ peerId }) => known.sealOf(peerId) ?? []);
  const users = sealsOf(standing.filter((node) => node.site === site && node.roles.includes(role)));
  const registrars = sealsOf(standing.filter(({ roles }) => roles.includes('registrar')));
  const first = (seals: readonly string[], most: number) =>
    [...seals].sort((a, b) => Number(kept.has(b)) - Number(kept.has(a)) || (a < b ? -1 : 1)).slice(0, most);
  const others = registrars.filter((seal) => seal !== own);
  const all = [...new Set([own, ...first(users, maxSealedNodes), ...first(others, maxKeyRegistrars - 1)])];
  const mayHave = new Set([...users, ...registrars]);
  return { users, others, all, leaked: [...kept].some((seal) => !mayHave.has(seal)) };
}

export interface TendingOptions {
  self: Self;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
  /** kind of fact that carries the key, and the role of the nodes that need it */
  kind: string;
  role: Role;
  /** what the log says when it cannot be done */
  failure: string;
  /**
   * Looks after one site.
   * @param own age recipient of this node
   * @param known without recipients that nothing can be sealed for
   */
  tend(site: string, own: string, known: SiteFacts): Promise<void>;
}

export class Tending {
  readonly #options: TendingOptions;
  #callOff: () => void;
  #tended: Promise<void> = Promise.resolve();
  /** whether something can be sealed for a recipient: a node may state any text as its own */
  readonly #isSound = new Map<string, boolean>();
  #hurried = false;
  #closed = false;

  constructor(options: TendingOptions) {
    this.#options = options;
    this.#callOff = options.clock.after(siteKeyDelay_ms, () => void this.#look());
    options.ledger.onFact((fact) => {
      if (this.#concerns(fact)) this.#hurry();
    });
  }

  close(): void {
    this.#closed = true;
    this.#callOff();
  }

  /**
   * Looks after every site that has a node with the role, or has had one, once at a time; nothing to do on a node that is
   * no registrar.
   */
  tendAll(): Promise<void> {
    return this.#tended = this.#tended.then(() => this.#tendAll());
  }

  async #tendAll(): Promise<void> {
    const { ledger, self, role, kind } = this.#options;
    const own = self.authority === undefined ? undefined : ledger.sealOf(self.identity.peerId);
    if (own === undefined) return;
    const nodes = ledger.nodes().filter(({ roles }) => roles.includes(role));
    const sites = [...nodes.map(({ site }) => site), ...ledger.all(kind).map(({ subject }) => subject)];
    await this.#lookAtRecipients();
    for (const site of new Set(sites)) await this.#tend(site, own);
  }

  async #lookAtRecipients(): Promise<void> {
    const { ledger, role, log } = this.#options;
    for (const { peerId, name, roles } of ledger.nodes()) {
      const seal = roles.includes(role) || roles.includes('registrar') ? ledger.sealOf(peerId) : undefined;
      if (seal === undefined || this.#isSound.has(seal)) continue;
      const isSound = await canSealFor(seal);
      this.#isSound.set(seal, isSound);
      if (!isSound) log('warn', 'nothing can be sealed for a node: revoke it', { node: name, peer: peerId });
    }
  }

  #known(): SiteFacts {
    const { ledger } = this.#options;
    return {
      latest: (kind, subject) => ledger.latest(kind, subject),
      first: (kind, subject) => ledger.first(kind, subject),
      about: (kind, subject) => ledger.about(kind, subject),
      identity: (peer) => ledger.identity(peer),
      nodes: () => ledger.nodes(),
      sealOf: (peer) => {
        const seal = ledger.sealOf(peer);
        return seal !== undefined && this.#isSound.get(seal) === true ? seal : undefined;
      },
    };
  }

  #concerns({ kind, subject }: Fact): boolean {
    const { self, ledger, role } = this.#options;
    if (self.authority === undefined) return false;
    if (kind === revokedKind.name || kind === this.#options.kind) return true;
    const roles = kind === nodeKind.name ? ledger.identity(subject)?.roles ?? [] : [];
    return roles.includes(role) || roles.includes('registrar');
  }

  /** Looks soon: several registrars one after the other, so that one of them does it. */
  #hurry(): void {
    if (this.#hurried || this.#closed) return;
    this.#hurried = true;
    this.#callOff();
    const { ledger, self, clock } = this.#options;
    const before = ledger.nodes().filter(({ peerId, roles }) =>
      roles.includes('registrar') && peerId < self.identity.peerId
    );
    this.#callOff = clock.after(siteKeyDelay_ms * (1 + before.length), () => void this.#look());
  }

  async #look(): Promise<void> {
    this.#hurried = false;
    await this.tendAll();
    if (this.#closed || this.#hurried) return;
    this.#callOff = this.#options.clock.after(renewLook_ms, () => void this.#look());
  }

  async #tend(site: string, own: string): Promise<void> {
    const { log, failure, tend } = this.#options;
    if (this.#closed) return;
    try {
      await tend(site, own, this.#known());
    } catch (thrown) {
      log('warn', failure, { site, reason: asInkmeshError(thrown).message });
    }
  }
}
