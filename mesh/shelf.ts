/**
 * What a holder keeps: pieces in a table, envelopes in a spool, and their way out again. The share goes first,
 * since without it nothing that may be left over can be read.
 */
import { decode, encode } from './codec.ts';
import { headerBytes } from './envelope.ts';
import { InkmeshError } from './errors.ts';
import { Expiry } from './expiry.ts';
import {
  afterRestart,
  emptyLease,
  type Lease,
  type LeaseAnswer,
  type LeaseEvent,
  leaseSchema,
  next,
  openClaims,
} from './lease.ts';
import type { FactLedger } from './ledger.ts';
import { expiryLook_ms } from './limits.ts';
import type { AgeTable, Clock, Log, Piece, PieceTable, Spool, SpoolWriter } from './ports.ts';
import type { StoreRequest } from './protocol.ts';
import { every } from './timing.ts';

export interface ShelfOptions {
  pieces: PieceTable;
  spool: Spool;
  age: AgeTable;
  ledger: Pick<FactLedger, 'about'>;
  clock: Clock;
  /** the median of this clock and at least two peers', null while fewer have been heard */
  agreed_ms(): number | null;
  log: Log;
}

export class Shelf {
  readonly #options: ShelfOptions;
  readonly #expiry: Expiry;
  /** jobs whose envelope is being written */
  readonly #storing = new Set<string>();
  readonly #damaged = new Set<string>();
  #closed = false;
  #endLooks = () => {};

  constructor(options: ShelfOptions) {
    this.#options = options;
    this.#expiry = new Expiry({ ...options, table: options.age });
  }

  /**
   * Ends what a crash left half-done: jobs that were over, votes of another run, envelopes without a piece. What
   * has been acknowledged stays, a piece too whose envelope is damaged: its share is as good as any.
   */
  async open(): Promise<void> {
    const { pieces, spool, clock } = this.#options;
    await this.#look();
    for (const job of pieces.jobs()) await this.#trying(job, () => this.#mend(job));
    for (const job of await spool.list()) {
      if (pieces.get(job) === undefined) await this.#trying(job, () => spool.remove(job));
    }
    this.#endLooks = every(clock, expiryLook_ms, () => void this.#look());
  }

  close(): void {
    this.#closed = true;
    this.#endLooks();
  }

  get(job: string): Piece | undefined {
    return this.#options.pieces.get(job);
  }

  /** What is kept of a user's and not past its time. */
  ofOwner(user: string): Piece[] {
    const now_ms = this.#options.clock.monotonic_ms();
    return this.#options.pieces.ofOwner(user).filter((piece) => !this.#expiry.isDue(piece, now_ms));
  }

  /** Jobs whose envelope is missing here, or is not as long as it was. */
  damaged(): string[] {
    return [...this.#damaged];
  }

  /**
   * Takes a job's name for whoever writes its envelope. @returns what gives it free
   * @param anew instead of what this node keeps of it
   * @throws InkmeshError `conflict` when this node keeps the job, or is being sent it
   */
  reserve(job: string, anew: boolean): () => void {
    if (this.#storing.has(job) || (!anew && this.get(job) !== undefined)) {
      throw new InkmeshError('conflict', 'this job is kept here already');
    }
    this.#storing.add(job);
    return () => this.#storing.delete(job);
  }

  /** Whether a job's name is taken: its envelope is being written, or at the node that accepts it, it is not sealed yet. */
  isStoring(job: string): boolean {
    return this.#storing.has(job);
  }

  /**
   * Keeps ticket and share of an envelope that is in the spool already. Resolves when they are durable.
   * @param age_ms how long others have kept it
   */
  async keep(from: string, request: StoreRequest, envelope: SpoolWriter, age_ms: number): Promise<void> {
    const { job, epoch, owner, submitter, ticket, share } = request;
    const header = await envelope.read(0, headerBytes);
    this.#expiry.note();
    await this.#options.pieces.put({
      ...{ job, epoch, owner, submitter, ticket, share, header },
      envelopeBytes: envelope.bytes,
      acceptedBy: from,
      stored_ms: this.#expiry.age_ms() - age_ms,
      afterOff: this.#expiry.off,
      sealed: false,
      lease: encode(emptyLease),
      handoff: null,
    });
  }

  ageOf(piece: Piece): number {
    return this.#expiry.age_ms() - piece.stored_ms;
  }

  lease(piece: Piece): Lease {
    return decode(leaseSchema, piece.lease);
  }

  /** One event of the lease: what it changes is durable before its answer is used. */
  step(piece: Piece, event: LeaseEvent): LeaseAnswer {
    const before = this.lease(piece);
    const { lease, answer } = next(before, event);
    if (lease !== before) this.#options.pieces.setLease(piece.job, encode(lease));
    return answer;
  }

  /** @throws InkmeshError `not-found` for a job past its retention, unless its owner is to say what became of it */
  refuseOver(piece: Piece): void {
    if (this.#expiry.isOver(piece) && openClaims(this.lease(piece)).length === 0) {
      throw new InkmeshError('not-found', 'this job was kept for as long as its site allows: print it again');
    }
  }

  async erase(job: string): Promise<void> {
    const { pieces, spool } = this.#options;
    try {
      await pieces.remove(job);
    } catch {
      // a full disk has no room for the record of a removal: the envelope makes some
      await spool.remove(job);
      await pieces.remove(job);
    }
    this.#damaged.delete(job);
    await spool.remove(job);
  }

  async #mend(job: string): Promise<void> {
    const piece = this.get(job);
    if (piece === undefined) return;
    const lease = this.lease(piece);
    if (lease.erased && openClaims(lease).length === 0) return await this.erase(piece.job);
    if (afterRestart(lease) !== lease) {
      this.#options.pieces.setLease(piece.job, encode(afterRestart(lease)));
    }
    const reader = await this.#options.spool.open(piece.job);
    const bytes = reader?.bytes ?? 0;
    await reader?.close();
    if (bytes === piece.envelopeBytes) return;
    this.#damaged.add(piece.job);
    const fields = { job: piece.job, bytes, expected: piece.envelopeBytes };
    this.#options.log('error', 'an envelope is damaged here: the job needs another holder’s', fields);
  }

  /** Erases what is past its time. */
  async #look(): Promise<void> {
    const jobs = this.#options.pieces.jobs();
    if (jobs.length === 0) return;
    await this.#trying('', () => this.#expiry.note());
    for (const job of jobs) {
      if (this.#closed) return;
      // what this node is accepting right now is in the hands of its acceptor
      if (!this.#storing.has(job)) await this.#trying(job, () => this.#expire(job));
    }
  }

  async #expire(job: string): Promise<void> {
    // read anew: it may have been sealed, or claimed, while another was being erased
    const piece = this.get(job);
    if (piece === undefined || !this.#expiry.isDue(piece, this.#options.clock.monotonic_ms())) return;
    await this.erase(job);
    const what = piece.sealed ? 'a job has expired' : 'a job that was never sealed is dropped';
    this.#options.log('info', what, { job });
  }

  /** For work that nobody waits for: what goes wrong is tried again at the next look, or the next start. */
  async #trying(job: string, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#options.log('error', 'a piece cannot be mended or erased', { job, reason: String(thrown) });
    }
  }
}
