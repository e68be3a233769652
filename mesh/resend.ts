/** Telling every holder how a claim ended, until each has answered. */
import type { Holders } from './holder.ts';
import type { JobBody } from './job-facts.ts';
import type { FactLedger } from './ledger.ts';
import { maxRetention_ms, resendMax_ms, resendMin_ms, settlePatience_ms } from './limits.ts';
import type { ClaimRow, ClaimTable, Clock, Log } from './ports.ts';

export interface ResenderOptions {
  holders: Holders;
  ledger: FactLedger;
  claims: ClaimTable;
  clock: Clock;
  /** agreed with the peers */
  now_ms(): number;
  log: Log;
}

export class Resender {
  readonly #options: ResenderOptions;
  readonly #timers = new Set<() => void>();
  #closed = false;

  constructor(options: ResenderOptions) {
    this.#options = options;
  }

  /** Starts telling, or goes on after a restart; nobody waits for it. */
  sendSoon(row: ClaimRow): void {
    void this.#round(row, resendMin_ms);
  }

  /** Resolves when all holders have answered, or after `settlePatience_ms`; then it goes on by itself. */
  async send(row: ClaimRow): Promise<void> {
    await new Promise<void>((resolve) => {
      const callOff = this.#options.clock.after(settlePatience_ms, resolve);
      void this.#round(row, resendMin_ms).then(() => {
        callOff();
        resolve();
      });
    });
  }

  close(): void {
    this.#closed = true;
    for (const callOff of this.#timers) callOff();
  }

  /** Never rejects: what could not be told or written is tried again. */
  async #round(row: ClaimRow, delay_ms: number): Promise<void> {
    const told = await Promise.allSettled(row.holders.map((peer) => this.#tell(row, peer)));
    if (this.#closed) return;
    const left = row.holders.filter((_, i) => told[i]?.status === 'rejected');
    const fewer = left.length < row.holders.length;
    row.holders = left;
    try {
      if (left.length === 0 || this.#expired(row)) return await this.#options.claims.remove(row.claim);
      if (fewer) this.#options.claims.put(row);
    } catch (thrown) {
      // a full disk: telling a holder once more does no harm
      this.#options.log('error', 'the record of a claim cannot be written', { reason: String(thrown) });
    }
    this.#later(row, delay_ms);
  }

  async #tell(row: ClaimRow, peer: string): Promise<void> {
    const holder = this.#options.holders(peer);
    const { job, claim, settlement } = row;
    if (settlement === null) await holder.yield({ job, epoch: 1, claim });
    else await holder.settle({ job, fact: settlement });
  }

  #later(row: ClaimRow, delay_ms: number): void {
    const callOff = this.#options.clock.after(delay_ms, () => {
      this.#timers.delete(callOff);
      void this.#round(row, Math.min(delay_ms * 2, resendMax_ms));
    });
    this.#timers.add(callOff);
  }

  /** A holder that stayed away for the job's whole life has nothing left to be told about. */
  #expired(row: ClaimRow): boolean {
    const job = this.#options.ledger.first('job', row.job);
    // as long as a piece may wait for an open claim
    return job === undefined ||
      (job.body as JobBody).expires_ms + maxRetention_ms < this.#options.now_ms();
  }
}
