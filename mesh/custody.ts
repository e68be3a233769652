/**
 * A holder: keeps pieces (envelope, ticket, share) of other nodes' jobs and its own, and answers for them. A
 * decision and its write are one synchronous step, so no two requests can come between; every answer follows
 * the write that it tells of.
 */
import type { Trust } from './certificate.ts';
import { decode, encode } from './codec.ts';
import { headerBytes, plaintextLength } from './envelope.ts';
import { InkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import { rowOf } from './facts.ts';
import { type JobBody, type SettledBody, signReceipt } from './job-facts.ts';
import {
  afterRestart,
  claimantOf,
  emptyLease,
  type Lease,
  type LeaseAnswer,
  type LeaseEvent,
  leaseSchema,
  next,
  openClaims,
} from './lease.ts';
import type { FactLedger } from './ledger.ts';
import {
  maxBodyFrameBytes,
  maxEnvelopeBytes,
  maxPiecesPerView,
  unsealedAge_ms,
  voteLease_ms,
} from './limits.ts';
import { permitted } from './permission.ts';
import type { Clock, Log, Piece, PieceTable, Spool } from './ports.ts';
import {
  type AbandonRequest,
  type BeginReply,
  type ClaimRequest,
  type FetchRequest,
  type SealRequest,
  type SettleRequest,
  type StoreRequest,
  viewPurpose,
  type ViewReply,
  type ViewRequest,
  type VoteReply,
  type VoteRequest,
} from './protocol.ts';
import { refusalError } from './refusal.ts';
import { verifyRequest } from './request.ts';
import type { Body } from './rpc.ts';
import { every } from './timing.ts';

export interface CustodyOptions {
  self: { peerId: string; key: CryptoKey };
  trust: Trust;
  pieces: PieceTable;
  spool: Spool;
  ledger: FactLedger;
  clock: Clock;
  /** agreed with the peers: grants are judged by it */
  now_ms(): number;
  log: Log;
}

export class Custody {
  readonly #options: CustodyOptions;
  /** jobs whose envelope is being written */
  readonly #storing = new Set<string>();
  /** when pieces without a job fact were stored, by the monotonic clock of this run */
  readonly #unsealed = new Map<string, number>();
  readonly #endSweeps: () => void;

  private constructor(options: CustodyOptions) {
    this.#options = options;
    this.#endSweeps = every(
      options.clock,
      unsealedAge_ms / 10,
      () => this.#logged(this.#sweepUnsealed()),
    );
  }

  /** Ends what a crash left half-done: pieces without a job fact, envelopes without a piece, votes of another run. */
  static async open(options: CustodyOptions): Promise<Custody> {
    const custody = new Custody(options);
    const { pieces, spool, ledger } = options;
    for (const piece of pieces.list()) {
      const lease = custody.#lease(piece);
      const fact = ledger.latest('job', piece.job);
      if (fact !== undefined) custody.#sealHeard(fact);
      if (!pieces.get(piece.job)?.sealed || (lease.erased && openClaims(lease).length === 0)) {
        await custody.#erase(piece.job);
      } else if (afterRestart(lease) !== lease) pieces.setLease(piece.job, encode(afterRestart(lease)));
    }
    for (const { job } of pieces.list()) {
      const withdrawn = ledger.latest('withdrawn', job);
      if (withdrawn !== undefined) await custody.#withdrawn(withdrawn);
    }
    for (const job of await spool.list()) if (pieces.get(job) === undefined) await spool.remove(job);
    ledger.onFact((fact) => {
      if (fact.kind === 'withdrawn') custody.#logged(custody.#withdrawn(fact));
      if (fact.kind === 'job') custody.#sealHeard(fact);
    });
    return custody;
  }

  close(): void {
    this.#endSweeps();
  }

  /** @returns octets of the envelope, when all three are durable */
  async store(from: string, request: StoreRequest, body: Body): Promise<{ envelopeBytes: number }> {
    const { job } = request;
    const { spool } = this.#options;
    const free = this.reserve(job);
    try {
      const writer = await spool.create(job);
      try {
        for await (const chunk of body) {
          if (writer.bytes + chunk.length > maxEnvelopeBytes) {
            throw new InkmeshError('too-large', 'the job is too large');
          }
          await writer.write(chunk);
        }
        plaintextLength(writer.bytes);
        await writer.finish();
        this.keep(from, request, writer.bytes);
        await writer.close();
        return { envelopeBytes: writer.bytes };
      } catch (error) {
        await writer.abort();
        throw error;
      }
    } finally {
      free();
    }
  }

  /** Keeps ticket and share of an envelope that is in the spool already. Durable when it returns. */
  keep(from: string, request: StoreRequest, envelopeBytes: number): void {
    const { job, epoch, owner, submitter, ticket, share } = request;
    this.#options.pieces.put({
      ...{ job, epoch, owner, submitter, ticket, share, envelopeBytes },
      acceptedBy: from,
      stored_ms: this.#options.clock.wall_ms(),
      sealed: false,
      lease: encode(emptyLease),
    });
    this.#unsealed.set(job, this.#options.clock.monotonic_ms());
  }

  /**
   * Takes a job's name for whoever writes its envelope. @returns what gives it free
   * @throws InkmeshError `conflict` when this node keeps the job, or is being sent it
   */
  reserve(job: string): () => void {
    if (this.#storing.has(job) || this.#options.pieces.get(job) !== undefined) {
      throw new InkmeshError('conflict', 'this job is kept here already');
    }
    this.#storing.add(job);
    return () => this.#storing.delete(job);
  }

  async seal(from: string, request: SealRequest): Promise<void> {
    const { pieces, ledger } = this.#options;
    const fact = await ledger.judge(request.fact);
    const piece = pieces.get(request.job);
    if (piece === undefined || fact.kind !== 'job' || fact.subject !== request.job) {
      throw new InkmeshError('not-found', 'this job is not kept here');
    }
    if (fact.author !== from || !this.#fits(fact, piece)) {
      throw new InkmeshError('forbidden', 'the job fact is not of the piece that is kept here');
    }
    pieces.seal(request.job, rowOf(fact, request.fact));
    this.#unsealed.delete(request.job);
    ledger.noteHeld(fact, request.fact);
  }

  /** A job fact that came with the facts: its author died after some holders had sealed, and before this one. */
  #sealHeard(fact: Fact): void {
    const piece = this.#options.pieces.get(fact.subject);
    if (piece === undefined || piece.sealed || !this.#fits(fact, piece)) return;
    this.#options.pieces.markSealed(fact.subject);
    this.#unsealed.delete(fact.subject);
  }

  /** Whether the job fact is that of the piece, by the node that gave it. */
  #fits(fact: Fact, piece: Piece): boolean {
    const { holders, owner, bytes, epoch } = fact.body as JobBody;
    return piece.acceptedBy === fact.author && holders.includes(this.#options.self.peerId) &&
      piece.owner === owner && piece.epoch === epoch && plaintextLength(piece.envelopeBytes) === bytes;
  }

  async abandon(from: string, { job }: AbandonRequest): Promise<void> {
    const piece = this.#options.pieces.get(job);
    if (piece === undefined) return;
    if (piece.acceptedBy !== from || piece.sealed) {
      throw new InkmeshError('forbidden', 'this job is not yours to drop');
    }
    await this.#erase(job);
  }

  async vote(from: string, request: VoteRequest): Promise<VoteReply> {
    const { job, epoch, claim, permission } = request;
    ownClaim(from, claim);
    const { trust } = this.#options;
    const held = this.#held(job);
    const { nonce, target, confirm, prints } = await permitted(
      permission,
      held,
      claim,
      trust,
      this.#options.now_ms(),
    );
    const header = await this.#header(job);
    // from here to the write nothing else runs
    const piece = this.#held(job);
    if (piece.epoch !== epoch) {
      throw new InkmeshError('conflict', 'the job’s holders have changed: try again');
    }
    const now_ms = Math.trunc(this.#options.clock.monotonic_ms());
    const event: LeaseEvent = { type: 'vote', claim, nonce, target, confirm, now_ms, lease_ms: voteLease_ms };
    const answer = this.#step(piece, event);
    if (answer.type !== 'granted') throw refusalError(answer);
    // who may only cancel gets no share
    const share = prints ? piece.share : new Uint8Array(0);
    return { share, ticket: piece.ticket, header };
  }

  async begin(from: string, { job, epoch, claim }: ClaimRequest): Promise<BeginReply> {
    ownClaim(from, claim);
    const answer = this.#step(this.#held(job), { type: 'begin', claim });
    if (answer.type !== 'begun') throw refusalError(answer);
    const { self } = this.#options;
    return { receipt: await signReceipt(self.key, { job, epoch, claim, holder: self.peerId }) };
  }

  async yield(from: string, { job, claim }: ClaimRequest): Promise<void> {
    ownClaim(from, claim);
    const piece = this.#options.pieces.get(job);
    if (piece !== undefined) await this.#concluded(job, this.#step(piece, { type: 'yield', claim }));
  }

  async settle(from: string, request: SettleRequest): Promise<void> {
    const { pieces, ledger } = this.#options;
    if (pieces.get(request.job) === undefined) return;
    const fact = await ledger.judge(request.fact);
    if (fact.kind !== 'settled' || fact.subject !== request.job || fact.author !== from) {
      throw new InkmeshError('forbidden', 'only the claimant settles its claim');
    }
    const { claim, outcome } = fact.body as SettledBody;
    const piece = pieces.get(request.job);
    if (piece === undefined) return;
    const answer = this.#step(piece, { type: 'settle', claim, outcome });
    if (outcome !== 'failed') ledger.add(fact, request.fact);
    await this.#concluded(request.job, answer);
  }

  /** The envelope from `offset` on (nothing past its end), for the claim that has this holder's vote. */
  async fetch(from: string, { job, claim, offset }: FetchRequest): Promise<Body> {
    ownClaim(from, claim);
    if (this.#lease(this.#held(job)).vote?.claim !== claim) {
      throw new InkmeshError('forbidden', 'the envelope goes to the claim that has the vote');
    }
    const reader = await this.#options.spool.open(job);
    if (reader === undefined) throw new InkmeshError('unavailable', 'the envelope is missing here');
    return (async function* () {
      try {
        for (let at = offset; at < reader.bytes; at += maxBodyFrameBytes) {
          yield await reader.read(at, Math.min(maxBodyFrameBytes, reader.bytes - at));
        }
      } finally {
        await reader.close();
      }
    })();
  }

  /** What is kept here for the owner who signed the proof, and sent the node that shows it. */
  async view(from: string, { proof }: ViewRequest): Promise<ViewReply> {
    const expected = { ...viewPurpose, audience: from };
    const { by } = await verifyRequest(this.#options.trust, proof, expected, this.#options.now_ms());
    return { pieces: this.viewOf((piece) => piece.owner === by.user) };
  }

  viewOf(which: (piece: Piece) => boolean): ViewReply['pieces'] {
    const now_ms = this.#options.clock.monotonic_ms();
    return this.#options.pieces.list().filter((piece) => piece.sealed && which(piece)).slice(
      0,
      maxPiecesPerView,
    ).map(
      (piece) => {
        const { vote } = this.#lease(piece);
        const lapsed = vote?.phase === 'voted' && (vote.lapses_ms === null || vote.lapses_ms < now_ms);
        return {
          job: piece.job,
          ticket: piece.ticket,
          claim: lapsed ? null : vote?.claim ?? null,
          begun: vote !== null && vote.phase !== 'voted',
        };
      },
    );
  }

  #held(job: string): Piece {
    const piece = this.#options.pieces.get(job);
    if (piece === undefined || !piece.sealed || piece.share.length === 0) {
      throw new InkmeshError('not-found', 'this job is not held here any more');
    }
    return piece;
  }

  #lease(piece: Piece): Lease {
    return decode(leaseSchema, piece.lease);
  }

  /** One event of the lease: what it changes is durable before its answer is used. */
  #step(piece: Piece, event: LeaseEvent): LeaseAnswer {
    const before = this.#lease(piece);
    const { lease, answer } = next(before, event);
    if (lease !== before) this.#options.pieces.setLease(piece.job, encode(lease));
    return answer;
  }

  async #concluded(job: string, answer: LeaseAnswer): Promise<void> {
    const withdrawn = this.#options.ledger.latest('withdrawn', job);
    if (answer.type === 'freed' && withdrawn !== undefined) await this.#withdrawn(withdrawn);
    if (answer.type !== 'erase') return;
    this.#options.pieces.dropShare(job);
    const piece = this.#options.pieces.get(job);
    if (piece !== undefined && openClaims(this.#lease(piece)).length === 0) await this.#erase(job);
  }

  async #header(job: string): Promise<Uint8Array> {
    const reader = await this.#options.spool.open(job);
    if (reader === undefined) throw new InkmeshError('unavailable', 'the envelope is missing here');
    try {
      return await reader.read(0, headerBytes);
    } finally {
      await reader.close();
    }
  }

  async #erase(job: string): Promise<void> {
    // the share first: without it nothing that may be left over can be read
    this.#options.pieces.remove(job);
    this.#unsealed.delete(job);
    await this.#options.spool.remove(job);
  }

  async #withdrawn(fact: Fact): Promise<void> {
    const piece = this.#options.pieces.get(fact.subject);
    if (piece !== undefined && this.#lease(piece).vote === null) await this.#erase(fact.subject);
  }

  /** Pieces whose accepting node never sealed them. */
  async #sweepUnsealed(): Promise<void> {
    const before_ms = this.#options.clock.monotonic_ms() - unsealedAge_ms;
    for (const [job, stored_ms] of [...this.#unsealed]) {
      const piece = this.#options.pieces.get(job);
      // what this node is accepting right now is in the hands of `accept`
      const given = piece !== undefined && !piece.sealed && !this.#storing.has(job);
      if (given && stored_ms < before_ms) await this.#erase(job);
    }
  }

  /** For work that nobody waits for: what goes wrong is tried again at the next start, or the next sweep. */
  #logged(work: Promise<void>): void {
    work.catch((thrown) =>
      this.#options.log('error', 'a piece cannot be erased', { reason: String(thrown) })
    );
  }
}

function ownClaim(from: string, claim: string): void {
  if (claimantOf(claim) !== from) {
    throw new InkmeshError('forbidden', 'a node speaks for its own claims only');
  }
}
