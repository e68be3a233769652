/** Whose a submit token is: facts of registrars, of which the first counts. Nobody keeps a token, only its hash. */
import { sha256 } from '@noble/hashes/sha2.js';
import * as v from 'valibot';
import { type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import { userName, uuid } from './names.ts';

const tokenBody = v.strictObject({ user: userName, device: uuid });
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

/**
 * The device that a submit token was made for, revoked or not; undefined for one that the organisation has not given
 * out, or of which this node has not heard.
 */
export function deviceOf(known: KnownFacts, hash: Uint8Array): TokenOwner | undefined {
  return known.first(tokenKind.name, hash.toHex())?.body as TokenOwner | undefined;
}
