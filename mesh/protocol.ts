/** The methods that a holder serves: their names, requests, replies. WIRE.md says how they follow each other. */
import * as v from 'valibot';
import { bytes, integer, text } from './codec.ts';
import { headerBytes } from './envelope.ts';
import { claimSchema } from './lease.ts';
import {
  maxEnvelopeBytes,
  maxFactBytes,
  maxPiecesPerView,
  maxRetention_ms,
  maxSealedBytes,
  maxTicketBytes,
} from './limits.ts';
import { jobId, userName } from './names.ts';
import { type Method, noReply } from './rpc.ts';
import { shareBytes } from './shares.ts';

const epoch = v.literal(1);
/** what is known of the submit token that a job came by, see submit-token.ts */
const submitter = v.nullable(v.strictObject({ token: bytes(32, 32), cancel: bytes(32, 32) }));

const storeRequest = v.strictObject({
  job: jobId,
  epoch,
  owner: userName,
  submitter,
  ticket: bytes(1, maxTicketBytes),
  share: bytes(shareBytes, shareBytes),
});
export type StoreRequest = v.InferOutput<typeof storeRequest>;

const storeReply = v.strictObject({ envelopeBytes: integer(1, maxEnvelopeBytes) });

/** With the envelope as body. The reply says that envelope, share and ticket are durable. */
export const storeMethod: Method<typeof storeRequest, typeof storeReply> = {
  name: 'store',
  request: storeRequest,
  reply: storeReply,
  admission: 'member',
};

const sealed = bytes(1, maxSealedBytes);

const sealRequest = v.strictObject({
  job: jobId,
  fact: bytes(1, maxFactBytes),
  /** the share of a holder that is asleep, sealed for it; null when there is none */
  handoff: v.nullable(sealed),
});
export type SealRequest = v.InferOutput<typeof sealRequest>;

/** The job fact that names the holder. The reply says that it is durable, and what is to be handed over too. */
export const sealMethod: Method<typeof sealRequest, typeof noReply> = {
  name: 'seal',
  request: sealRequest,
  reply: noReply,
  admission: 'member',
};

const abandonRequest = v.strictObject({ job: jobId });
export type AbandonRequest = v.InferOutput<typeof abandonRequest>;

/** From the accepting node, for a piece that is not sealed: it will not be. */
export const abandonMethod: Method<typeof abandonRequest, typeof noReply> = {
  name: 'abandon',
  request: abandonRequest,
  reply: noReply,
  admission: 'member',
};

const findRequest = v.strictObject({
  job: jobId,
  /** a request signed by the owner's credential, see `viewPurpose` */
  proof: text(16 * 1024),
  /** the job is not to be sealed any more, if it has not been */
  fence: v.boolean(),
  /** the node that the id is of has said that it is not at it: what others keep back of it counts */
  over: v.boolean(),
});
export type FindRequest = v.InferOutput<typeof findRequest>;

const findReply = v.strictObject({
  /** the job fact, if there is one */
  fact: v.nullable(bytes(1, maxFactBytes)),
  /** the fact that the job was taken back */
  withdrawn: v.nullable(bytes(1, maxFactBytes)),
  /** true only from the node that accepts the job: it has asked nobody to seal it, and will not */
  sure: v.boolean(),
});
export type FindReply = v.InferOutput<typeof findReply>;

/** Whether a job has come of a submission whose answer was lost, to a node that the owner has sent (resume.ts). */
export const findMethod: Method<typeof findRequest, typeof findReply> = {
  name: 'find',
  request: findRequest,
  reply: findReply,
  admission: 'member',
};

const handoffRequest = v.strictObject({
  job: jobId,
  submitter,
  ticket: bytes(1, maxTicketBytes),
  handoff: sealed,
  fact: bytes(1, maxFactBytes),
  /** how long the sender has kept it */
  age_ms: integer(0, maxRetention_ms),
});
export type HandoffRequest = v.InferOutput<typeof handoffRequest>;

/**
 * From a holder to the one that was asleep, with the envelope as body. The reply says that all of it is durable;
 * `conflict` with details `kept`, that it was before.
 */
