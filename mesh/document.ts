/**
 * Reading a held document: a holder gives the envelope out of its spool, and the claimant takes it from whichever
 * holder gives it, decrypted chunk by chunk; from far away the whole of it first, still encrypted, so that a link that
 * dies costs nothing once octets go to a printer.
 */
import { chunkBytes, chunkCount, chunkSpan, commits, type Opener, opener, tagBytes } from './envelope.ts';
import { asInkmeshError, type Code, InkmeshError } from './errors.ts';
import type { Holder } from './holder.ts';
import { maxBodyFrameBytes } from './limits.ts';
import type { Spool, SpoolReader, SpoolWriter } from './ports.ts';

/** What gives an envelope's octets. */
export type Source = Pick<Holder, 'fetch'>;

export interface Held {
  job: string;
  claim: string;
  envelopeBytes: number;
  /** the envelope's header as the holders gave it: one that the key fits is used */
  headers: readonly Uint8Array[];
  key: Uint8Array;
}

/** A chunk that has been authenticated. `sealed` is overwritten by the next. */
interface Chunk {
  sealed: Uint8Array;
  plain: Uint8Array;
}

/**
 * The document, in chunks of at most `chunkBytes`, each authenticated before it is given. When a source breaks off
 * or gives damaged octets the next one goes on at the same chunk.
 * @throws InkmeshError `unavailable` or `corrupt` when none can go on
 */
export async function* decryptFrom(sources: readonly Source[], held: Held): AsyncGenerator<Uint8Array> {
  for await (const { plain } of chunksOf(sources, held, headerOf(held))) yield plain;
}

/**
 * Copies the whole envelope, each chunk authenticated. @returns the copy, as long as the writer is open
 * @throws InkmeshError as `decryptFrom` does
 */
export async function copyOf(sources: readonly Source[], held: Held, copy: SpoolWriter): Promise<Source> {
  const header = headerOf(held);
  await copy.write(header);
  for await (const { sealed, plain } of chunksOf(sources, held, header)) {
    plain.fill(0);
    await copy.write(sealed);
  }
  return { fetch: ({ offset }) => Promise.resolve(framesOf(copy, offset)) };
}

/**
 * A job's envelope in a spool, from `offset` on (nothing past its end). Opened when it is read: a body that nobody
 * reads leaves nothing open.
 * @throws InkmeshError with the code `missing` when it is not there
 */
export async function* envelopeIn(
  spool: Spool,
  job: string,
  offset: number,
  missing: Code,
): AsyncGenerator<Uint8Array> {
  const reader = await spool.open(job);
  if (reader === undefined) throw new InkmeshError(missing, 'the envelope is missing here');
  try {
    yield* framesOf(reader, offset);
  } finally {
    await reader.close();
  }
}

/** As many octets at once as a frame of a body carries. */
async function* framesOf(
  envelope: Pick<SpoolReader, 'bytes' | 'read'>,
  offset: number,
): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < envelope.bytes; at += maxBodyFrameBytes) {
    yield await envelope.read(at, Math.min(maxBodyFrameBytes, envelope.bytes - at));
  }
}

function headerOf(held: Held): Uint8Array {
  const header = held.headers.find((candidate) => commits(held.key, held.job, candidate));
  if (header === undefined) throw new InkmeshError('corrupt', 'no envelope fits the key');
  return header;
}

async function* chunksOf(sources: readonly Source[], held: Held, header: Uint8Array): AsyncGenerator<Chunk> {
  const open = opener(held.key, held.job, header);
  const count = chunkCount(held.envelopeBytes);
  let next = 0;
  let failure = new InkmeshError('unavailable', 'no holder has the envelope');
  for (let stuck = 0, turn = 0; stuck < sources.length; stuck++, turn++) {
    try {
      const source = sources[turn % sources.length] as Source;
      for await (const chunk of chunksFrom(source, held, open, next, count)) {
        next++;
        // whoever failed before may have been held up by the printer: each gets another turn
        stuck = -1;
        yield chunk;
      }
    } catch (thrown) {
      failure = asInkmeshError(thrown);
    }
    if (next === count) return;
  }
  throw failure;
}

async function* chunksFrom(
  source: Source,
  held: Held,
  open: Opener,
  first: number,
  count: number,
): AsyncGenerator<Chunk> {
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
      yield { sealed: chunk, plain: await open.open(index, chunk, index === count - 1) };
      index++;
      filled = 0;
      if (index < count) chunk = buffer.subarray(0, chunkSpan(envelopeBytes, index).length);
    }
  }
  if (index < count) throw new InkmeshError('corrupt', 'the envelope is shorter than it was');
}
