/** The facts that follow a job: that nodes hold it, that it was taken back, how a claim ended. */
import { sha256 } from '@noble/hashes/sha2.js';
import * as v from 'valibot';
import type { NodeIdentity } from './certificate.ts';
import { bytes, encode, integer, text } from './codec.ts';
import { plaintextLength } from './envelope.ts';
import { InkmeshError } from './errors.ts';
import { type Fact, jobsDoc, type Kind, type KnownFacts, Missing } from './facts.ts';
import { isJobIdOf } from './job-id.ts';
import { claimantOf, claimSchema, type Outcome } from './lease.ts';
import type { FactLedger } from './ledger.ts';
import { holdersPerJob, maxEnvelopeBytes, maxKnownReceipts, maxReasonChars } from './limits.ts';
import { peerId, userName } from './names.ts';
import type { Piece } from './ports.ts';
import { remember } from './remember.ts';
import { sign, verify } from './signed.ts';
import type { Submitter } from './submit-token.ts';

const outcomes = [
  'printed',
  'sent',
  'failed',
  'interrupted',
  'cancelled',
] as const satisfies readonly Outcome[];

const holdersOf = (count: number) =>
  v.pipe(v.array(peerId), v.length(count), v.check((h) => new Set(h).size === h.length, 'distinct'));

const common = {
  owner: userName,
  /** octets of the document */
  bytes: integer(0, maxEnvelopeBytes),
  epoch: v.literal(1),
  expires_ms: integer(0, Number.MAX_SAFE_INTEGER),
};
const nobody = { sleeper: v.null(), handed: v.null() };

const jobBody = v.variant('degraded', [
  v.strictObject({ ...common, ...nobody, degraded: v.null(), holders: holdersOf(holdersPerJob) }),
  /** one of the three was asleep: the others keep its share, sealed for it, until it wakes */
  v.pipe(
    v.strictObject({
      ...common,
      degraded: v.literal('handoff'),
      holders: holdersOf(holdersPerJob),
      sleeper: peerId,
      /** `handedDigest` of what it is to be given */
      handed: bytes(32, 32),
    }),
    v.check(({ holders, sleeper }) => holders.includes(sleeper), 'the sleeper is a holder'),
  ),
  /** a site of two machines: the loss of either loses the job */
  v.strictObject({ ...common, ...nobody, degraded: v.literal('two'), holders: holdersOf(2) }),
  /** a site of one machine, which has the whole key */
  v.strictObject({ ...common, ...nobody, degraded: v.literal('one'), holders: holdersOf(1) }),
]);
export type JobBody = v.InferOutput<typeof jobBody>;

/** How many of a job's holders decide, and give its key. */
export function quorumOf(holders: readonly unknown[]): number {
  return Math.min(holders.length, 2);
}

/** SHA-256 of what a sleeping holder is to be given beside the envelope, which its header commits to by itself. */
export function handedDigest(piece: {
  submitter: Submitter | null;
  ticket: Uint8Array;
  handoff: Uint8Array;
}): Uint8Array {
  const { submitter, ticket, handoff } = piece;
  return sha256(encode(['inkmesh handoff 1', submitter, ticket, handoff]));
}

/** Stated by the node that accepted the job, once its holders have it durably. */
export const jobKind: Kind<typeof jobBody> = {
  name: 'job',
  body: jobBody,
  check(fact, author) {
    if (fact.doc !== jobsDoc(author.site, fact.time_ms)) {
      throw new InkmeshError('forbidden', 'a job fact belongs to its site and day');
    }
    if (!isJobIdOf(fact.subject, fact.author)) {
      throw new InkmeshError('forbidden', 'a job’s id is of the node that accepts it');
    }
  },
};

const withdrawnBody = v.strictObject({});

/** Stated by the node that stated the job: it could not answer "accepted" after all, or its source had been revoked. */
export const withdrawnKind: Kind<typeof withdrawnBody> = {
  name: 'withdrawn',
  body: withdrawnBody,
  check(fact, _author, known) {
    if (!isJobIdOf(fact.subject, fact.author)) {
      throw new InkmeshError('forbidden', 'only who accepted a job takes it back');
    }
    awaitJob(fact, known, () => true);
  },
};

const receiptSchema = v.strictTuple([peerId, bytes(64, 64)]);

