/** So many things at once, each for as long as it takes. Others wait in a line, for a while. */
import { InkmeshError } from './errors.ts';
import type { Clock } from './ports.ts';

export interface SlotLimits {
  /** how many go on at once */
  slots: number;
  /** how many wait */
  line: number;
  /** how long each of them does */
  patience_ms: number;
}

export class Slots {
  readonly #limits: SlotLimits;
  readonly #clock: Clock;
  readonly #line = new Set<() => void>();
  #taken = 0;

  constructor(limits: SlotLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Resolves when it is its turn. @returns what gives the slot free, to be called once
   * @throws InkmeshError `busy` when the line is too long, or is so for too long; the reason of the signal
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken < this.#limits.slots) this.#taken++;
    else await this.#wait(signal);
    return () => this.#pass();
  }

  /** whether anybody waits */
  get isWaitedFor(): boolean {
    return this.#line.size > 0;
  }

  #pass(): void {
    const [next] = this.#line;
    if (next === undefined) this.#taken--;
    else next();
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#line.size >= this.#limits.line) throw tooMany();
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#line.delete(next);
        callOff();
        signal.removeEventListener('abort', giveUp);
      };
      const next = () => {
        leave();
        resolve();
      };
      const giveUp = () => {
        leave();
        reject(signal.reason);
      };
      const callOff = this.#clock.after(this.#limits.patience_ms, () => {
        leave();
        reject(tooMany());
      });
      signal.addEventListener('abort', giveUp);
      this.#line.add(next);
    });
  }
}

const tooMany = () =>
  new InkmeshError('busy', 'too many documents are coming in at once: try again in a moment');
