/** The document of a delivery on its way out: what was handed on, and when. */
import { InkmeshError } from '../../mesh/errors.ts';
import { deliverLimits } from '../limits.ts';
import { moved } from '../memory.ts';
import type { Delivery, Outcome } from './deliver.ts';

/** The way to the printer. */
export interface Way {
  /** Hands on one chunk; resolves when there is room for the next. */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when everything that was written has left this process. */
  end(): Promise<void>;
  /** asked before each chunk: whether the printer is sure to take no more */
  over(): boolean;
}

export class Source {
  readonly #delivery: Delivery;
  #bytes = 0;
  #firstByte_ms: number | undefined;
  #lastByte_ms: number | undefined;

  constructor(delivery: Delivery) {
    this.#delivery = delivery;
  }

  /** whether an octet was handed on, so that something may come out */
  get begun(): boolean {
    return this.#firstByte_ms !== undefined;
  }

  /** whether all octets have left this process */
  get complete(): boolean {
    return this.#lastByte_ms !== undefined;
  }

  get times(): Pick<Outcome, 'firstByte_ms' | 'lastByte_ms'> {
    return {
      ...(this.#firstByte_ms === undefined ? {} : { firstByte_ms: this.#firstByte_ms }),
      ...(this.#lastByte_ms === undefined ? {} : { lastByte_ms: this.#lastByte_ms }),
    };
  }

  /**
   * Hands on the whole document, as fast as it is taken; a part of it when the way is `over` (see `complete`).
   * @throws whatever the document or the way throws; InkmeshError `timeout` when the printer stalls, `corrupt` when
   * the document has not the length that was announced
   */
  async pump(way: Way): Promise<void> {
    const { document, bytes, signal, onProgress } = this.#delivery;
    for await (const chunk of inPace(document, signal)) {
      if (way.over()) return;
      if (chunk.length === 0) continue;
      if (this.#bytes + chunk.length > bytes) {
        throw new InkmeshError('corrupt', 'the document is longer than announced');
      }
      this.#firstByte_ms ??= performance.now();
      await inTime(way.write(chunk), deliverLimits.stall_ms, signal, 'the printer takes no more');
      this.#bytes += chunk.length;
      moved(chunk.length);
      onProgress?.(this.#bytes);
    }
    if (this.#bytes !== bytes) throw new InkmeshError('corrupt', 'the document is shorter than announced');
    await inTime(way.end(), deliverLimits.stall_ms, signal, 'the printer takes no more');
    this.#lastByte_ms = performance.now();
  }
}

/** The same chunks, given up when they stop coming or the delivery is stopped. */
async function* inPace(document: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = document[Symbol.asyncIterator]();
  try {
    while (true) {
      const next = await inTime(chunks.next(), deliverLimits.stall_ms, signal, 'the document does not come');
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // not awaited: it may wait for the very chunk that does not come
    Promise.resolve(chunks.return?.()).catch(() => {});
  }
}

/** @throws InkmeshError `timeout` when `work` has not ended in time, and the signal's reason when it is aborted */
export async function inTime<T>(
  work: Promise<T>,
  limit_ms: number,
  signal: AbortSignal,
  late: string,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new InkmeshError('timeout', late)), limit_ms);
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/** A sentence for people out of anything thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