export const handoffMethod: Method<typeof handoffRequest, typeof noReply> = {
  name: 'handoff',
  request: handoffRequest,
  reply: noReply,
  admission: 'member',
};

/**
 * What allows a claim: the owner's grant, a panel node's voucher for the owner, or (to cancel what it submitted) the
 * proof that is made with a submit token.
 */
const permission = v.union([
  v.strictObject({ grant: bytes(1, 24 * 1024) }),
  v.strictObject({ voucher: bytes(1, 24 * 1024) }),
  v.strictObject({ proof: bytes(32, 32) }),
]);
export type Permission = v.InferOutput<typeof permission>;

const voteRequest = v.strictObject({ job: jobId, epoch, claim: claimSchema, permission });
export type VoteRequest = v.InferOutput<typeof voteRequest>;

const voteReply = v.strictObject({
  /** empty for a cancellation; the key itself of a job with one holder */
  share: bytes(0, shareBytes),
  ticket: bytes(1, maxTicketBytes),
  header: bytes(headerBytes, headerBytes),
});
export type VoteReply = v.InferOutput<typeof voteReply>;

/** The vote is durable, and the share is the vote. */
export const voteMethod: Method<typeof voteRequest, typeof voteReply> = {
  name: 'vote',
  request: voteRequest,
  reply: voteReply,
  admission: 'member',
};

const claimRequest = v.strictObject({ job: jobId, epoch, claim: claimSchema });
export type ClaimRequest = v.InferOutput<typeof claimRequest>;

const beginReply = v.strictObject({ receipt: bytes(64, 64) });
export type BeginReply = v.InferOutput<typeof beginReply>;

/** The begin is durable; the receipt is signed by the holder. */
export const beginMethod: Method<typeof claimRequest, typeof beginReply> = {
  name: 'begin',
  request: claimRequest,
  reply: beginReply,
  admission: 'member',
};

export const yieldMethod: Method<typeof claimRequest, typeof noReply> = {
  name: 'yield',
  request: claimRequest,
  reply: noReply,
  admission: 'member',
};

const settleRequest = v.strictObject({ job: jobId, fact: bytes(1, maxFactBytes) });
export type SettleRequest = v.InferOutput<typeof settleRequest>;

export const settleMethod: Method<typeof settleRequest, typeof noReply> = {
  name: 'settle',
  request: settleRequest,
  reply: noReply,
  admission: 'member',
};

const fetchRequest = v.strictObject({
  job: jobId,
  claim: claimSchema,
  offset: integer(0, maxEnvelopeBytes),
});
export type FetchRequest = v.InferOutput<typeof fetchRequest>;

/** The envelope from `offset` to its end as the reply's body, to whose claim the holder's vote is for. */
export const fetchMethod: Method<typeof fetchRequest, typeof noReply> = {
  name: 'fetch',
  request: fetchRequest,
  reply: noReply,
  admission: 'member',
};

const viewRequest = v.strictObject({
  /** a request signed by the owner's credential, or what a panel node has signed for the owner (voucher.ts) */
  proof: text(16 * 1024),
});
export type ViewRequest = v.InferOutput<typeof viewRequest>;

const pieceView = v.strictObject({
  job: jobId,
  ticket: bytes(1, maxTicketBytes),
  /** the claim that the vote is for, unless it has lapsed */
  claim: v.nullable(claimSchema),
  begun: v.boolean(),
  /** the share of a sleeping machine waits here for it */
  handoff: v.boolean(),
});
export type PieceView = v.InferOutput<typeof pieceView>;

const viewReply = v.strictObject({ pieces: v.pipe(v.array(pieceView), v.maxLength(maxPiecesPerView)) });
export type ViewReply = v.InferOutput<typeof viewReply>;

/** The tickets of an owner's jobs, to a node that the owner has sent. */
export const viewMethod: Method<typeof viewRequest, typeof viewReply> = {
  name: 'view',
  request: viewRequest,
  reply: viewReply,
  admission: 'member',
  maxBytes: maxPiecesPerView * (maxTicketBytes + 256),
};

/** What the owner's signed request says for `view` and `find`; its audience is the node that asks. */
export const viewPurpose = { method: 'GET', path: '/tickets' } as const;
