/** When a holder's pieces are to go: what is past its retention, by this node's own age (age.ts). */
import { type Age, heard, newborn, older, resumed } from './age.ts';
import { decode } from './codec.ts';
import { jobsDocOf } from './facts.ts';
import type { JobBody } from './job-facts.ts';
import { leaseSchema, openClaims } from './lease.ts';
import type { FactLedger } from './ledger.ts';
import { ageNote_ms, maxRetention_ms, unsealedAge_ms } from './limits.ts';
import { longestRetention } from './policy.ts';
import type { AgeTable, Clock, Piece } from './ports.ts';

export interface ExpiryOptions {
  table: AgeTable;
  ledger: Pick<FactLedger, 'about'>;
  clock: Clock;
  /** the median of this clock and at least two peers', null while fewer have been heard */
  agreed_ms(): number | null;
}

export class Expiry {
  readonly #options: ExpiryOptions;
  #age: Age;
  #noted_ms = -Infinity;

  constructor(options: ExpiryOptions) {
    this.#options = options;
    const kept = options.table.get();
    const uptime_ms = options.clock.uptime_ms();
    this.#age = kept === undefined ? newborn(uptime_ms) : resumed(kept, uptime_ms);
  }

  /** The age of this node, by which pieces are told how old they are. */
  age_ms(): number {
    this.#age = older(this.#age, this.#options.clock.uptime_ms());
    return this.#age.age_ms;
  }

  /** Whether the machine may have been off for a time that its age does not count yet. */
  get off(): boolean {
    return this.#age.off;
  }

  /**
   * Writes the age down if it has not been for a while: what is not written is lost when the machine restarts. The
   * time off is taken into account as soon as others have told theirs.
   */
  note(): void {
    const agreed_ms = this.#options.agreed_ms();
    const known = this.#age.off && agreed_ms !== null;
    if (!known && this.age_ms() - this.#noted_ms < ageNote_ms) return;
    const before_ms = this.age_ms();
    const age = agreed_ms === null ? this.#age : heard(this.#age, agreed_ms);
    this.#options.table.put(age, age.age_ms - before_ms);
    this.#age = age;
    this.#noted_ms = age.age_ms;
  }

  /** Whether a job is past its retention: then it can't be claimed any more. */
  isOver(piece: Piece): boolean {
    return this.age_ms() - piece.stored_ms > this.#retention_ms(piece);
  }

  /**
   * Whether a piece is to be erased now. A job that may be being printed, or that waits for its owner's word after
   * an interruption, stays beyond its retention; but not for ever.
   * @param now_ms by the monotonic clock
   */
  isDue(piece: Piece, now_ms: number): boolean {
    const overdue_ms = this.age_ms() - piece.stored_ms - this.#retention_ms(piece);
    if (overdue_ms <= 0) return false;
    const lease = decode(leaseSchema, piece.lease);
    if (lease.erased || overdue_ms > maxRetention_ms) return true;
    const mayBegin = lease.vote?.phase === 'voted' && (lease.vote.lapses_ms ?? 0) > now_ms;
    return openClaims(lease).length === 0 && !mayBegin;
  }

  #retention_ms(piece: Piece): number {
    if (!piece.sealed) return unsealedAge_ms;
    const fact = this.#options.ledger.about('job', piece.job).find((f) => f.author === piece.acceptedBy);
    // a fact that is gone: its whole day is over
    if (fact === undefined) return maxRetention_ms;
    const { expires_ms } = fact.body as JobBody;
    const site = jobsDocOf(fact.doc)?.site;
    const longest_ms = site === undefined ? maxRetention_ms : longestRetention(this.#options.ledger, site);
    return Math.min(Math.max(0, expires_ms - fact.time_ms), longest_ms);
  }
}
