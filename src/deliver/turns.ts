/** One after the other at a printer: deliveries of this node that wait for their turn. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { DeliverLimits } from '../limits.ts';
import { inTime } from './source.ts';

interface Queue {
  readonly key: string;
  taken: number;
  readonly line: Set<() => void>;
}

export class Turns {
  readonly #queues = new Map<string, Queue>();
  readonly #limits: DeliverLimits;

  constructor(limits: DeliverLimits) {
    this.#limits = limits;
  }

  /**
   * Resolves when fewer than `abreast` deliveries are under way at an address. @returns what ends the turn
   * @param onLine called when others come first
   * @throws InkmeshError `timeout` when there are too many of them, or they take too long; the signal's reason
   */
  async take(key: string, abreast: number, signal: AbortSignal, onLine: () => void): Promise<() => void> {
    const queue = this.#queues.get(key) ?? { key, taken: 0, line: new Set() };
    this.#queues.set(key, queue);
    if (queue.taken < abreast) queue.taken++;
    else {
      if (queue.line.size >= this.#limits.maxLine) throw new InkmeshError('timeout', tooMany);
      onLine();
      await this.#wait(queue, signal);
    }
    return () => this.#pass(queue);
  }

  async #wait(queue: Queue, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    queue.line.add(resolve);
    try {
      await inTime(promise, this.#limits.line_ms, signal, tooMany);
    } catch (thrown) {
      // it may have been given its turn at the same moment
      if (!queue.line.delete(resolve)) this.#pass(queue);
      throw thrown;
    }
  }

  #pass(queue: Queue): void {
    const [next] = queue.line;
    if (next !== undefined) {
      queue.line.delete(next);
      next();
    } else if (--queue.taken === 0) this.#queues.delete(queue.key);
  }
}

const tooMany = 'too many other documents are on their way to this printer: try again in a while';
