/**
 * Signatures of inkmesh: ECDSA on P-256 with SHA-256 (ES256), 64 bytes in the form of IEEE P1363, over
 *
 *     context || 0x00 || payload
 *
 * The context is ASCII and holds no zero byte, so no record of one kind can pass for a record of another.
 */
import * as v from 'valibot';
import { bytes } from './codec.ts';

export type Context =
  | 'inkmesh fact 1'
  | 'inkmesh grant 1'
  | 'inkmesh receipt 1'
  | 'inkmesh request 1'
  | 'inkmesh view 1'
  | 'inkmesh voucher 1';

/** Bytes of a signature. */
export const signatureBytes = 64;

const ES256 = { name: 'ECDSA', hash: 'SHA-256' } as const;

export interface SignedRecord {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** A payload of 1 to `maxPayload` bytes with its signature; nothing else beside them. */
export const signedRecordSchema = (maxPayload: number) =>
  v.strictObject({ payload: bytes(1, maxPayload), signature: bytes(signatureBytes, signatureBytes) });

/** Signs `payload` in `context` with a private P-256 key. @returns 64 bytes */
export async function sign(key: CryptoKey, context: Context, payload: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign(ES256, key, message(context, payload)));
}

/** Whether `signature` is by the owner of the public P-256 `key`; false as well for one of a wrong length. */
export function verify(
  key: CryptoKey,
  context: Context,
  payload: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (signature.length !== signatureBytes) return Promise.resolve(false);
  return crypto.subtle.verify(ES256, key, Uint8Array.from(signature), message(context, payload));
}

function message(context: Context, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefix = new TextEncoder().encode(`${context}\0`);
  const whole = new Uint8Array(prefix.length + payload.length);
  whole.set(prefix);
  whole.set(payload, prefix.length);
  return whole;
}
