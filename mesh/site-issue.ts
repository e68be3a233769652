/**
 * What a registrar does for the names of sites (`site-key.ts`): makes the key and certificate when a site has its first
 * front node, seals the key for further ones, renews the certificate in time for the same key, and makes another key
 * when one that has had it is shut out.
 */
import { endOf, generateKeys, issueTls } from './authority.ts';
import type { NodeIdentity } from './certificate.ts';
import { asInkmeshError } from './errors.ts';
import { directoryDoc, type Fact } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import {
  maxFrontNodes,
  maxKeyRegistrars,
  renewLook_ms,
  siteKeyDelay_ms,
  siteKeyWaitMax_ms,
} from './limits.ts';
import { siteHosts } from './names.ts';
import { nodeKind } from './node-fact.ts';
import type { Clock, Log } from './ports.ts';
import { isDue } from './renew.ts';
import { revokedKind, revokedSince } from './revocation.ts';
import type { Self } from './self.ts';
import {
  openSiteKey,
  sealSiteKey,
  type SiteFacts,
  type SiteKeyBody,
  siteKeyKind,
  siteKeyOf,
} from './site-key.ts';

/** What a registrar has to do about a site, and whom the key is for then. */
export interface SiteTask {
  /** `seal`: the same key and certificate for more; `renew`: the same key; `make`: another key */
  readonly what: 'seal' | 'renew' | 'make';
  /** age recipients */
  readonly recipients: readonly string[];
}

/**
 * @param own age recipient of the registrar that asks
 * @returns undefined when there is nothing to do, or only another registrar can do it
 */
export function siteTask(known: SiteFacts, site: string, own: string, now_ms: number): SiteTask | undefined {
  const standing = known.nodes().filter(({ peerId }) => revokedSince(known, 'node', peerId) === undefined);
  const sealsOf = (nodes: readonly NodeIdentity[]) =>
    nodes.flatMap(({ peerId }) => known.sealOf(peerId) ?? []);
  const fronts = sealsOf(standing.filter((node) => node.site === site && node.roles.includes('front')));
  const registrars = sealsOf(standing.filter(({ roles }) => roles.includes('registrar')));
  if (fronts.length === 0) return undefined;
  const current = siteKeyOf(known, site);
  const kept = new Set(current?.for);
  const first = (seals: readonly string[], most: number) =>
    [...seals].sort((a, b) => Number(kept.has(b)) - Number(kept.has(a)) || (a < b ? -1 : 1)).slice(0, most);
  const others = registrars.filter((seal) => seal !== own);
  const recipients = [
    ...new Set([own, ...first(fronts, maxFrontNodes), ...first(others, maxKeyRegistrars - 1)]),
  ];
  if (current === undefined) return { what: 'make', recipients };
  const mayHave = new Set([...fronts, ...registrars]);
  if (current.for.some((seal) => !mayHave.has(seal))) return { what: 'make', recipients };
  const notAfter = endOf(current.leaf);
  if (!kept.has(own)) {
    // whoever can open it keeps the key that clients know; until it is about to lapse
    const waits = notAfter - now_ms > siteKeyWaitMax_ms && others.some((seal) => kept.has(seal));
    return waits ? undefined : { what: 'make', recipients };
  }
  if (isDue({ notAfter }, now_ms)) return { what: 'renew', recipients };
  return recipients.some((seal) => !kept.has(seal)) ? { what: 'seal', recipients } : undefined;
}

export interface SiteIssuerOptions {
  self: Self;
  sealKey: string;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
}

export class SiteIssuer {
  readonly #options: SiteIssuerOptions;
  #callOff: () => void;
  #hurried = false;
  #closed = false;

  constructor(options: SiteIssuerOptions) {
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

  #concerns({ kind, subject }: Fact): boolean {
    const { self, ledger } = this.#options;
    if (self.authority === undefined) return false;
    if (kind === revokedKind.name || kind === siteKeyKind.name) return true;
    const roles = kind === nodeKind.name ? ledger.identity(subject)?.roles ?? [] : [];
    return roles.includes('front') || roles.includes('registrar');
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
    const { ledger, self, clock } = this.#options;
    this.#hurried = false;
    const own = self.authority === undefined ? undefined : ledger.sealOf(self.identity.peerId);
    const fronts = own === undefined ? [] : ledger.nodes().filter(({ roles }) => roles.includes('front'));
    for (const site of new Set(fronts.map((front) => front.site))) {
      if (own !== undefined) await this.#tend(site, own);
    }
    if (this.#closed || this.#hurried) return;
    this.#callOff = clock.after(renewLook_ms, () => void this.#look());
  }

  async #tend(site: string, own: string): Promise<void> {
    const { ledger, clock, log } = this.#options;
    try {
      const task = siteTask(ledger, site, own, clock.wall_ms());
      if (task !== undefined && !this.#closed) await this.#do(site, task);
    } catch (thrown) {
      const reason = asInkmeshError(thrown).message;
      log('warn', 'the key of a site’s name could not be made', { site, reason });
    }
  }

  async #do(site: string, { what, recipients }: SiteTask): Promise<void> {
    const { ledger, self, sealKey, clock, log } = this.#options;
    const { authority } = self;
    if (authority === undefined) return;
    const current = siteKeyOf(ledger, site);
    const keys = what === 'make' || current === undefined
      ? await generateKeys()
      : await openSiteKey(sealKey, current);
    const leaf = what === 'seal' && current !== undefined
      ? current.leaf
      : await issueTls(authority, { ...subjectOf(site), publicKey: keys.publicKey }, clock.wall_ms());
    const body: SiteKeyBody = await sealSiteKey(leaf, keys.privateKey, recipients);
    await ledger.state(siteKeyKind, () => directoryDoc, site, body);
    log('info', 'the key of a site’s name was given to its front nodes', { site, what });
  }
}

function subjectOf(site: string) {
  const hosts = siteHosts(site);
  return { commonName: site, dnsNames: [hosts.dns, hosts.mdns], addresses: [] };
}
