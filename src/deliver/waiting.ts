/** Printers that have stopped: what is said of it, and how long they are waited for. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { DeliverLimits } from '../limits.ts';
import { adviceOf } from '../printers/advice.ts';
import type { AskCondition, Condition } from '../printers/condition.ts';
import { inTime } from './source.ts';

export interface WaitingOptions {
  limits: DeliverLimits;
  signal: AbortSignal;
  /** how the printer says it is, where it can be asked beside its address */
  condition?: AskCondition;
  onWaiting?(reason: string | null): void;
}

/** Why nothing comes out of a printer, for people; undefined when something does. */
export function blockedBy({ activity, reasons }: Condition): string | undefined {
  const stopped = activity === 'stopped';
  const grave = reasons.filter(({ severity }) => severity === 'error' || (stopped && severity === 'warning'));
  if (grave.length === 0) return stopped ? 'the printer has stopped: look at its panel' : undefined;
  return [...new Set(grave.map(adviceOf))].join('; ');
}

/** How long one delivery has been waiting for its printer. */
export class Waiting {
  readonly #options: WaitingOptions;
  #reason: string | null = null;
  #since_ms = 0;

  constructor(options: WaitingOptions) {
    this.#options = options;
  }

  /** whether the printer can be asked how it is while it is sent to */
  get canAsk(): boolean {
    return this.#options.condition !== undefined;
  }

  /**
   * Notes why the printer does not go on, null when it does.
   * @throws InkmeshError `busy` when it has not for too long
   */
  note(reason: string | null): void {
    if (reason === this.#reason) {
      if (reason !== null) this.#checkTime(reason);
      return;
    }
    if (this.#reason === null) this.#since_ms = performance.now();
    this.#reason = reason;
    this.#options.onWaiting?.(reason);
    if (reason !== null) this.#checkTime(reason);
  }

  /** Asks the printer how it is. @returns why nothing comes out; undefined when something does, or it is silent */
  async ask(limit_ms: number): Promise<string | undefined> {
    const { condition, signal } = this.#options;
    if (condition === undefined) return undefined;
    const asked = condition(AbortSignal.any([signal, AbortSignal.timeout(limit_ms)]));
    try {
      return blockedBy(await inTime(asked, limit_ms, signal, 'the printer does not say how it is'));
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return undefined;
    }
  }

  /** Asks, and notes the answer. @throws InkmeshError `busy` as `note` does */
  async look(): Promise<boolean> {
    const blocked = await this.ask(this.#options.limits.request_ms);
    this.note(blocked ?? null);
    return blocked !== undefined;
  }

  #checkTime(reason: string): void {
    const { wait_ms } = this.#options.limits;
    if (performance.now() - this.#since_ms < wait_ms) return;
    const minutes = Math.round(wait_ms / 60_000);
    const waited = minutes > 0 ? `${minutes} min` : `${Math.round(wait_ms / 1000)} s`;
    throw new InkmeshError('busy', `the printer has not gone on for ${waited}: ${reason}`);
  }
}
