/**
 * Requests to a node's own HTTP API, signed with a user's credential: what comes after the scheme in
 *
 *     Authorization: Inkmesh BASE64URL
 *
 * It is signed like a grant, for one method, path and node, and is valid for as long.
 */
import * as v from 'valibot';
import type { Trust, UserIdentity } from './certificate.ts';
import { bytes, check, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { type Credential, fresh, maxUserSignedBytes, nonceBytes, signWith, verifySigned } from './grant.ts';
import { peerId } from './names.ts';

const maxPathChars = 2048;
const maxHeaderChars = Math.ceil(maxUserSignedBytes / 3) * 4;

const requestSchema = v.strictObject({
  method: v.picklist(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path: v.pipe(text(maxPathChars), v.startsWith('/')),
  audience: peerId,
  bodyHash: v.nullable(bytes(32, 32)),
  nonce: bytes(nonceBytes, nonceBytes),
  issued: integer(0, Number.MAX_SAFE_INTEGER),
});

export interface RequestTarget {
  /** in upper case */
  readonly method: string;
  /** with its query, as it is on the request line; at most 2048 characters */
  readonly path: string;
  /** PeerId of the node that is asked */
  readonly audience: string;
}

/** @param request `bodyHash`: SHA-256 of the body; without it the signature does not cover the body */
export async function signRequest(
  credential: Credential,
  request: RequestTarget & { readonly bodyHash?: Uint8Array },
  now: number,
): Promise<string> {
  const { method, path, audience, bodyHash = null } = request;
  const value = check(requestSchema, { method, path, audience, bodyHash, ...fresh(now) });
  const record = await signWith(credential, 'inkmesh request 1', value);
  return record.toBase64({ alphabet: 'base64url', omitPadding: true });
}

/**
 * Checks who signed the request, that it is the expected one, and that `now` lies between 30 s before and 120 s after
 * it was signed. The caller refuses a nonce that it has seen in that time, compares `bodyHash` with the body that it
 * reads (null: the body is not covered), and looks whether the device is revoked.
 * @param header what `signRequest` gave: the header without its scheme
 * @throws InkmeshError `bad-request` malformed; `unauthenticated` certificates or signature do not hold; `forbidden`
 * another request's, stale, of the future, or signed by a node
 */
export async function verifyRequest(
  trust: Trust,
  header: string,
  expected: RequestTarget,
  now: number,
): Promise<{ by: UserIdentity; nonce: Uint8Array; issued: number; bodyHash: Uint8Array | null }> {
  const record = fromHeader(header);
  const { by, value } = await verifySigned(trust, 'user', 'inkmesh request 1', requestSchema, record, now);
  for (const part of ['method', 'path', 'audience'] as const) {
    if (value[part] !== expected[part]) {
      throw new InkmeshError('forbidden', `the request was signed for another ${part}`);
    }
  }
  const { nonce, issued, bodyHash } = value;
  return { by, nonce, issued, bodyHash };
}

function fromHeader(header: string): Uint8Array {
  if (header.length > maxHeaderChars) {
    throw new InkmeshError('bad-request', `the authorization has more than ${maxHeaderChars} characters`);
  }
  try {
    return Uint8Array.fromBase64(header, { alphabet: 'base64url' });
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the authorization is not base64url', {}, { cause });
  }
}