const settledBody = v.strictObject({
  epoch: v.literal(1),
  claim: claimSchema,
  outcome: v.picklist(outcomes),
  /** the printer, empty for a cancellation */
  target: text(63),
  reason: text(maxReasonChars),
  /** begin receipts of a quorum: holder and signature */
  receipts: v.pipe(v.array(receiptSchema), v.minLength(1), v.maxLength(holdersPerJob)),
});
export type SettledBody = v.InferOutput<typeof settledBody>;

/** Stated by the claimant: how its claim ended, with the receipts that show that it was the one to say so. */
export const settledKind: Kind<typeof settledBody> = {
  name: 'settled',
  body: settledBody,
  async check(fact, _author, known) {
    const { claim, epoch, receipts } = fact.body;
    if (claimantOf(claim) !== fact.author) {
      throw new InkmeshError('forbidden', 'only the claimant settles its claim');
    }
    if (new Set(receipts.map(([holder]) => holder)).size !== receipts.length) {
      throw new InkmeshError('forbidden', 'a receipt counts once');
    }
    // what begins a claim is the receipts of a quorum of the job's holders
    awaitJob(
      fact,
      known,
      ({ holders }) =>
        receipts.length >= quorumOf(holders) && receipts.every(([holder]) => holders.includes(holder)),
    );
    for (const [holder, signature] of receipts) {
      const identity = known.identity(holder);
      if (identity === undefined) throw new Missing(`peer:${holder}`);
      if (!await verifyReceipt(identity, { job: fact.subject, epoch, claim, holder }, signature)) {
        throw new InkmeshError('unauthenticated', 'a receipt is not its holder’s');
      }
    }
  },
};

/** Whether a job is over for good: whoever is given a piece of it now must not take it. */
export function hasEnded(ledger: Pick<FactLedger, 'about'>, job: string): boolean {
  const over = ({ body }: Fact) =>
    !(['failed', 'interrupted'] as Outcome[]).includes((body as SettledBody).outcome);
  return ledger.about('settled', job).some(over) || ledger.about('withdrawn', job).length > 0;
}

/** Whether the job fact is that of a holder's piece, by the node that gave it. @param holder its PeerId */
export function fitsPiece(fact: Fact, piece: Piece, holder: string): boolean {
  const { holders, owner, bytes, epoch } = fact.body as JobBody;
  return piece.acceptedBy === fact.author && holders.includes(holder) &&
    piece.owner === owner && piece.epoch === epoch && plaintextLength(piece.envelopeBytes) === bytes;
}

/** Whether this is what the job fact has a holder hand over: nothing, if it is the one that was asleep. */
export function handsOver(
  fact: Fact,
  { submitter, ticket }: Piece,
  handoff: Uint8Array | null,
  holder: string,
): boolean {
  const { sleeper, handed } = fact.body as JobBody;
  if (handed === null || sleeper === holder) return handoff === null;
  return handoff !== null && Buffer.from(handedDigest({ submitter, ticket, handoff })).equals(handed);
}

/** What a holder signs when it has persisted a claim's begin. */
export interface Receipt {
  job: string;
  epoch: number;
  claim: string;
  holder: string;
}

export function signReceipt(key: CryptoKey, receipt: Receipt): Promise<Uint8Array> {
  return sign(key, 'inkmesh receipt 1', encode({ ...receipt }));
}

/** receipts that hold, the latest ones: a claimant meets each of its own again in its settlement */
const known = new Map<string, CryptoKey>();

export async function verifyReceipt(
  { publicKey }: NodeIdentity,
  receipt: Receipt,
  signature: Uint8Array,
): Promise<boolean> {
  const payload = encode({ ...receipt });
  const name = payload.toHex() + signature.toHex();
  if (known.get(name) === publicKey) return true;
  const holds = await verify(publicKey, 'inkmesh receipt 1', payload, signature);
  if (holds) remember(known, name, publicKey, maxKnownReceipts);
  return holds;
}

/**
 * Where a rogue states two jobs under one id, whichever is heard first must not decide what follows: any that fits does.
 * @throws Missing while none is known
 */
function awaitJob(fact: Fact, known: KnownFacts, fits: (body: JobBody) => boolean): void {
  const jobs = known.about(jobKind.name, fact.subject);
  if (!jobs.some((job) => job.doc === fact.doc && fits(job.body as JobBody))) {
    throw new Missing(`${jobKind.name}:${fact.subject}`);
  }
}
