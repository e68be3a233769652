/** Whose a submit token is: facts of registrars, of which the first counts. Nobody keeps a token, only its hash. */
import { sha256 } from '@noble/hashes/sha2.js';
import * as v from 'valibot';
import { encode, integer, text } from './codec.ts';
import { type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import { userName, uuid } from './names.ts';

const tokenBody = v.strictObject({
  user: userName,
  device: uuid,
  /** by the agreed time */
  expires_ms: integer(0, Number.MAX_SAFE_INTEGER),
  /** of a browser: the host name at which it has enrolled */
  origin: v.optional(text(253)),
  /** its device has enrolled at a cloud node, which has seen it (cloud.ts) */
  cloud: v.optional(v.boolean()),
});
export type TokenOwner = v.InferOutput<typeof tokenBody>;

/**
 * Its subject is the hex SHA-256 of a submit token. Hashes are no secret, and whoever enrols with another's must not
 * get that one's jobs: so a later fact changes nothing.
 */
export const tokenKind: Kind<typeof tokenBody> = { name: 'token', body: tokenBody, check: registrarOnly };

/** SHA-256 of a submit token. */
export function tokenHash(token: string): Uint8Array {
  return sha256(new TextEncoder().encode(token));
}

/** What holders know of the submit token that a job came by. */
export interface Submitter {
  /** SHA-256 of the token: whose it is, and whether that one is revoked */
  token: Uint8Array;
  /** SHA-256 of the proof that cancels the job */
  cancel: Uint8Array;
}

export function submitterOf(token: string, job: string): Submitter {
  return { token: tokenHash(token), cancel: sha256(cancelProof(token, job)) };
}

/** What only who has the token can show for a job: it cancels that one, and says nothing of the token. */
export function cancelProof(token: string, job: string): Uint8Array {
  return sha256(encode(['inkmesh cancel 1', token, job]));
}

/** Whether a proof is that for the job that came with such a token. */
export function provesSubmitter(proof: Uint8Array, submitter: Submitter): boolean {
  return Buffer.from(sha256(proof)).equals(submitter.cancel);
}

/**
 * The device that a submit token was made for, revoked, expired or not; undefined for one that the organisation has not given
 * out, or of which this node has not heard.
 */
export function deviceOf(known: KnownFacts, hash: Uint8Array): TokenOwner | undefined {
  return known.first(tokenKind.name, hash.toHex())?.body as TokenOwner | undefined;
}
