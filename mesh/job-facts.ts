/** The facts that follow a job: that three nodes hold it, that it was taken back, how a claim ended. */
import * as v from 'valibot';
import type { NodeIdentity } from './certificate.ts';
import { bytes, encode, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { type Fact, jobsDoc, type Kind, type KnownFacts, Missing } from './facts.ts';
import { claimantOf, claimSchema, type Outcome } from './lease.ts';
import { holdersPerJob, maxEnvelopeBytes, maxReasonChars, quorum } from './limits.ts';
import { peerId, userName } from './names.ts';
import { sign, verify } from './signed.ts';

const outcomes = [
  'printed',
  'sent',
  'failed',
  'interrupted',
  'cancelled',
] as const satisfies readonly Outcome[];

const jobBody = v.strictObject({
  owner: userName,
  /** octets of the document */
  bytes: integer(0, maxEnvelopeBytes),
  epoch: v.literal(1),
  holders: v.pipe(
    v.array(peerId),
    v.length(holdersPerJob),
    v.check((h) => new Set(h).size === h.length, 'distinct'),
  ),
  expires_ms: integer(0, Number.MAX_SAFE_INTEGER),
});
export type JobBody = v.InferOutput<typeof jobBody>;

/** Stated by the node that accepted the job, once its three holders have it durably. */
export const jobKind: Kind<typeof jobBody> = {
  name: 'job',
  body: jobBody,
  check(fact, author, known) {
    if (fact.doc !== jobsDoc(author.site, fact.time_ms)) {
      throw new InkmeshError('forbidden', 'a job fact belongs to its site and day');
    }
    const first = known.latest('job', fact.subject);
    if (first !== undefined && (first.author !== fact.author || first.seq !== fact.seq)) {
      throw new InkmeshError('forbidden', 'this job is known already');
    }
  },
};

const withdrawnBody = v.strictObject({});

/** Stated by the node that stated the job, when it could not answer "accepted" after all. */
export const withdrawnKind: Kind<typeof withdrawnBody> = {
  name: 'withdrawn',
  body: withdrawnBody,
  check(fact, _author, known) {
    const job = jobOf(fact, known);
    if (job.author !== fact.author) {
      throw new InkmeshError('forbidden', 'only who accepted a job takes it back');
    }
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
  receipts: v.pipe(v.array(receiptSchema), v.minLength(quorum), v.maxLength(holdersPerJob)),
});
export type SettledBody = v.InferOutput<typeof settledBody>;

/** Stated by the claimant: how its claim ended, with the receipts that show that it was the one to say so. */
export const settledKind: Kind<typeof settledBody> = {
  name: 'settled',
  body: settledBody,
  async check(fact, _author, known) {
    const job = jobOf(fact, known);
    const { claim, epoch, receipts } = fact.body;
    if (claimantOf(claim) !== fact.author) {
      throw new InkmeshError('forbidden', 'only the claimant settles its claim');
    }
    const { holders } = job.body as JobBody;
    if (new Set(receipts.map(([holder]) => holder)).size !== receipts.length) {
      throw new InkmeshError('forbidden', 'a receipt counts once');
    }
    for (const [holder, signature] of receipts) {
      if (!holders.includes(holder)) {
        throw new InkmeshError('forbidden', 'a receipt is not of a holder of the job');
      }
      const identity = known.identity(holder);
      if (identity === undefined) throw new Missing(`peer:${holder}`);
      if (!await verifyReceipt(identity, { job: fact.subject, epoch, claim, holder }, signature)) {
        throw new InkmeshError('unauthenticated', 'a receipt is not its holder’s');
      }
    }
  },
};

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

export function verifyReceipt(
  holder: NodeIdentity,
  receipt: Receipt,
  signature: Uint8Array,
): Promise<boolean> {
  return verify(holder.publicKey, 'inkmesh receipt 1', encode({ ...receipt }), signature);
}

function jobOf(fact: Fact, known: KnownFacts): Fact {
  const job = known.latest('job', fact.subject);
  if (job === undefined) throw new Missing(`job:${fact.subject}`);
  if (fact.doc !== job.doc) throw new InkmeshError('forbidden', 'a job’s facts belong to one document');
  return job;
}
