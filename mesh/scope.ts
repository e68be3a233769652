/**
 * Which nodes of one organisation may talk to each other, and how. The one rule of site scope and of relaying: the gate
 * asks it at hello, discovery before it dials, a relay before it lets anything pass.
 */
import { isCloud } from './cloud.ts';
import type { NodeIdentity } from './certificate.ts';
import type { SitePolicy } from './policy.ts';

type Place = Pick<NodeIdentity, 'site' | 'roles'>;

/** What is decided for a site. */
export type Policies = (site: string) => SitePolicy;

/**
 * Why two nodes may not talk, in one sentence for the log; undefined when they may.
 * @param relayed whether there is a relay between them
 */
export function scopeRefusal(
  one: Place,
  other: Place,
  relayed: boolean,
  policies: Policies,
): string | undefined {
  if (one.site === other.site) return undefined;
  // facts go by the cloud whatever is decided, or nobody would hear of the next decision
  if (!relayed && (isCloud(one) || isCloud(other))) return undefined;
  // a relay is talked to directly, by the nodes of the sites that use it
  const served = [one, other].filter(({ roles }) => !roles.includes('relay'));
  const off = served.find(({ site }) => !policies(site).relay);
  if (relayed) {
    return off === undefined ? undefined : `relay is off for site ${off.site}: ask your operator`;
  }
  if (served.length < 2 && off === undefined) return undefined;
  const closed = [one, other].find(({ site }) => policies(site).mesh === 'site');
  return closed === undefined ? undefined : `site ${closed.site} talks to its own nodes only`;
}
