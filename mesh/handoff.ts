/**
 * Hinted handoff: a job that was accepted while one of its three holders was asleep. The two that were awake keep
 * that one's share, sealed for it, and give it the whole piece when it wakes; then they drop the sealed share. It
 * takes a piece once, and none of a job that has ended: a vote that it gave and forgot would be a second one.
 */
import * as v from 'valibot';
import { bytes, decode } from './codec.ts';
import type { Custody } from './custody.ts';
import { envelopeIn } from './document.ts';
import { envelopeLength } from './envelope.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import type { Holders } from './holder.ts';
import { handedDigest, hasEnded, type JobBody, jobKind } from './job-facts.ts';
import type { FactLedger } from './ledger.ts';
import {
  docGrace_ms,
  handoffLook_ms,
  handoffRetryMax_ms,
  handoffRetryMin_ms,
  maxFactBytes,
  maxRetention_ms,
  maxSealedBytes,
} from './limits.ts';
import type { Clock, Log, PieceTable, Spool } from './ports.ts';
import type { HandoffRequest } from './protocol.ts';
import type { Body } from './rpc.ts';
import { unseal } from './seal.ts';
import { shareBytes } from './shares.ts';
import { every } from './timing.ts';

const waitingSchema = v.strictTuple([bytes(1, maxSealedBytes), bytes(1, maxFactBytes)]);

export interface HandoffOptions {
  self: { peerId: string; sealKey: string };
  custody: Custody;
  holders: Holders;
  pieces: PieceTable;
  spool: Spool;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
  /** agreed with the peers */
  now_ms(): number;
  /** whether a member is connected */
  isLinked(peer: string): boolean;
}

export class Handoff {
  readonly #options: HandoffOptions;
  readonly #end: () => void;
  /** sleepers that are being given something; one job at a time */
  readonly #giving = new Set<string>();
  /** jobs that could not be given, and when, by the monotonic clock, they are tried again */
  readonly #delayed = new Map<string, { next_ms: number; delay_ms: number }>();

  constructor(options: HandoffOptions) {
    this.#options = options;
    this.#end = every(options.clock, handoffLook_ms, () => this.look());
  }

  close(): void {
    this.#end();
  }

