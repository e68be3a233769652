/**
 * A holder's state machine for one job in one epoch: whom its one vote is for, and what it has sworn never to
 * vote for again. Pure: the caller persists the new lease before it gives the answer, and checks signatures,
 * receipts and shapes before it asks. No clock takes part in what may be printed; one only lets a vote that
 * has not begun go to another claim.
 */
import * as v from 'valibot';
import { integer, text } from './codec.ts';

/**
 * Refused claims, and grants, that a holder remembers per claimant; at the bound it votes no more for that
 * claimant.
 */
export const maxClaimsPerClaimant = 64;
/** The same for all claimants of a job together; at the bound it votes for no further claim at all. */
export const maxClaims = 1024;

/**
 * The name of a claim, `CLAIMANT/UUID`: the claimant's PeerId, and a fresh UUID for every attempt. Who may
 * speak about a claim is settled before it gets here: the RPC layer lets a peer name only claims under its
 * own PeerId, except for those that an owner's grant confirms.
 */
export const claimSchema = v.pipe(
  v.string(),
  v.regex(/^[1-9A-HJ-NP-Za-km-z]{1,64}\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'expected PEERID/UUID'),
);

/** The PeerId in a claim's name. */
export function claimantOf(claim: string): string {
  return claim.slice(0, claim.indexOf('/'));
}

const nonceSchema = v.pipe(text(64), v.nonEmpty());
const targetSchema = v.pipe(text(255), v.nonEmpty());

const voteSchema = v.strictObject({
  claim: claimSchema,
  nonce: nonceSchema,
  phase: v.picklist(['voted', 'begun', 'interrupted']),
  /**
   * when a `voted` one may go to another claim, by the clock of this run; null if at once, or (begun) never
   */
  lapses_ms: v.nullable(integer(0, Number.MAX_SAFE_INTEGER)),
});

/** What a holder persists, as it is persisted. The order of its lists means nothing. */
export const leaseSchema = v.strictObject({
  vote: v.nullable(v.pipe(voteSchema, v.readonly())),
  /** claims that this holder never votes for again */
  refused: v.pipe(v.array(claimSchema), v.maxLength(maxClaims), v.readonly()),
  /** grants seen, each bound to the printer and claimant that it first came with, until the job is erased */
  nonces: v.pipe(
    v.array(v.pipe(
      v.strictObject({
        nonce: nonceSchema,
        target: targetSchema,
        claimant: v.pipe(text(64), v.nonEmpty()),
        /** a begin was persisted under it */
        spent: v.boolean(),
      }),
      v.readonly(),
    )),
    v.maxLength(maxClaims),
    v.readonly(),
  ),
  /** the job ended: its share, then its envelope and ticket are to go */
  erased: v.boolean(),
});
export type Lease = Readonly<v.InferOutput<typeof leaseSchema>>;

export const emptyLease: Lease = { vote: null, refused: [], nonces: [], erased: false };

export interface VoteEvent {
  readonly type: 'vote';
  readonly claim: string;
  /** of the grant; any text of 1 to 64 characters */
  readonly nonce: string;
  /** name of the printer in the grant */
  readonly target: string;
  /** the claims that the grant's owner has confirmed */
  readonly confirm: readonly string[];
  /** whole milliseconds of a clock that never jumps; it may start anew with every run */
  readonly now_ms: number;
  readonly lease_ms: number;
}

export type Outcome = 'printed' | 'sent' | 'cancelled' | 'failed' | 'interrupted';

export type LeaseEvent =
  | VoteEvent
  | { readonly type: 'begin'; readonly claim: string }
  | { readonly type: 'yield'; readonly claim: string }
  | { readonly type: 'settle'; readonly claim: string; readonly outcome: Outcome };

export type LeaseAnswer =
  /** to a vote: the share may go out */
  | { readonly type: 'granted' }
  /** to a begin: the receipt may go out */
  | { readonly type: 'begun' }
  /** to a yield or settlement: the vote was this claim's, and is free */
  | { readonly type: 'freed' }
  | { readonly type: 'noted' }
  /** to a yield or settlement: share first, then envelope and ticket; these two wait for `openClaims` */
  | { readonly type: 'erase' }
  /** to a vote: another claim has it; an owner may confirm that claim in a fresh grant */
  | {
    readonly type: 'refused';
    readonly reason: 'held-by';
    readonly claim: string;
    readonly claimant: string;
    readonly begun: boolean;
  }
  | { readonly type: 'refused'; readonly reason: Refusal };

export type Refusal =
  /** this claim yielded, failed or was confirmed; a retry takes a new claim */
  | 'refused-claim'
  /** the grant came before with another printer or claimant, or the claim with another grant */
  | 'nonce-bound'
  /** a begin was persisted under this grant; a retry needs a fresh one */
  | 'nonce-spent'
  /** a bound is reached: this claimant gets no further vote for this job */
  | 'too-many-claims'
  /** to a begin: the vote is not for this claim */
  | 'not-current'
  | 'erased';

export interface LeaseStep {
  /** the very object that came in if there is nothing to persist */
  readonly lease: Lease;
  readonly answer: LeaseAnswer;
}

/** What one event does to the lease, and what to answer once that is durable. Never throws. */
export function next(lease: Lease, event: LeaseEvent): LeaseStep {
  switch (event.type) {
    case 'vote':
      return vote(lease, event);
    case 'begin':
      return begin(lease, event.claim);
    case 'yield':
      return release(lease, event.claim);
    case 'settle':
      return settle(lease, event.claim, event.outcome);
  }
}

/**
 * The lease as a new run finds it. Its clock is another one, so a vote that has not begun may go to another
 * claim at once; a vote that has begun stays.
 */
