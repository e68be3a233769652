/**
 * The last step of accepting a job: the others seal it, then this node does. If one of the others does not, the job is
 * taken back, by a fact that reaches those that have. Until one or the other is on disk the job is not decided, and
 * this node tells nobody that there is one, or that there is none (fence.ts). A job of which others may have been told
 * meanwhile, since this node seemed to be gone or took too long, is a job: somebody may have been told that it is
 * accepted.
 */
import type { Custody } from './custody.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import { type Fact, idOf } from './facts.ts';
import type { Holder, Holders } from './holder.ts';
import { withdrawnKind } from './job-facts.ts';
import type { FactLedger } from './ledger.ts';
import { sealPatience_ms, sealRetry_ms, withdrawLatest_ms, withdrawRetry_ms } from './limits.ts';
import type { Clock, Log } from './ports.ts';
import { sleep } from './timing.ts';

export interface SealingOptions {
  self: { peerId: string };
  custody: Custody;
  holders: Holders;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
}

/** A job fact on its way to the holders. */
export interface Unsealed {
  fact: Fact;
  record: Uint8Array;
  /** the sleeper's share, sealed for it */
  handoff: Uint8Array | null;
}

/** A job of which it is not decided whether there is one. */
interface Open extends Unsealed {
  /** by the monotonic clock: then holders tell others of it */
  latest_ms: number;
  /** all but this node have sealed it */
  onlySelfLeft: boolean;
  decided(): void;
}

export class Sealing {
  readonly #options: SealingOptions;
  readonly #retries = new Set<() => void>();
  #closed = false;

  constructor(options: SealingOptions) {
    this.#options = options;
  }

  close(): void {
    this.#closed = true;
    for (const callOff of this.#retries) callOff();
  }

  /**
   * Resolves when every holder that is awake has sealed the job, and it is known.
   * @param others PeerIds of these, without this node
   * @throws InkmeshError `unavailable` when the job was taken back, with the detail `unanswered` when that is not
   *   decided: what is kept of it is to stay then; `conflict` when the client has gone on elsewhere
   */
  async seal(unsealed: Unsealed, others: readonly string[]): Promise<void> {
    const { ledger, self, holders, custody, clock } = this.#options;
    const decided = custody.fence.begin(unsealed.fact.subject);
    const latest_ms = clock.monotonic_ms() + withdrawLatest_ms;
    const open: Open = { ...unsealed, latest_ms, decided, onlySelfLeft: false };
    try {
      // here last of all: what this node has sealed is sealed everywhere, so its death hides no job (resume.ts)
      await Promise.all(others.map((peer) => this.#sealAt(holders(peer), unsealed)));
      open.onlySelfLeft = others.length > 0;
      await this.#sealAt(holders(self.peerId), unsealed);
    } catch (cause) {
      const isBack = await this.#conclude(open).catch((thrown) => {
        this.#again(open, thrown);
        const message =
          'it is not known yet whether the job was accepted: look for it before you print again';
        throw new InkmeshError('unavailable', message, { unanswered: self.peerId }, { cause: thrown });
      });
      if (!isBack) return;
      const message = 'a machine dropped out at the last moment, and the job was taken back: print again';
      throw new InkmeshError('unavailable', message, {}, { cause });
    }
    ledger.publish(unsealed.fact, unsealed.record);
    decided();
  }

  /** A seal that is lost on its way is repeated: the holder may have it already, and says so again. */
  async #sealAt(holder: Holder, { fact, record, handoff }: Unsealed): Promise<void> {
    const { clock } = this.#options;
    const deadline_ms = clock.monotonic_ms() + sealPatience_ms;
    for (;;) {
      try {
        return await holder.seal({ job: fact.subject, fact: record, handoff });
      } catch (thrown) {
        const error = asInkmeshError(thrown);
        const lost = error.code === 'unavailable' || error.code === 'timeout';
        if (!lost || clock.monotonic_ms() > deadline_ms) throw error;
        await sleep(clock, sealRetry_ms);
      }
    }
  }

  /**
   * Takes a job back that not all have sealed, unless others may have been told of it.
   * @returns whether it was taken back; if not, it is sealed here
   */
  async #conclude({ fact, record, handoff, decided, latest_ms, onlySelfLeft }: Open): Promise<boolean> {
    const { ledger, self, holders, clock } = this.#options;
    const isTold = ledger.recordOf(fact.doc, idOf(record)) !== undefined;
    const lives = isTold || onlySelfLeft || clock.monotonic_ms() > latest_ms;
    if (lives) await holders(self.peerId).seal({ job: fact.subject, fact: record, handoff });
    else {
      // others hear of it with its withdrawal: before, somebody could be told that it is accepted
      ledger.add(fact, record, true);
      await ledger.state(withdrawnKind, () => fact.doc, fact.subject, {});
    }
    ledger.publish(fact, record);
    decided();
    return !lives;
  }

  /** The disk has no room for the record of what becomes of a job. After a restart it is a job. */
  #again(open: Open, thrown: unknown): void {
    if (this.#closed) return;
    const { clock, log } = this.#options;
    const { message: reason, code } = asInkmeshError(thrown);
    // it has been printed meanwhile
    if (code === 'not-found') return open.decided();
    log('error', 'a job is neither accepted nor taken back yet', { job: open.fact.subject, reason });
    const callOff = clock.after(withdrawRetry_ms, () => {
      this.#retries.delete(callOff);
      this.#conclude(open).catch((again) => this.#again(open, again));
    });
    this.#retries.add(callOff);
  }
}

/** Whether an error of `seal` leaves it open what becomes of the job. */
export const isUndecided = (error: InkmeshError): boolean => error.about['unanswered'] !== undefined;
