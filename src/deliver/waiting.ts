/** Printers that have stopped: what is said of it, and how long they are waited for. */
import { printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { DeliverLimits } from '../limits.ts';
import { adviceOf, isStopping } from '../printers/advice.ts';
import type { AskCondition, Condition } from '../printers/condition.ts';
import { inTime } from './source.ts';

export interface WaitingOptions {
  limits: DeliverLimits;
  signal: AbortSignal;
  /** how the printer says it is, where it can be asked beside its address */
  condition?: AskCondition;
  onWaiting?(reason: string | null): void;
}

/** Why nothing comes out of a printer. */
export interface Blocked {
  /** for people */
  reason: string;
  /** the printer says that nothing comes out until somebody has been there; else it may well go on by itself */
  firm: boolean;
}

/** @returns undefined when something comes out */
export function blockedBy({ activity, reasons }: Condition): Blocked | undefined {
  const stopped = activity === 'stopped';
  const errors = reasons.filter(({ severity }) => severity === 'error');
  // some printers call everything a warning
  const warnings = reasons.filter(({ severity, keyword }) =>
    severity === 'warning' && (stopped || isStopping(keyword))
  );
  const grave = errors.length > 0 ? errors : warnings;
  const firm = stopped || errors.length > 0;
  if (grave.length > 0) return { reason: [...new Set(grave.map(adviceOf))].join('; '), firm };
  return firm ? { reason: 'the printer has stopped: look at its panel', firm } : undefined;
}

/** How long one delivery has been waiting for its printer. */
export class Waiting {
  readonly #options: WaitingOptions;
  #reason: string | null = null;
  #since_ms: number | undefined;

  constructor(options: WaitingOptions) {
    this.#options = options;
  }

  /** whether the printer can be asked how it is while it is sent to */
  get canAsk(): boolean {
    return this.#options.condition !== undefined;
  }

  /**
   * Notes why the printer does not go on, null when it does.
   * @throws InkmeshError `busy` when it firmly has not for too long
   */
  note(reason: string | null, firm = true): void {
    const said = reason === null ? null : printable(reason, this.#options.limits.maxReasonChars);
    if (said !== this.#reason) this.#options.onWaiting?.(said);
    this.#reason = said;
    if (reason === null || !firm) this.#since_ms = undefined;
    else {
      this.#since_ms ??= performance.now();
      this.#checkTime(reason, this.#since_ms);
    }
  }

  /**
   * Asks the printer how it is before anything is sent to it. One that has answered before is waited for longer.
   * @returns why nothing comes out; undefined when something does, or it is silent
   */
  async ask(): Promise<Blocked | undefined> {
    const { limits, condition } = this.#options;
    const said = await this.#asked(condition?.heard === true ? limits.askHeard_ms : limits.ask_ms);
    return said === 'silent' ? undefined : said;
  }

  async #asked(limit_ms: number): Promise<Blocked | 'silent' | undefined> {
    const { condition, signal } = this.#options;
    if (condition === undefined) return 'silent';
    const asked = condition(AbortSignal.any([signal, AbortSignal.timeout(limit_ms)]));
    try {
      return blockedBy(await inTime(asked, limit_ms, signal, 'the printer does not say how it is'));
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return 'silent';
    }
  }

  /**
   * Asks, and notes the answer. One that does not answer is as it was: a lost answer is no paper.
   * @returns whether it goes on, firmly does not, or says nothing
   * @throws InkmeshError `busy` as `note` does
   */
  async look(): Promise<'free' | 'blocked' | 'silent'> {
    const said = await this.#asked(this.#options.limits.request_ms);
    if (said === 'silent') {
      if (this.#since_ms !== undefined) this.note(this.#reason);
      return 'silent';
    }
    this.note(said?.reason ?? null, said?.firm);
    return said?.firm ? 'blocked' : 'free';
  }

  #checkTime(reason: string, since_ms: number): void {
    const { wait_ms } = this.#options.limits;
    if (performance.now() - since_ms < wait_ms) return;
    const minutes = Math.round(wait_ms / 60_000);
    const waited = minutes > 0 ? `${minutes} min` : `${Math.round(wait_ms / 1000)} s`;
    throw new InkmeshError('busy', `the printer has not gone on for ${waited}: ${reason}`);
  }
}
