/**
 * Where a document may come from: a submit token, or a device with a credential, that the organisation has given out,
 * and that is neither revoked nor expired. Every node judges by the facts that it has; a registrar, which states these
 * facts, has them first, and is asked while it can be reached.
 */
import * as v from 'valibot';
import { bytes, integer } from './codec.ts';
import type { KnownFacts } from './facts.ts';
import { userName, uuid } from './names.ts';
import { revokedSince } from './revocation.ts';
import type { Method } from './rpc.ts';
import { deviceOf } from './submit-token.ts';

const owner = v.strictObject({ user: userName, device: uuid });

const sourceRequest = v.union([
  /** SHA-256 of a submit token */
  v.strictObject({ token: bytes(32, 32) }),
  /** whose certificate has been checked by who asks */
  v.strictObject({ credential: owner }),
]);
export type SourceId = v.InferOutput<typeof sourceRequest>;

const sourceReply = v.strictObject({
  standing: v.picklist(['valid', 'expired', 'revoked', 'unknown']),
  /** null when it is unknown */
  owner: v.nullable(owner),
  /** when it was revoked, or expired */
  since_ms: v.nullable(integer(0, Number.MAX_SAFE_INTEGER)),
});
export type Standing = v.InferOutput<typeof sourceReply>;

export const sourceMethod: Method<typeof sourceRequest, typeof sourceReply> = {
  name: 'source',
  request: sourceRequest,
  reply: sourceReply,
  admission: 'member',
};

/** How a source stands by the facts of a node. @param now_ms agreed with the peers */
export function standingOf(known: KnownFacts, source: SourceId, now_ms: number): Standing {
  const token = 'token' in source ? deviceOf(known, source.token) : undefined;
  const by = 'token' in source ? token : source.credential;
  if (by === undefined) return { standing: 'unknown', owner: null, since_ms: null };
  const { user, device } = by;
  const owner = { user, device };
  const revoked = [revokedSince(known, 'device', device), revokedSince(known, 'user', user)]
    .filter((since_ms) => since_ms !== undefined);
  if (revoked.length > 0) return { standing: 'revoked', owner, since_ms: Math.min(...revoked) };
  if (token !== undefined && token.expires_ms <= now_ms) {
    return { standing: 'expired', owner, since_ms: token.expires_ms };
  }
  return { standing: 'valid', owner, since_ms: null };
}
