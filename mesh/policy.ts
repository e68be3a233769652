/** What an organisation has decided for each of its sites: signed facts of registrars, of which the latest counts. */
import * as v from 'valibot';
import { integer } from './codec.ts';
import { type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import { maxRetention_ms, minRetention_ms } from './limits.ts';

const siteBody = v.strictObject({
  /** whether other sites' nodes may come through a relay */
  relay: v.boolean(),
  /** `organisation`: talks to every site's nodes; `site`: to its own, and through relays */
  mesh: v.picklist(['organisation', 'site']),
  /** how long a job is held */
  retention_ms: integer(minRetention_ms, maxRetention_ms),
  /** whether jobs are taken that two machines, or one, keep */
  degraded: v.picklist(['refuse', 'accept']),
  /** whether credentials that were made on a cloud node's pages are taken; they are unless it says so */
  cloud: v.optional(v.picklist(['refuse', 'accept'])),
});
export type SitePolicy = v.InferOutput<typeof siteBody>;

/** Its subject is the name of the site. */
export const siteKind: Kind<typeof siteBody> = { name: 'site', body: siteBody, check: registrarOnly };

/** What holds for a site about which nothing has been decided. */
export const defaultPolicy: SitePolicy = {
  relay: false,
  mesh: 'organisation',
  retention_ms: 8 * 3600_000,
  degraded: 'refuse',
};

export function policyOf(known: KnownFacts, site: string): SitePolicy {
  const fact = known.latest(siteKind.name, site);
  return fact === undefined ? defaultPolicy : fact.body as SitePolicy;
}

/** The longest that jobs of a site may have been held, by anything that was ever decided for it. */
export function longestRetention(known: Pick<FactLedger, 'about'>, site: string): number {
  const decided = known.about(siteKind.name, site).map((fact) => (fact.body as SitePolicy).retention_ms);
  return Math.max(defaultPolicy.retention_ms, ...decided);
}