  /** A node that could not be reached can be now: what is kept for it is given at once. */
  woke(peer: string): void {
    for (const job of this.#delayed.keys()) if (this.#sleeperOf(job) === peer) this.#delayed.delete(job);
    this.look();
  }

  /** Tries to give the sleepers what is kept for them. Nobody waits for it. */
  look(): void {
    const { pieces, clock } = this.#options;
    const jobs = pieces.handoffs();
    const waiting = new Set(jobs);
    for (const job of this.#delayed.keys()) if (!waiting.has(job)) this.#delayed.delete(job);
    const now_ms = clock.monotonic_ms();
    const due = jobs.filter((job) => (this.#delayed.get(job)?.next_ms ?? 0) <= now_ms);
    for (const [peer, mine] of Map.groupBy(due, (job) => this.#sleeperOf(job))) {
      if (peer !== null && !this.#giving.has(peer)) void this.#giveAll(peer, mine);
    }
  }

  #sleeperOf(job: string): string | null {
    const fact = this.#options.ledger.first('job', job);
    return fact === undefined ? null : (fact.body as JobBody).sleeper;
  }

  /** Never rejects. */
  async #giveAll(peer: string, jobs: readonly string[]): Promise<void> {
    this.#giving.add(peer);
    for (const [i, job] of jobs.entries()) {
      try {
        await this.#give(peer, job);
        this.#delayed.delete(job);
      } catch (thrown) {
        const reason = asInkmeshError(thrown).message;
        this.#options.log('info', 'a job cannot be handed over yet', { job, peer, reason });
        this.#delay(job);
        // what is wrong with one job must not keep the others from it
        if (this.#options.isLinked(peer)) continue;
        // it is still asleep: the others need not try
        jobs.slice(i + 1).forEach((other) => this.#delay(other));
        break;
      }
    }
    this.#giving.delete(peer);
  }

  #delay(job: string): void {
    const before_ms = this.#delayed.get(job)?.delay_ms ?? handoffRetryMin_ms / 2;
    const delay_ms = Math.min(before_ms * 2, handoffRetryMax_ms);
    this.#delayed.set(job, { next_ms: this.#options.clock.monotonic_ms() + delay_ms, delay_ms });
  }

  /** Resolves when the sleeper has its piece and the share that was kept for it is gone here. */
  async #give(peer: string, job: string): Promise<void> {
    const { custody, holders, pieces, spool, ledger } = this.#options;
    const piece = pieces.get(job);
    if (piece === undefined || piece.handoff === null || hasEnded(ledger, job)) return;
    const { submitter, ticket } = piece;
    const [handoff, fact] = decode(waitingSchema, piece.handoff);
    const age_ms = Math.min(custody.ageOf(piece), maxRetention_ms);
    const request = { job, age_ms, submitter, ticket, handoff, fact };
    try {
      await holders(peer).handoff(request, envelopeIn(spool, job, 0, 'corrupt'));
    } catch (thrown) {
      if (asInkmeshError(thrown).about['kept'] === undefined) throw thrown;
    }
    pieces.dropHandoff(job);
  }

  /**
   * Takes what was kept for this node while it slept; resolves when it is durable.
   * @throws InkmeshError `conflict` with details `kept` when it has it, `not-found` when the job has ended
   */
  async take(from: string, request: HandoffRequest, body: Body): Promise<void> {
    const { custody, spool, ledger, self } = this.#options;
    const { job, submitter, ticket, handoff } = request;
    const fact = await ledger.judge(request.fact);
    this.#checkFact(fact, from, request);
    this.#refuseUnwanted(job);
    const share = await unseal(self.sealKey, handoff);
    if (share.length !== shareBytes) throw new InkmeshError('corrupt', 'the share that was sealed is none');
    const { owner, bytes } = fact.body as JobBody;
    const free = custody.reserve(fact.author, job, true);
    try {
      // what its author once sent here and this node never sealed
      await custody.abandon(fact.author, { job });
      const writer = await spool.create(job);
      try {
        for await (const part of body) {
          if (writer.bytes + part.length > envelopeLength(bytes)) break;
          await writer.write(part);
        }
        if (writer.bytes !== envelopeLength(bytes)) {
          throw new InkmeshError('corrupt', 'the envelope has another length than the job fact says');
        }
        await writer.finish();
        const piece = { job, epoch: 1, owner, submitter, ticket, share } as const;
        await custody.keep(fact.author, piece, writer, this.#ageOf(fact, request));
        // what ends the job from here on finds the piece
        this.#refuseUnwanted(job);
        await custody.seal(fact.author, { job, fact: request.fact, handoff: null });
        await writer.close();
      } catch (error) {
        await custody.abandon(fact.author, { job }).catch(() => {});
        await writer.abort();
        throw error;
      }
    } finally {
      share.fill(0);
      free();
    }
  }

  /** How long the job has been kept: no longer than it has been known, whatever the sender says. */
  #ageOf(fact: Fact, { age_ms }: HandoffRequest): number {
    return Math.max(0, Math.min(age_ms, Math.trunc(this.#options.now_ms() - fact.time_ms)));
  }

  #checkFact(fact: Fact, from: string, request: HandoffRequest): void {
    const { self, ledger } = this.#options;
    const first = ledger.first(jobKind.name, request.job);
    const { sleeper, holders, handed, expires_ms } = fact.body as JobBody;
    const mine = fact.kind === jobKind.name && fact.subject === request.job &&
      (first === undefined || first.seq === fact.seq) && sleeper === self.peerId && holders.includes(from);
    if (!mine) throw new InkmeshError('forbidden', 'no job fact has the caller hand this job to this node');
    const digest = Buffer.from(handedDigest(request));
    if (handed === null || !digest.equals(handed)) {
      throw new InkmeshError('forbidden', 'this is not what the job fact has handed over');
    }
    // before its document is dropped, and with it the knowledge of how it ended
    if (this.#options.now_ms() > expires_ms + docGrace_ms / 2) {
      throw new InkmeshError('not-found', 'this job was kept for as long as its site allows');
    }
  }

  #refuseUnwanted(job: string): void {
    const { pieces, ledger } = this.#options;
    if (hasEnded(ledger, job)) throw new InkmeshError('not-found', 'this job has ended');
    if (pieces.get(job)?.sealed) {
      throw new InkmeshError('conflict', 'this job is kept here already', { kept: 'yes' });
    }
  }
}
