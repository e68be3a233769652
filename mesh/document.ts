/** Reading a held document: the envelope from whichever holder gives it, decrypted chunk by chunk. */
import { chunkBytes, chunkCount, chunkSpan, commits, type Opener, opener, tagBytes } from './envelope.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import type { Holder } from './holder.ts';

export interface Held {
  job: string;
  claim: string;
  envelopeBytes: number;
  /** the envelope's header as the holders gave it: one that the key fits is used */
  headers: readonly Uint8Array[];
  key: Uint8Array;
}

/**
 * The document, in chunks of at most `chunkBytes`, each authenticated before it is given. When a holder breaks off
 * or gives damaged octets the next one goes on at the same chunk.
 * @throws InkmeshError `unavailable` or `corrupt` when no holder can go on
 */
export async function* decryptFrom(sources: readonly Holder[], held: Held): AsyncGenerator<Uint8Array> {
  const header = held.headers.find((candidate) => commits(held.key, held.job, candidate));
  if (header === undefined) throw new InkmeshError('corrupt', 'no envelope fits the key');
  const open = opener(held.key, held.job, header);
  const count = chunkCount(held.envelopeBytes);
  let next = 0;
  let failure = new InkmeshError('unavailable', 'no holder has the envelope');
  for (let stuck = 0, turn = 0; stuck < sources.length; stuck++, turn++) {
    try {
      for await (
        const plain of chunksFrom(sources[turn % sources.length] as Holder, held, open, next, count)
      ) {
        next++;
        // whoever failed before may have been held up by the printer: each gets another turn
        stuck = -1;
        yield plain;
      }
    } catch (thrown) {
      failure = asInkmeshError(thrown);
    }
    if (next === count) return;
  }
  throw failure;
}

async function* chunksFrom(
  source: Holder,
  held: Held,
  open: Opener,
  first: number,
  count: number,
): AsyncGenerator<Uint8Array> {
  const { job, claim, envelopeBytes } = held;
  const body = await source.fetch({ job, claim, offset: chunkSpan(envelopeBytes, first).offset });
  let index = first;
  // one buffer for all: the opener gives the plaintext in another one
  const buffer = new Uint8Array(chunkBytes + tagBytes);
  let chunk = buffer.subarray(0, chunkSpan(envelopeBytes, index).length);
  let filled = 0;
  for await (const part of body) {
    for (let at = 0; at < part.length;) {
      if (index === count) throw new InkmeshError('corrupt', 'the envelope is longer than it was');
      const taken = part.subarray(at, at + chunk.length - filled);
      chunk.set(taken, filled);
      filled += taken.length;
      at += taken.length;
      if (filled < chunk.length) continue;
      yield await open.open(index, chunk, index === count - 1);
      index++;
      filled = 0;
      if (index < count) chunk = buffer.subarray(0, chunkSpan(envelopeBytes, index).length);
    }
  }
  if (index < count) throw new InkmeshError('corrupt', 'the envelope is shorter than it was');
}
