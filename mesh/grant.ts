/**
 * Grants: the owner's permission for one node to release or to cancel one job, signed with a user's credential and valid for two
 * minutes. Any holder can check one offline, for it brings the certificate along that the organisation's root vouches
 * for:
 *
 *     { certificate, issuers, payload, signature }      payload: the deterministic CBOR of a Grant
 *
 * A grant is known by its nonce. Its bytes are no name for it, as the certificates beside the payload may vary.
 */
import * as v from 'valibot';
import {
  maxCertificateBytes,
  maxIssuers,
  type NodeIdentity,
  type Trust,
  type UserIdentity,
  verifyIdentity,
} from './certificate.ts';
import { bytes, check, decode, encode, integer } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { claimSchema } from './lease.ts';
import { jobId, peerId, printerName } from './names.ts';
import { type Context, sign, signatureBytes, verify } from './signed.ts';

const maxOptionsBytes = 1024;
const maxConfirmed = 64;
const maxPayloadBytes = 16 * 1024;

/** Bytes of anything that a user, or a panel node for one, has signed, with its certificates. */
export const maxUserSignedBytes = maxPayloadBytes + (1 + maxIssuers) * maxCertificateBytes + 256;

/** Bytes of a nonce. */
export const nonceBytes = 16;

/** How long what a user signs is valid, and how far ahead of `now` it may be dated. */
const lifetime_ms = 120_000;
const lead_ms = 30_000;

/** What a grant and a voucher have in common. */
export const grantFields = {
  job: jobId,
  claimant: peerId,
  options: bytes(0, maxOptionsBytes),
  nonce: bytes(nonceBytes, nonceBytes),
  issued: integer(0, Number.MAX_SAFE_INTEGER),
  confirm: v.pipe(v.array(claimSchema), v.maxLength(maxConfirmed)),
};
const grantSchema = v.variant('action', [
  v.strictObject({ ...grantFields, action: v.literal('release'), target: printerName }),
  v.strictObject({ ...grantFields, action: v.literal('cancel'), target: v.literal('') }),
]);

export interface Grant {
  /** UUID */
  readonly job: string;
  readonly action: 'release' | 'cancel';
  /** PeerId of the node that is to do it: nobody else gets a share by this grant */
  readonly claimant: string;
  /** the printer of a release; empty to cancel */
  readonly target: string;
  /** what the mesh carries to the printer's side unread, at most 1024 bytes */
  readonly options: Uint8Array;
  /** 16 random bytes */
  readonly nonce: Uint8Array;
  /** milliseconds since the epoch */
  readonly issued: number;
  /** claims that the owner knows of and prints in spite of: at most 64, each PEERID/UUID */
  readonly confirm: readonly string[];
}

/** A user's device: its certificate and its private key. */
export interface Credential {
  readonly user: string;
  /** DER */
  readonly certificate: Uint8Array;
  /** DER, at most 4 */
  readonly issuers: readonly Uint8Array[];
  /** private, P-256 */
  readonly key: CryptoKey;
  readonly trust: Trust;
}

/** Signs a grant, with a fresh nonce, issued `now`. @throws InkmeshError `bad-request` if a field is out of bounds */
export function signGrant(
  credential: Credential,
  grant: Omit<Grant, 'nonce' | 'issued'>,
  now: number,
): Promise<Uint8Array> {
  return signWith(credential, 'inkmesh grant 1', check(grantSchema, { ...grant, ...fresh(now) }));
}

/**
 * Reads a grant and checks who gave it, and that `now` lies between 30 s before and 120 s after it was issued. Not
 * checked: that the device is not revoked, that the job is its user's, that the nonce is new.
 * @throws InkmeshError `bad-request` malformed; `unauthenticated` certificates or signature do not hold; `forbidden`
 * stale, of the future, or signed by a node
 */
export async function verifyGrant(
  trust: Trust,
  bytes: Uint8Array,
  now: number,
): Promise<{ grant: Grant; by: UserIdentity }> {
  const { by, value } = await verifySigned(trust, 'user', 'inkmesh grant 1', grantSchema, bytes, now);
  return { grant: value, by };
}

/** A nonce and the time, for something that is signed. @param now milliseconds since the epoch */
export function fresh(now: number): { nonce: Uint8Array; issued: number } {
  return { nonce: crypto.getRandomValues(new Uint8Array(nonceBytes)), issued: Math.floor(now) };
}

const userSigned = v.strictObject({
  certificate: bytes(1, maxCertificateBytes),
  issuers: v.pipe(v.array(bytes(1, maxCertificateBytes)), v.maxLength(maxIssuers)),
  payload: bytes(1, maxPayloadBytes),
  signature: bytes(signatureBytes, signatureBytes),
});

/** `value` in CBOR, signed by a user or a node, with the certificates that it takes to check it. */
export async function signWith(
  credential: Pick<Credential, 'certificate' | 'issuers' | 'key'>,
  context: Context,
  value: unknown,
): Promise<Uint8Array> {
  const { certificate, issuers, key } = credential;
  const payload = encode(value);
  const signature = await sign(key, context, payload);
  return encode(check(userSigned, { certificate, issuers: [...issuers], payload, signature }));
}

type Identities = { readonly user: UserIdentity; readonly node: NodeIdentity };

/**
 * The reverse of `signWith`, for values that `fresh` has dated.
 * @param kind whose signature counts
 * @throws InkmeshError as `verifyGrant`
 */
export async function verifySigned<
  K extends keyof Identities,
  S extends v.GenericSchema<unknown, { issued: number }>,
>(
  trust: Trust,
  kind: K,
  context: Context,
  schema: S,
  bytes: Uint8Array,
  now: number,
): Promise<{ by: Identities[K]; value: v.InferOutput<S> }> {
  if (bytes.length > maxUserSignedBytes) {
    throw new InkmeshError('bad-request', `what is signed has more than ${maxUserSignedBytes} bytes`);
  }
  const { certificate, issuers, payload, signature } = decode(userSigned, bytes);
  const by = await verifyIdentity(trust, certificate, issuers, now);
  if (!await verify(by.publicKey, context, payload, signature)) {
    throw new InkmeshError('unauthenticated', 'the signature is not by the key of the certificate beside it');
  }
  if (by.kind !== kind) throw new InkmeshError('forbidden', cannotSign(by));
  const value = decode(schema, payload);
  const age_ms = now - value.issued;
  if (!(age_ms <= lifetime_ms)) {
    throw new InkmeshError('forbidden', 'the permission is more than two minutes old: ask again');
  }
  if (!(age_ms >= -lead_ms)) {
    throw new InkmeshError(
      'forbidden',
      'the permission is dated in the future: set the clock of the device that gave it',
    );
  }
  return { by: by as Identities[K], value };
}

function cannotSign(by: UserIdentity | NodeIdentity): string {
  return by.kind === 'node'
    ? `the node ${by.name} cannot sign in the place of a user`
    : `the user ${by.user} cannot sign in the place of a node`;
}