export function afterRestart(lease: Lease): Lease {
  if (lease.vote === null || lease.vote.lapses_ms === null) return lease;
  return { ...lease, vote: { ...lease.vote, lapses_ms: null } };
}

/**
 * The claims that may have printed and are not over: begun here and not settled, or interrupted. Until an
 * owner confirms them nothing else is released. A vote that has not begun is not among them: it lapses by
 * itself.
 */
export function openClaims(lease: Lease): string[] {
  return lease.vote === null || lease.vote.phase === 'voted' ? [] : [lease.vote.claim];
}

function vote(before: Lease, event: VoteEvent): LeaseStep {
  if (before.erased) return refusal(before, 'erased');
  // the owner's word, whatever becomes of the claim that carried it here
  const lease = event.confirm.reduce(refuse, before);
  const claimant = claimantOf(event.claim);
  const bound = lease.nonces.find(({ nonce }) => nonce === event.nonce);
  if (bound !== undefined) {
    const same = bound.claimant === claimant && bound.target === event.target;
    return same ? grant(lease, event, bound.spent) : refusal(lease, 'nonce-bound');
  }
  if (isFull(lease.nonces.map((n) => n.claimant), claimant)) return refusal(lease, 'too-many-claims');
  const fresh = { nonce: event.nonce, target: event.target, claimant, spent: false };
  return grant({ ...lease, nonces: [...lease.nonces, fresh] }, event, false);
}

/** The vote for a claim whose grant is bound to this printer and claimant. */
function grant(lease: Lease, event: VoteEvent, spent: boolean): LeaseStep {
  const { claim, nonce, now_ms } = event;
  const current = lease.vote;
  const lapsed = current?.phase === 'voted' && (current.lapses_ms === null || now_ms >= current.lapses_ms);
  const voted: LeaseStep = {
    lease: { ...lease, vote: { claim, nonce, phase: 'voted', lapses_ms: now_ms + event.lease_ms } },
    answer: { type: 'granted' },
  };
  if (lease.refused.includes(claim)) return refusal(lease, 'refused-claim');
  if (current?.claim === claim) {
    if (current.nonce !== nonce) return refusal(lease, 'nonce-bound');
    return lapsed ? voted : { lease, answer: { type: 'granted' } };
  }
  if (isFull(lease.refused.map(claimantOf), claimantOf(claim))) return refusal(lease, 'too-many-claims');
  if (spent) return refusal(lease, 'nonce-spent');
  if (current === null || lapsed) return voted;
  const held = {
    claim: current.claim,
    claimant: claimantOf(current.claim),
    begun: current.phase !== 'voted',
  };
  return { lease, answer: { type: 'refused', reason: 'held-by', ...held } };
}

function begin(lease: Lease, claim: string): LeaseStep {
  if (lease.vote?.claim !== claim) return refusal(lease, 'not-current');
  if (lease.vote.phase !== 'voted') return { lease, answer: { type: 'begun' } };
  return { lease: inPhase(lease, lease.vote, 'begun'), answer: { type: 'begun' } };
}

/** The end of a claim that printed nothing, for good; nobody else's vote is touched. */
function release(before: Lease, claim: string): LeaseStep {
  const lease = refuse(before, claim);
  if (lease.erased) return { lease, answer: { type: 'erase' } };
  return { lease, answer: { type: lease.vote === before.vote ? 'noted' : 'freed' } };
}

function settle(lease: Lease, claim: string, outcome: Outcome): LeaseStep {
  if (outcome === 'failed') return release(lease, claim);
  if (outcome === 'interrupted') {
    // its claimant is past begin, so the vote is begun even if the begin itself never came here
    const settled = lease.vote?.claim === claim ? inPhase(lease, lease.vote, 'interrupted') : lease;
    return settled.erased ? erase(settled) : { lease: settled, answer: { type: 'noted' } };
  }
  const freed = lease.vote?.claim === claim || lease.vote?.phase === 'voted'
    ? { ...lease, vote: null }
    : lease;
  return erase(freed.erased ? freed : { ...freed, erased: true });
}

/** The end of the job. It waits for a claim whose claimant may be printing; one that is known to have stopped is over. */
function erase(lease: Lease): LeaseStep {
  const over = lease.vote?.phase === 'interrupted';
  return { lease: over ? { ...lease, vote: null } : lease, answer: { type: 'erase' } };
}

function inPhase(lease: Lease, current: NonNullable<Lease['vote']>, phase: 'begun' | 'interrupted'): Lease {
  if (current.phase === phase) return lease;
  const nonces = lease.nonces.map((n) => n.nonce === current.nonce ? { ...n, spent: true } : n);
  return { ...lease, vote: { ...current, phase, lapses_ms: null }, nonces };
}

/**
 * Refuses a claim for ever, and frees the vote if it is this claim's. Past a bound the name is not kept:
 * there every claim of that claimant but the current vote's is refused already.
 */
function refuse(lease: Lease, claim: string): Lease {
  const current = lease.vote?.claim === claim;
  const known = lease.refused.includes(claim) || isFull(lease.refused.map(claimantOf), claimantOf(claim));
  if (!current && known) return lease;
  return {
    ...lease,
    vote: current ? null : lease.vote,
    refused: known ? lease.refused : [...lease.refused, claim],
  };
}

/** Whether `claimants` (one entry for each thing remembered) leaves no room for another of this one. */
function isFull(claimants: readonly string[], claimant: string): boolean {
  return claimants.length >= maxClaims ||
    claimants.filter((c) => c === claimant).length >= maxClaimsPerClaimant;
}

function refusal(lease: Lease, reason: Refusal): LeaseStep {
  return { lease, answer: { type: 'refused', reason } };
}
