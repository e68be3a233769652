/**
 * The names that certificates, facts and messages carry, bounded and each in one alphabet, so that a name can be
 * put into a URN, a DNS label, a path or a log line as it is.
 */
import * as v from 'valibot';

const label = (what: string) =>
  v.pipe(
    v.string(),
    v.maxLength(63),
    v.regex(
      /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/,
      `expected the name of a ${what}: lower-case letters, digits and '-', as in a DNS label (RFC 1123)`,
    ),
  );

/** 1 to 63 characters: a DNS label in lower case (RFC 1123 section 2.1). */
export const siteName = label('site');

/** 1 to 63 characters: a DNS label in lower case (RFC 1123 section 2.1). */
export const nodeName = label('node');

/** 1 to 63 characters: a DNS label in lower case (RFC 1123 section 2.1). */
export const printerName = label('printer');

/** 1 to 64 characters of `A-Z a-z 0-9 . _ @ + -`, not beginning with a dot; an e-mail address fits. */
export const userName = v.pipe(
  v.string(),
  v.regex(
    /^(?!\.)[A-Za-z0-9._@+-]{1,64}$/,
    "expected the name of a user: up to 64 letters, digits and '._@+-', not beginning with '.'",
  ),
);

/** 1 to 64 UTF-16 units of printable text in Unicode NFC, without space at either end. */
export const organisationName = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(64),
  v.regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, 'expected printable text'),
  v.check((name) => name === name.trim(), 'expected no space at either end'),
  v.check((name) => name === name.normalize('NFC'), 'expected text in Unicode NFC'),
);

/** A libp2p PeerId of an Ed25519 key, as base58btc text (52 characters). */
export const peerId = v.pipe(
  v.string(),
  v.regex(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/, 'expected an Ed25519 PeerId'),
);

/** A random UUID (RFC 9562 section 5.4) in lower case. */
export const uuid = v.pipe(
  v.string(),
  v.regex(
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    'expected a version 4 UUID in lower case',
  ),
);

/** What `job-id.ts` makes: a UUID of version 8 (RFC 9562 section 5.8) in lower case. */
export const jobId = v.pipe(
  v.string(),
  v.regex(
    /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    'expected the id of a job, a version 8 UUID in lower case',
  ),
);

/** SHA-256 as 64 lower-case hexadecimal digits. */
export const fingerprint = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 of 64 lower-case hexadecimal digits'),
);

/**
 * What a registrar may let a node do (`admin`: what it may let a user do); a certificate lists them. A user's device with
 * the role `cloud` has enrolled on a page of a cloud node.
 */
export const roles = ['registrar', 'front', 'panel', 'relay', 'cloud', 'admin'] as const;

export type Role = typeof roles[number];

export const role = v.picklist(roles);

/** What the mDNS names of sites begin with: no node gets a certificate for such a name. */
export const siteHostPrefix = 'inkmesh-';

/** The host names of a site, each in lower case: one for an administrator's DNS, one for mDNS (one label, RFC 6762). */
export function siteHosts(site: string): { readonly dns: string; readonly mdns: string } {
  const mdns = `${siteHostPrefix}${site}`.slice(0, 63).replace(/-+$/, '');
  return { dns: `${site}.inkmesh.internal`, mdns: `${mdns}.local` };
}
