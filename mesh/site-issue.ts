/**
 * What a registrar does for the names of sites (`site-key.ts`): makes the key and certificate when a site has its first
 * front node, seals the key for further ones, renews the certificate in time for the same key, and makes another key
 * when one that has had it is shut out.
 */
import { endOf, generateKeys, issueTls } from './authority.ts';
import { directoryDoc } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import { siteKeyWaitMax_ms } from './limits.ts';
import { siteHosts } from './names.ts';
import type { Clock, Log } from './ports.ts';
import { isDue } from './renew.ts';
import type { Self } from './self.ts';
import {
  openSiteKey,
  sealSiteKey,
  type SiteFacts,
  type SiteKeyBody,
  siteKeyKind,
  siteKeyOf,
} from './site-key.ts';
import { recipientsOf, Tending } from './tending.ts';

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
  const current = siteKeyOf(known, site);
  const kept = new Set(current?.for);
  const { users, others, all: recipients, leaked } = recipientsOf(known, site, 'front', own, kept);
  if (users.length === 0) return undefined;
  if (current === undefined || leaked) return { what: 'make', recipients };
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
  readonly #tending: Tending;

  constructor(options: SiteIssuerOptions) {
    this.#options = options;
    this.#tending = new Tending({
      ...{ ...options, kind: siteKeyKind.name, role: 'front' },
      failure: 'the key of a site’s name could not be made',
      tend: (site, own, known) => this.#tend(site, own, known),
    });
  }

  close(): void {
    this.#tending.close();
  }

  async #tend(site: string, own: string, known: SiteFacts): Promise<void> {
    const task = siteTask(known, site, own, this.#options.clock.wall_ms());
    if (task !== undefined) await this.#do(site, task);
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
