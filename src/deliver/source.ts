/** The document of a delivery on its way out: what was handed on, and when. */
import { InkmeshError } from '../../mesh/errors.ts';
import { moved } from '../memory.ts';
import type { Attempt, Outcome } from './deliver.ts';

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
  readonly #attempt: Attempt;
  #asked = false;
  #bytes = 0;
  #firstByte_ms: number | undefined;
  #lastByte_ms: number | undefined;

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
  }

  /** whether the document was asked for, which can be done once */
  get asked(): boolean {
    return this.#asked;
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
    const { document, bytes, signal, limits, onProgress } = this.#attempt;
    this.#asked = true;
    for await (const chunk of inPace(document, limits.stall_ms, signal)) {
      if (way.over()) return;
      if (chunk.length === 0) continue;
      if (this.#bytes + chunk.length > bytes) {
        throw new InkmeshError('corrupt', 'the document is longer than announced');
      }
      this.#firstByte_ms ??= performance.now();
      await this.#taken(way.write(chunk));
      this.#bytes += chunk.length;
      moved(chunk.length);
      onProgress?.(this.#bytes);
    }
    if (this.#bytes !== bytes) throw new InkmeshError('corrupt', 'the document is shorter than announced');
    await this.#taken(way.end());
    this.#lastByte_ms = performance.now();
  }

  /** Waits until the printer has taken what it was given: longer when it says why it does not. */
  async #taken(work: Promise<void>): Promise<void> {
    const { signal, limits, waiting } = this.#attempt;
    const look_ms = waiting.canAsk ? limits.look_ms : limits.stall_ms;
    let stall_ms: number = performance.now() + limits.stall_ms;
    work.catch(() => {});
    while (await isLate(work, look_ms, signal)) {
      // somebody who fills its trays is not called slow for the time before
      if (await waiting.look() === 'blocked') stall_ms = performance.now() + limits.stall_ms;
      else if (performance.now() >= stall_ms) {
        throw new InkmeshError('timeout', 'the printer takes no more');
      }
    }
    waiting.note(null);
  }
}

/** The same chunks, the next one made ready meanwhile; given up when they stop coming or the delivery is stopped. */
async function* inPace(
  document: AsyncIterable<Uint8Array>,
  stall_ms: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const chunks = document[Symbol.asyncIterator]();
  const ahead = () => {
    const next = chunks.next();
    // what goes wrong with it is said when its turn has come
    next.catch(() => {});
    return next;
  };
  try {
    for (let coming = ahead();;) {
      const next = await inTime(coming, stall_ms, signal, 'the document does not come');
      if (next.done === true) return;
      coming = ahead();
      yield next.value;
    }
  } finally {
    // not awaited: it may wait for the very chunk that does not come
    Promise.resolve(chunks.return?.()).catch(() => {});
  }
}

const late = Symbol('late');

/** Whether `work` has not ended after a while. @throws what it throws, and the signal's reason when it is aborted */
async function isLate(work: Promise<void>, limit_ms: number, signal: AbortSignal): Promise<boolean> {
  return await raced(work, limit_ms, signal) === late;
}

/** @throws InkmeshError `timeout` when `work` has not ended in time, and the signal's reason when it is aborted */
export async function inTime<T>(
  work: Promise<T>,
  limit_ms: number,
  signal: AbortSignal,
  message: string,
): Promise<T> {
  const result = await raced(work, limit_ms, signal);
  if (result === late) throw new InkmeshError('timeout', message);
  return result;
}

async function raced<T>(work: Promise<T>, limit_ms: number, signal: AbortSignal): Promise<T | typeof late> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = () => {};
  const stopped = new Promise<typeof late>((resolve, reject) => {
    timer = setTimeout(() => resolve(late), limit_ms);
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

/** @throws the signal's reason */
export function pause(length_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, length_ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** A sentence for people out of anything thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
