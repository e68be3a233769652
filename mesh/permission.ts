/**
 * What allows a claim: the owner's grant, or for a cancellation a proof that is made with the token that submitted the
 * job. And what allows a node to see an owner's jobs.
 */
import type { Trust } from './certificate.ts';
import { InkmeshError } from './errors.ts';
import type { KnownFacts } from './facts.ts';
import { verifyGrant } from './grant.ts';
import { claimantOf } from './lease.ts';
import type { Piece } from './ports.ts';
import { type Permission, viewPurpose } from './protocol.ts';
import { verifyRequest } from './request.ts';
import { refuseRevoked } from './revocation.ts';
import { deviceOf, provesSubmitter } from './submit-token.ts';

/** A cancellation's target in a lease: it has no printer. */
const noTarget = '-';

export interface Permitted {
  /** hex of the grant's, or the claim's own UUID */
  nonce: string;
  target: string;
  confirm: readonly string[];
  /** false for a cancellation: it gets no share */
  prints: boolean;
}

/**
 * @param known where revocations are looked up
 * @throws InkmeshError `forbidden` or `unauthenticated` unless it allows this claim of this job
 */
export async function permitted(
  permission: Permission,
  piece: Piece,
  claim: string,
  trust: Trust,
  known: KnownFacts,
  now_ms: number,
): Promise<Permitted> {
  if ('proof' in permission) {
    const { submitter } = piece;
    if (submitter === null || !provesSubmitter(permission.proof, submitter)) {
      throw new InkmeshError('forbidden', 'this token did not submit the job');
    }
    const by = deviceOf(known, submitter.token);
    if (by !== undefined) refuseRevoked(known, by);
    return { nonce: claim.slice(claim.indexOf('/') + 1), target: noTarget, confirm: [], prints: false };
  }
  const { grant, by } = await verifyGrant(trust, permission.grant, now_ms);
  refuseRevoked(known, by);
  if (by.user !== piece.owner) throw new InkmeshError('forbidden', 'this job belongs to somebody else');
  if (grant.job !== piece.job) throw new InkmeshError('forbidden', 'the grant is for another job');
  if (grant.claimant !== claimantOf(claim)) {
    throw new InkmeshError('forbidden', 'the grant is for another node');
  }
  const prints = grant.action === 'release';
  const nonce = Buffer.from(grant.nonce).toString('hex');
  return { nonce, target: prints ? grant.target : noTarget, confirm: grant.confirm, prints };
}

/**
 * The user by whose proof a node may see what is theirs.
 * @param from PeerId of the node that shows it
 * @throws InkmeshError unless it is a signed request for that node, of a user who is not revoked
 */
export async function ownerWhoSent(
  from: string,
  proof: string,
  trust: Trust,
  known: KnownFacts,
  now_ms: number,
): Promise<string> {
  const { by } = await verifyRequest(trust, proof, { ...viewPurpose, audience: from }, now_ms);
  refuseRevoked(known, by);
  return by.user;
}
