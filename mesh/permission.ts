/**
 * What allows a claim: the owner's grant, a panel node's voucher for the owner, or for a cancellation a proof that is
 * made with the token that submitted the job. And what allows a node to see an owner's jobs.
 */
import type { NodeIdentity, Trust, UserIdentity } from './certificate.ts';
import { refuseCloud, refuseCloudToken } from './cloud.ts';
import { InkmeshError } from './errors.ts';
import type { KnownFacts } from './facts.ts';
import { type Grant, verifyGrant } from './grant.ts';
import { claimantOf } from './lease.ts';
import type { Piece } from './ports.ts';
import { type Permission, viewPurpose } from './protocol.ts';
import { verifyRequest } from './request.ts';
import { refuseRevoked, refuseRevokedUser, revokedSince } from './revocation.ts';
import { deviceOf, provesSubmitter } from './submit-token.ts';
import { isView, verifyView, verifyVoucher } from './voucher.ts';

/** A cancellation's target in a lease: it has no printer. */
const noTarget = '-';

export interface Permitted {
  /** hex of the grant's, or the claim's own UUID */
  nonce: string;
  target: string;
  confirm: readonly string[];
  /** false for a cancellation: it gets no share */
  prints: boolean;
  /** who has vouched for the owner; null where the owner says so */
  panel: NodeIdentity | null;
}

/** By what a holder judges. */
export interface Judging {
  trust: Trust;
  /** where revocations are looked up, and what holds for the site */
  known: KnownFacts;
  /** of the holder */
  site: string;
  now_ms: number;
}

/** @throws InkmeshError `forbidden` or `unauthenticated` unless it allows this claim of this job */
export async function permitted(
  permission: Permission,
  piece: Piece,
  claim: string,
  { trust, known, site, now_ms }: Judging,
): Promise<Permitted> {
  if ('proof' in permission) {
    const { submitter } = piece;
    if (submitter === null || !provesSubmitter(permission.proof, submitter)) {
      throw new InkmeshError('forbidden', 'this token did not submit the job');
    }
    refuseCloudToken(known, site, submitter.token);
    const by = deviceOf(known, submitter.token);
    if (by !== undefined) refuseRevoked(known, by);
    return {
      nonce: claim.slice(claim.indexOf('/') + 1),
      target: noTarget,
      confirm: [],
      prints: false,
      panel: null,
    };
  }
  if ('voucher' in permission) {
    const { voucher, by } = await verifyVoucher(trust, permission.voucher, now_ms);
    refuseVouched(known, by, voucher.user);
    return { ...granted(voucher, voucher.user, piece, claim), panel: by };
  }
  const { grant, by } = await verifyGrant(trust, permission.grant, now_ms);
  refuseRevoked(known, by);
  refuseCloud(known, site, by);
  return { ...granted(grant, by.user, piece, claim), panel: null };
}

/** @throws InkmeshError `forbidden` unless it is this user's job, and for this claim of it */
function granted(grant: Grant, user: string, piece: Piece, claim: string): Omit<Permitted, 'panel'> {
  if (user !== piece.owner) throw new InkmeshError('forbidden', 'this job belongs to somebody else');
  if (grant.job !== piece.job) throw new InkmeshError('forbidden', 'the grant is for another job');
  if (grant.claimant !== claimantOf(claim)) {
    throw new InkmeshError('forbidden', 'the grant is for another node');
  }
  const prints = grant.action === 'release';
  const nonce = Buffer.from(grant.nonce).toString('hex');
  return { nonce, target: prints ? grant.target : noTarget, confirm: grant.confirm, prints };
}

/** @throws InkmeshError `forbidden` when the panel node, or the user that it vouches for, is revoked */
function refuseVouched(known: KnownFacts, panel: NodeIdentity, user: string): void {
  if (revokedSince(known, 'node', panel.peerId) !== undefined) {
    throw new InkmeshError('forbidden', `the panel node ${panel.name} is revoked: use another panel`);
  }
  refuseRevokedUser(known, user);
}

/**
 * The user whose tickets a node may see, by the user's own proof or by a panel node's.
 * @param from as for `ownerWhoSent`
 * @throws InkmeshError unless it is for that node, of a user who is not revoked
 */
export async function ownerViewed(
  from: string,
  proof: string,
  { trust, known, site, now_ms }: Judging,
): Promise<{ user: string; panel: NodeIdentity | null }> {
  if (!isView(proof)) {
    const by = await whoSent(from, proof, trust, known, now_ms);
    refuseCloud(known, site, by);
    return { user: by.user, panel: null };
  }
  const { user, by } = await verifyView(trust, proof, from, now_ms);
  refuseVouched(known, by, user);
  return { user, panel: by };
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
  return (await whoSent(from, proof, trust, known, now_ms)).user;
}

async function whoSent(
  from: string,
  proof: string,
  trust: Trust,
  known: KnownFacts,
  now_ms: number,
): Promise<UserIdentity> {
  const { by } = await verifyRequest(trust, proof, { ...viewPurpose, audience: from }, now_ms);
  refuseRevoked(known, by);
  return by;
}
