/**
 * What is different about cloud nodes. One keeps no documents and answers none of a holder's methods; and whoever serves
 * pages can have them sign what it likes, so credentials that have enrolled on a cloud node's pages carry its role, and a
 * site may refuse them.
 */
import { InkmeshError } from './errors.ts';
import type { KnownFacts } from './facts.ts';
import type { Role } from './names.ts';
import { policyOf } from './policy.ts';
import { deviceOf } from './submit-token.ts';

/** Whether a node is a cloud node, or a device has enrolled at one. */
export const isCloud = ({ roles }: { readonly roles: readonly Role[] }): boolean => roles.includes('cloud');

/** @throws InkmeshError `forbidden` for a device that has enrolled at a cloud node, where a site takes none of these */
export function refuseCloud(
  known: KnownFacts,
  site: string,
  device: { readonly roles: readonly Role[] },
): void {
  if (!isCloud(device) || policyOf(known, site).cloud !== 'refuse') return;
  throw new InkmeshError(
    'forbidden',
    `site ${site} takes no credentials that were made on the cloud’s pages: use its own`,
  );
}

/**
 * @param token its SHA-256
 * @throws InkmeshError `forbidden` for a submit token that was made at a cloud node, and for one of which nothing is known
 *   here yet, where a site takes none of these
 */
export function refuseCloudToken(known: KnownFacts, site: string, token: Uint8Array): void {
  if (policyOf(known, site).cloud !== 'refuse') return;
  const owner = deviceOf(known, token);
  if (owner !== undefined && owner.cloud !== true) return;
  throw new InkmeshError(
    'forbidden',
    `site ${site} takes no printer addresses that were made on the cloud’s pages: use its own`,
  );
}
