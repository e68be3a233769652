/**
 * A holder: keeps pieces (envelope, ticket, share) of other nodes' jobs and its own, and answers for them. A
 * decision and its write are one synchronous step, so no two requests can come between; every answer follows
 * the write that it tells of.
 */
import type { NodeIdentity, Trust } from './certificate.ts';
import { isCloud } from './cloud.ts';
import { encode } from './codec.ts';
import { envelopeIn } from './document.ts';
import { plaintextLength } from './envelope.ts';
import { InkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import { Fence } from './fence.ts';
import { isPast, jobsDocOf, rowOf } from './facts.ts';
import { fitsPiece, handsOver, hasEnded, type JobBody, type SettledBody, signReceipt } from './job-facts.ts';
import { isJobIdOf } from './job-id.ts';
import { claimantOf, type LeaseAnswer, type LeaseEvent, openClaims } from './lease.ts';
import type { FactLedger } from './ledger.ts';
import { maxEnvelopeBytes, maxPiecesPerAuthor, maxPiecesPerView, voteLease_ms } from './limits.ts';
import { type Judging, ownerViewed, permitted } from './permission.ts';
import { longestRetention } from './policy.ts';
import type { AgeTable, Clock, Log, Piece, PieceTable, Spool, SpoolWriter, Storage } from './ports.ts';
import {
  type AbandonRequest,
  type BeginReply,
  type ClaimRequest,
  type FetchRequest,
  type SealRequest,
  type SettleRequest,
  type StoreRequest,
  type ViewReply,
  type ViewRequest,
  type VoteReply,
  type VoteRequest,
} from './protocol.ts';
import { refusalError } from './refusal.ts';
import type { Body } from './rpc.ts';
import { unseal } from './seal.ts';
import { shareBytes } from './shares.ts';
import { Shelf } from './shelf.ts';
import { Vouched } from './vouched.ts';

export interface CustodyOptions {
  /** `sealKey` opens what is sealed for this node */
  self: { peerId: string; site: string; key: CryptoKey; sealKey: string };
  trust: Trust;
  pieces: PieceTable;
  together: Storage['together'];
  spool: Spool;
  age: AgeTable;
  ledger: FactLedger;
  clock: Clock;
  /** agreed with the peers: grants are judged by it */
  now_ms(): number;
  /** the median of this clock and at least two peers', null while fewer have been heard */
  agreed_ms(): number | null;
  /** a connected node, as its certificate names it: it need have stated nothing */
  member(peer: string): NodeIdentity | undefined;
  log: Log;
}

export class Custody {
  readonly #options: CustodyOptions;
  readonly #shelf: Shelf;
  readonly #vouched: Vouched;
  readonly fence: Fence;

  private constructor(options: CustodyOptions) {
    this.#options = options;
    this.#shelf = new Shelf(options);
    this.#vouched = new Vouched(options.clock, options.log);
    this.fence = new Fence({ ...options, storing: (job) => this.#shelf.isStoring(job) });
  }

  /** Ends what a crash left half-done, see `Shelf.open`; what was taken back meanwhile goes. */
  static async open(options: CustodyOptions): Promise<Custody> {
    const custody = new Custody(options);
    const { pieces, ledger } = options;
    for (const job of pieces.jobs()) {
      for (const fact of ledger.about('job', job)) await custody.#logged(custody.#sealHeard(fact));
    }
    await custody.#shelf.open();
    for (const job of pieces.jobs()) {
      const withdrawn = ledger.latest('withdrawn', job);
      if (withdrawn !== undefined) await custody.#logged(custody.#withdrawn(withdrawn));
      for (const fact of ledger.about('settled', job)) await custody.#logged(custody.#settled(fact));
    }
    ledger.onFact((fact) => {
      if (fact.kind === 'withdrawn') void custody.#logged(custody.#withdrawn(fact));
      if (fact.kind === 'job') void custody.#logged(custody.#sealHeard(fact));
      if (fact.kind === 'settled') void custody.#logged(custody.#settled(fact));
    });
    return custody;
  }

  close(): void {
    this.#shelf.close();
  }

  /** Jobs whose envelope is missing here, or is not as long as it was. */
  damaged(): string[] {
    return this.#shelf.damaged();
  }

  /** @returns octets of the envelope, when all three are durable */
  async store(from: string, request: StoreRequest, body: Body): Promise<{ envelopeBytes: number }> {
    const { job } = request;
    const { spool } = this.#options;
    const free = this.reserve(from, job);
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
        await this.keep(from, request, writer);
        await writer.close();
        await this.#catchUp(job);
        return { envelopeBytes: writer.bytes };
      } catch (error) {
        await writer.abort();
        throw error;
      }
    } finally {
      free();
    }
  }

  /** What was heard of a job while its piece was on its way here: it may do without this node, or have been given up. */
  async #catchUp(job: string): Promise<void> {
    const { pieces, ledger } = this.#options;
    for (const fact of ledger.about('job', job)) await this.#sealHeard(fact);
    const withdrawn = ledger.latest('withdrawn', job);
    if (withdrawn !== undefined) await this.#withdrawn(withdrawn);
    if (pieces.get(job) === undefined) {
      throw new InkmeshError('conflict', 'the job has been accepted without this node, or given up');
    }
  }

  /**
   * Keeps ticket and share of an envelope that is in the spool already. Resolves when they are durable.
   * @param age_ms how long others have kept it
   */
  keep(from: string, request: StoreRequest, envelope: SpoolWriter, age_ms = 0): Promise<void> {
    return this.#shelf.keep(from, request, envelope, age_ms);
  }

  /** How long a piece has been kept, by this node's own age. */
  ageOf(piece: Piece): number {
    return this.#shelf.ageOf(piece);
  }

  /**
   * Takes a job's name for whoever writes its envelope. @returns what gives it free
   * @param author PeerId of the node that accepts it
   * @param anew instead of what this node keeps of it
   * @throws InkmeshError `conflict` when this node keeps the job, or is being sent it; `unavailable` when it keeps
   *   as many of the author's as it may
   */
  reserve(author: string, job: string, anew = false): () => void {
    if (!isJobIdOf(job, author)) {
      throw new InkmeshError('forbidden', 'a job’s id is of the node that accepts it');
    }
    if (this.#options.pieces.countOf(author) >= maxPiecesPerAuthor) {
      const message = 'this machine keeps as many jobs of that node as it may: release or cancel some';
      throw new InkmeshError('unavailable', message, { full: 'quota' });
    }
    return this.#shelf.reserve(job, anew);
  }

  async seal(from: string, request: SealRequest): Promise<void> {
    const { pieces, ledger } = this.#options;
    const fact = await ledger.judge(request.fact);
    const piece = pieces.get(request.job);
    if (piece === undefined || fact.kind !== 'job' || fact.subject !== request.job) {
      throw new InkmeshError('not-found', 'this job is not kept here');
    }
    const { peerId } = this.#options.self;
    if (
      fact.author !== from || !fitsPiece(fact, piece, peerId) ||
      !handsOver(fact, piece, request.handoff, peerId)
    ) {
      throw new InkmeshError('forbidden', 'the job fact is not of the piece that is kept here');
    }
    const site = jobsDocOf(fact.doc)?.site ?? '';
    if (isPast(fact.doc, longestRetention(ledger, site), this.#options.now_ms())) {
      throw new InkmeshError('forbidden', 'the job fact is of a day whose facts are gone: set the clock');
    }
    const { handoff } = request;
    const waiting = handoff === null ? null : encode([handoff, request.fact]);
    await this.fence.seal(piece, async () => {
      const row = rowOf(fact, request.fact);
      const written = ledger.holdBack(row.id);
      try {
        await pieces.seal(request.job, row, waiting);
        ledger.noteHeld(fact, request.fact);
      } finally {
        written();
      }
    });
  }

  /**
   * A job fact that came with the facts: its author died after some holders had sealed, and before this one; or
   * this one dropped out in mid-store, and its share is another holder's.
   */
  async #sealHeard(fact: Fact): Promise<void> {
    const piece = this.#options.pieces.get(fact.subject);
    if (piece === undefined || piece.sealed) return;
    // the one that accepts it is still at it, and decides (sealing.ts)
    if (piece.acceptedBy === this.#options.self.peerId && this.#shelf.isStoring(fact.subject)) return;
    const { holders } = fact.body as JobBody;
    const replaced = fact.author === piece.acceptedBy && !holders.includes(this.#options.self.peerId);
    if (replaced) return await this.#shelf.erase(fact.subject);
    if (!fitsPiece(fact, piece, this.#options.self.peerId)) return;
    // a sleeper's share comes to it sealed: one that it was sent before may be another holder's now
    if ((fact.body as JobBody).sleeper === this.#options.self.peerId) return;
    this.#options.pieces.markSealed(fact.subject);
  }

  async abandon(from: string, { job }: AbandonRequest): Promise<void> {
    const piece = this.#options.pieces.get(job);
    if (piece === undefined) return;
    if (piece.acceptedBy !== from || piece.sealed) {
      throw new InkmeshError('forbidden', 'this job is not yours to drop');
    }
    await this.#shelf.erase(job);
  }

  async vote(from: string, request: VoteRequest): Promise<VoteReply> {
    const { job, epoch, claim, permission } = request;
    this.#ownClaim(from, claim);
    const held = this.#held(job);
    const allowed = await permitted(permission, held, claim, this.#judging());
    const { nonce, target, confirm, prints, panel } = allowed;
    if (this.#options.ledger.latest('withdrawn', job) !== undefined) {
      throw new InkmeshError('not-found', 'this job was taken back before it was accepted: print it again');
    }
    if (panel !== null) this.#vouched.note(panel, held.owner, { job, prints });
    // who may only cancel gets no share
    const share = prints ? await this.#shareOf(held) : new Uint8Array(0);
    // from here to the write nothing else runs
    const piece = this.#held(job);
    if (piece.epoch !== epoch) {
      throw new InkmeshError('conflict', 'the job’s holders have changed: try again');
    }
    this.#shelf.refuseOver(piece);
    const now_ms = Math.trunc(this.#options.clock.monotonic_ms());
    const event: LeaseEvent = { type: 'vote', claim, nonce, target, confirm, now_ms, lease_ms: voteLease_ms };
    const answer = this.#shelf.step(piece, event);
    if (answer.type !== 'granted') throw refusalError(answer);
    return { share, ticket: piece.ticket, header: piece.header };
  }

  async begin(from: string, { job, epoch, claim }: ClaimRequest): Promise<BeginReply> {
    this.#ownClaim(from, claim);
    const answer = this.#shelf.step(this.#held(job), { type: 'begin', claim });
    if (answer.type !== 'begun') throw refusalError(answer);
    const { self } = this.#options;
    return { receipt: await signReceipt(self.key, { job, epoch, claim, holder: self.peerId }) };
  }

  async yield(from: string, { job, claim }: ClaimRequest): Promise<void> {
    this.#ownClaim(from, claim);
    const piece = this.#options.pieces.get(job);
    if (piece !== undefined) await this.#concluded(job, this.#shelf.step(piece, { type: 'yield', claim }));
  }

  async settle(from: string, request: SettleRequest): Promise<void> {
    const { pieces, ledger } = this.#options;
    if (pieces.get(request.job) === undefined && !this.#mayBeGiven(request.job)) return;
    const fact = await ledger.judge(request.fact);
    if (fact.kind !== 'settled' || fact.subject !== request.job || fact.author !== from) {
      throw new InkmeshError('forbidden', 'only the claimant settles its claim');
    }
    // first of all: who is given the job later must know that it has ended
    if ((fact.body as SettledBody).outcome !== 'failed') {
      await ledger.addWith(this.#options.together, fact, request.fact);
    }
    await this.#settled(fact);
  }

  /** A claim has ended, as its claimant has told this node, or as the facts have: it may have died since. */
  async #settled(fact: Fact): Promise<void> {
    const piece = this.#options.pieces.get(fact.subject);
    if (piece === undefined) return;
    const { claim, outcome } = fact.body as SettledBody;
    await this.#concluded(piece.job, this.#shelf.step(piece, { type: 'settle', claim, outcome }));
  }

  /** The envelope from `offset` on (nothing past its end), for the claim that has this holder's vote. */
  fetch(from: string, { job, claim, offset }: FetchRequest): Promise<Body> {
    this.#ownClaim(from, claim);
    const piece = this.#options.pieces.get(job);
    // its share may be gone by now: another claim of the job has printed while this one went on
    if (piece === undefined || this.#shelf.lease(piece).vote?.claim !== claim) {
      throw new InkmeshError('forbidden', 'the envelope goes to the claim that has the vote');
    }
    return Promise.resolve(envelopeIn(this.#options.spool, job, offset, 'unavailable'));
  }

  /** What is kept here for the owner who signed the proof, and sent the node that shows it. */
  async view(from: string, { proof }: ViewRequest): Promise<ViewReply> {
    const { user, panel } = await ownerViewed(from, proof, this.#judging());
    if (panel !== null) this.#vouched.note(panel, user, 'list');
    return { pieces: this.viewOf(user) };
  }

  #judging(): Judging {
    const { trust, ledger, self, now_ms } = this.#options;
    return { trust, known: ledger, site: self.site, now_ms: now_ms() };
  }

  viewOf(owner: string, which: (piece: Piece) => boolean = () => true): ViewReply['pieces'] {
    const now_ms = this.#options.clock.monotonic_ms();
    return this.#shelf.ofOwner(owner).filter((piece) => piece.sealed && which(piece)).slice(
      0,
      maxPiecesPerView,
    ).map(
      (piece) => {
        const { vote } = this.#shelf.lease(piece);
        const lapsed = vote?.phase === 'voted' && (vote.lapses_ms === null || vote.lapses_ms < now_ms);
        return {
          job: piece.job,
          ticket: piece.ticket,
          claim: lapsed ? null : vote?.claim ?? null,
          begun: vote !== null && vote.phase !== 'voted',
          handoff: piece.handoff !== null,
        };
      },
    );
  }

  #held(job: string): Piece {
    const piece = this.#options.pieces.get(job);
    if (!piece?.sealed && this.#mayBeGiven(job)) {
      throw new InkmeshError('unavailable', 'this node has just woken up: it has not been given the job yet');
    }
    if (piece === undefined || !piece.sealed || piece.share.length === 0) {
      throw new InkmeshError('not-found', 'this job is not held here any more');
    }
    return piece;
  }

  /** Whether others may be keeping this node's share of a job for it. */
  #mayBeGiven(job: string): boolean {
    const { ledger, self } = this.#options;
    const fact = ledger.first('job', job);
    return fact !== undefined && (fact.body as JobBody).sleeper === self.peerId && !hasEnded(ledger, job);
  }

  /** What a vote gives: the share, or of a job with one holder the key, which is kept sealed. */
  async #shareOf(piece: Piece): Promise<Uint8Array> {
    return piece.share.length <= shareBytes
      ? piece.share
      : await unseal(this.#options.self.sealKey, piece.share);
  }

  async #concluded(job: string, answer: LeaseAnswer): Promise<void> {
    const withdrawn = this.#options.ledger.latest('withdrawn', job);
    if (answer.type === 'freed' && withdrawn !== undefined) await this.#withdrawn(withdrawn);
    if (answer.type !== 'erase') return;
    this.#options.pieces.dropShare(job);
    const piece = this.#options.pieces.get(job);
    if (piece !== undefined && openClaims(this.#shelf.lease(piece)).length === 0) {
      await this.#shelf.erase(job);
    }
  }

  async #withdrawn(fact: Fact): Promise<void> {
    const piece = this.#options.pieces.get(fact.subject);
    if (piece !== undefined && this.#shelf.lease(piece).vote === null) await this.#shelf.erase(fact.subject);
  }

  /** For work that nobody waits for: what goes wrong is tried again at the next start. */
  async #logged(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (thrown) {
      this.#options.log('error', 'a piece cannot be sealed or erased', { reason: String(thrown) });
    }
  }

  /** A cloud node brings nothing to a printer: with a vote for a claim of its own it would read what it is to relay. */
  #ownClaim(from: string, claim: string): void {
    if (claimantOf(claim) !== from) {
      throw new InkmeshError('forbidden', 'a node speaks for its own claims only');
    }
    const claimant = this.#options.member(from);
    if (claimant !== undefined && isCloud(claimant)) {
      throw new InkmeshError('forbidden', 'a cloud node gets no document');
    }
  }
}
