/** A document on its way in: what is written of it can be followed, and it can be given up at any moment. */
import { InkmeshError } from './errors.ts';
import { maxBodyFrameBytes, slowBytes, slowLook_ms } from './limits.ts';
import type { Clock, SpoolWriter } from './ports.ts';
import { every } from './timing.ts';

/** What grows: the local envelope, and whether it is whole. Followers wait on it. */
export class Growing {
  readonly writer: SpoolWriter;
  #state: 'growing' | 'whole' | 'failed' = 'growing';
  #waiting: (() => void)[] = [];

  constructor(writer: SpoolWriter) {
    this.writer = writer;
  }

  changed(state: 'growing' | 'whole' | 'failed' = 'growing'): void {
    this.#state = state;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** The envelope from its start, as it grows; ends when it is whole. */
  async *follow(): AsyncGenerator<Uint8Array> {
    for (let at = 0;;) {
      if (this.#state === 'failed') {
        throw new InkmeshError('unavailable', 'the document did not arrive whole');
      }
      const ready = this.writer.bytes - at;
      if (ready > 0) {
        const part = await this.writer.read(at, Math.min(ready, maxBodyFrameBytes));
        at += part.length;
        yield part;
      } else if (this.#state === 'whole') return;
      else await new Promise<void>((wake) => this.#waiting.push(wake));
    }
  }
}

/** The document, given up when hardly anything of it comes while others wait for its place. */
export async function* hurried(
  document: AsyncIterable<Uint8Array>,
  places: { readonly isWaitedFor: boolean },
  clock: Clock,
  stop: AbortController,
): AsyncGenerator<Uint8Array> {
  let fresh = 0;
  const end = every(clock, slowLook_ms, () => {
    if (fresh < slowBytes && places.isWaitedFor) {
      stop.abort(new InkmeshError('busy', 'the document came too slowly while others waited: print again'));
    }
    fresh = 0;
  });
  try {
    for await (const part of document) {
      fresh += part.length;
      yield part;
    }
  } finally {
    end();
  }
}

/** The document, given up at once (not at its next octets) when the signal is aborted. */
export async function* untilAborted(
  document: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const parts = document[Symbol.asyncIterator]();
  let giveUp = () => {};
  const stop = () => giveUp();
  signal.addEventListener('abort', stop);
  try {
    for (;;) {
      // a promise for each part: one for all would keep every part that it was raced with
      const { done, value } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = () => reject(signal.reason instanceof InkmeshError ? signal.reason : givenUp());
        if (signal.aborted) giveUp();
        else parts.next().then(resolve, reject);
      });
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    // not awaited: it may be waiting for octets that never come
    void parts.return?.().catch(() => {});
  }
}

function givenUp(): InkmeshError {
  return new InkmeshError('unavailable', 'the job was given up while it was being stored: print again');
}
