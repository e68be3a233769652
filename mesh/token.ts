/**
 * Join tokens (for a machine) and invitations (for a person), as one printable string that survives mail, a terminal
 * and a QR code:
 *
 *     "ink1" || "n" or "u" || base64url(cbor || checksum)
 *
 * `cbor` is the deterministic array [root, secret, site, expires, addresses], with the user's name as a sixth in an
 * invitation. `checksum` is the first 4 bytes of SHA-256 over everything before it, prefix included: it finds a token
 * that was cut off or mistyped, and proves nothing.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import * as v from 'valibot';
import { bytes, check, decode, encode, integer } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { siteName, userName } from './names.ts';

const prefix = 'ink1';
const checksumBytes = 4;
const newSecretBytes = 16;

/** Characters of a token. */
export const maxTokenChars = 4096;

export interface JoinToken {
  readonly kind: 'node' | 'user';
  /** SHA-256 of the organisation's root certificate: 32 bytes */
  readonly root: Uint8Array;
  /** 16 to 32 bytes, known to who redeems the token; the registrar keeps only its hash */
  readonly secret: Uint8Array;
  readonly site: string;
  /** milliseconds since the epoch */
  readonly expires: number;
  /** multiaddrs or `host:port` of registrars, at most 8 of at most 256 characters; none means mDNS alone */
  readonly addresses: readonly string[];
  /** whose device redeems it; in an invitation of a user, and only there */
  readonly user?: string;
}

const address = v.pipe(
  v.string(),
  v.regex(/^[\x21-\x7e]{1,256}$/, 'expected an address of up to 256 ASCII characters without space'),
);
const common = [
  bytes(32, 32),
  bytes(16, 32),
  siteName,
  integer(0, Number.MAX_SAFE_INTEGER),
  v.pipe(v.array(address), v.maxLength(8)),
] as const;
const nodeFields = v.strictTuple([...common]);
const userFields = v.strictTuple([...common, userName]);

/** @throws InkmeshError `bad-request` if a field is out of bounds, or there is a user in a node's token */
export function formatToken(token: JoinToken): string {
  const { kind, root, secret, site, expires, addresses, user } = token;
  const fields = [root, secret, site, expires, addresses];
  const value = kind === 'node'
    ? check(nodeFields, user === undefined ? fields : [...fields, user])
    : check(userFields, [...fields, user]);
  const head = prefix + kind.charAt(0);
  const body = encode(value);
  const whole = new Uint8Array([...body, ...checksum(head, body)]);
  return head + whole.toBase64({ alphabet: 'base64url', omitPadding: true });
}

/**
 * Reads a token of at most 4096 characters; white space in it, as mail puts there, is passed over. Whether it has
 * expired is the caller's to judge.
 * @throws InkmeshError `bad-request` saying what to do about it
 */
export function parseToken(given: string): JoinToken {
  if (given.length > maxTokenChars) throw new InkmeshError('bad-request', 'this is too long for a token');
  const text = given.replace(/\s+/g, '');
  const [, kind, base64url] = /^ink1([nu])(.*)$/.exec(text) ?? [];
  if (kind === undefined || base64url === undefined) {
    throw new InkmeshError(
      'bad-request',
      `this is not a token: a token begins with ${prefix}n or ${prefix}u`,
    );
  }
  const whole = fromBase64url(base64url);
  const body = whole.subarray(0, -checksumBytes);
  if (checksum(prefix + kind, body).toHex() !== whole.subarray(-checksumBytes).toHex()) {
    throw new InkmeshError('bad-request', 'the token is incomplete or mistyped: copy all of it again');
  }
  const token = kind === 'n' ? nodeToken(body) : userToken(body);
  if (formatToken(token) !== text) {
    throw new InkmeshError('bad-request', 'the token is not in its one true form');
  }
  return token;
}

/** 128 random bits. */
export function newSecret(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(newSecretBytes));
}

/** SHA-256 in hexadecimal: what a registrar keeps of a secret. The secret is random, so that needs no salt. */
export function hashSecret(secret: Uint8Array): string {
  return sha256(secret).toHex();
}

function nodeToken(body: Uint8Array): JoinToken {
  const [root, secret, site, expires, addresses] = decode(nodeFields, body);
  return { kind: 'node', root, secret, site, expires, addresses };
}

function userToken(body: Uint8Array): JoinToken {
  const [root, secret, site, expires, addresses, user] = decode(userFields, body);
  return { kind: 'user', root, secret, site, expires, addresses, user };
}

function checksum(head: string, body: Uint8Array): Uint8Array {
  return sha256(new Uint8Array([...new TextEncoder().encode(head), ...body])).subarray(0, checksumBytes);
}

function fromBase64url(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text, { alphabet: 'base64url' });
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the token is mistyped: copy all of it again', {}, { cause });
  }
}
