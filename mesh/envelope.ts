/**
 * The envelope: a document encrypted under one key of its own, in chunks that any reader can fetch and
 * authenticate one by one. ENVELOPE.md is its specification.
 *
 *     header   "inkmesh" | version 1 byte | log2 of chunk size 1 byte | commitment 32 bytes
 *     chunk    AES-256-GCM(payload key, nonce, plaintext) | tag 16 bytes
 *     nonce    counter 11 bytes big-endian | 1 if it is the last chunk, else 0
 */
import { gcm } from '@noble/ciphers/webcrypto.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { InkmeshError } from './errors.ts';

/** Octets of an envelope's key. */
export const keyBytes = 32;
/** Octets of plaintext in every chunk but the last, which has 0 to as many. */
export const chunkBytes = 2 ** 18;
/** Octets that sealing adds to a chunk (NIST SP 800-38D, the full tag). */
export const tagBytes = 16;
/** The most chunks of one envelope: within what one key may seal (SP 800-38D section 8.3). */
export const maxChunks = 2 ** 32;

const commitmentBytes = 32;
const prefix = Uint8Array.of(...new TextEncoder().encode('inkmesh'), 1, Math.log2(chunkBytes));
const salt = new TextEncoder().encode('inkmesh/envelope');
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Octets before the first chunk. */
export const headerBytes = prefix.length + commitmentBytes;

export interface Sealer {
  readonly header: Uint8Array;
  /**
   * Seals the next chunk, which must not change before the promise settles.
   * @param chunk `chunkBytes` octets; the last may have fewer, and none only if it is the first too
   * @throws RangeError for another length · TypeError after the last · InkmeshError `too-large` past
   *   `maxChunks`
   */
  seal(chunk: Uint8Array, last: boolean): Promise<Uint8Array>;
}

export interface Opener {
  /**
   * Authenticates and decrypts one chunk, in any order.
   * @param index from 0
   * @param last whether the envelope's length makes this its last chunk
   * @throws InkmeshError `corrupt`, details `part: 'chunk'` and `chunk` (the index)
   */
  open(index: number, sealed: Uint8Array, last: boolean): Promise<Uint8Array>;
}

/**
 * A sealer of one envelope. It has no randomness of its own: a key seals one envelope, once.
 * @param key `keyBytes` random octets; copied from, and the caller's to wipe
 * @param job lower case UUID
 * @throws TypeError for another shape of key or job
 */
export function sealer(key: Uint8Array, job: string): Sealer {
  const { payloadKey, commitment } = derive(key, job);
  let index = 0;
  let ended = false;
  const seal = async (chunk: Uint8Array, last: boolean): Promise<Uint8Array> => {
    if (ended) throw new TypeError('the envelope has its last chunk already');
    if (!fits(chunk.length, index, last)) throw new RangeError(`a chunk of ${chunk.length} octets`);
    if (index >= maxChunks) throw new InkmeshError('too-large', 'the document is too large for one envelope');
    ended = last;
    const cipher = gcm(payloadKey, nonce(index++, last));
    try {
      return await cipher.encrypt(chunk);
    } finally {
      if (last) payloadKey.fill(0);
    }
  };
  return { header: Uint8Array.of(...prefix, ...commitment), seal };
}

/**
 * The envelope of a document of any length: first the header, then each sealed chunk as soon as it is known
 * whether it is the last. Holds one chunk of plaintext and one sealed.
 * @param plaintext pieces of any length; each may be reused by its maker once the next is asked for
 */
export async function* encryptEnvelope(
  key: Uint8Array,
  job: string,
  plaintext: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { header, seal } = sealer(key, job);
  const chunk = new Uint8Array(chunkBytes);
  let filled = 0;
  try {
    yield header;
    for await (const piece of plaintext) {
      for (let rest = piece; rest.length > 0;) {
        if (filled === chunkBytes) {
          yield await seal(chunk, false);
          filled = 0;
        }
        const part = rest.subarray(0, chunkBytes - filled);
        chunk.set(part, filled);
        filled += part.length;
        rest = rest.subarray(part.length);
      }
    }
    yield await seal(chunk.subarray(0, filled), true);
  } finally {
    chunk.fill(0);
  }
}

/**
 * An opener of one envelope's chunks. Its derived key lives until it is collected: random access has no last
 * use.
 * @throws InkmeshError `corrupt`: details `part: 'header'` if this is no header of this version, `part:
 *   'commitment'` if the envelope is another job's or under another key
 */
export function opener(key: Uint8Array, job: string, header: Uint8Array): Opener {
  checkHeader(header);
  const { payloadKey, commitment } = derive(key, job);
  if (!equal(commitment, header.subarray(prefix.length))) {
    throw corrupt('commitment', 'the envelope is not of this job and key');
  }
  const open = async (index: number, sealed: Uint8Array, last: boolean): Promise<Uint8Array> => {
    if (!Number.isInteger(index) || index < 0 || index >= maxChunks) throw new RangeError(`chunk ${index}`);
    const refused = (options?: ErrorOptions) =>
      corrupt('chunk', `chunk ${index} does not authenticate`, { chunk: String(index) }, options);
    if (!fits(sealed.length - tagBytes, index, last)) throw refused();
    try {
      return await gcm(payloadKey, nonce(index, last)).decrypt(sealed);
    } catch (cause) {
      throw refused({ cause });
    }
  };
  return { open };
}

/**
 * Whether `key` is the one that the header of this job's envelope commits to. Takes constant time.
 * @throws InkmeshError `corrupt`, details `part: 'header'`
 */
export function commits(key: Uint8Array, job: string, header: Uint8Array): boolean {
  checkHeader(header);
  const { payloadKey, commitment } = derive(key, job);
  payloadKey.fill(0);
  return equal(commitment, header.subarray(prefix.length));
}

/** Octets of the envelope of a document. @throws RangeError for a length that no envelope can have */
export function envelopeLength(plaintextBytes: number): number {
  if (
    !Number.isSafeInteger(plaintextBytes) || plaintextBytes < 0 || plaintextBytes > maxChunks * chunkBytes
  ) {
    throw new RangeError(`a document of ${plaintextBytes} octets`);
  }
  const chunks = Math.max(1, Math.ceil(plaintextBytes / chunkBytes));
  return headerBytes + plaintextBytes + chunks * tagBytes;
}

/**
 * Octets of the document in an envelope.
 * @throws InkmeshError `corrupt` for a length that no envelope has: details `part: 'header'` if it ends
 *   within the header, else `part: 'chunk'`
 */
export function plaintextLength(envelopeBytes: number): number {
  return envelopeBytes - headerBytes - chunkCount(envelopeBytes) * tagBytes;
}

/** Chunks in an envelope, at least 1. @throws InkmeshError as `plaintextLength` does */
export function chunkCount(envelopeBytes: number): number {
  const body = envelopeBytes - headerBytes;
  if (!Number.isSafeInteger(body) || body < 0) throw corrupt('header', 'the envelope ends within its header');
  const chunks = Math.max(1, Math.ceil(body / (chunkBytes + tagBytes)));
  const last = body - (chunks - 1) * (chunkBytes + tagBytes) - tagBytes;
  if (chunks > maxChunks || !fits(last, chunks - 1, true)) {
    throw corrupt('chunk', 'the envelope has a length that no envelope has', { chunk: String(chunks - 1) });
  }
  return chunks;
}

/**
 * Where a sealed chunk lies in the envelope, in octets.
 * @throws RangeError if there is no such chunk · InkmeshError as `plaintextLength` does
 */
export function chunkSpan(envelopeBytes: number, index: number): { offset: number; length: number } {
  const chunks = chunkCount(envelopeBytes);
  if (!Number.isInteger(index) || index < 0 || index >= chunks) {
    throw new RangeError(`chunk ${index} of ${chunks}`);
  }
  const offset = headerBytes + index * (chunkBytes + tagBytes);
  return { offset, length: Math.min(chunkBytes + tagBytes, envelopeBytes - offset) };
}

/** Whether chunk `index` may have `length` octets of plaintext: an empty one only as an empty document. */
function fits(length: number, index: number, last: boolean): boolean {
  return last ? length <= chunkBytes && length >= (index === 0 ? 0 : 1) : length === chunkBytes;
}

function derive(key: Uint8Array, job: string): { payloadKey: Uint8Array; commitment: Uint8Array } {
  if (key.length !== keyBytes) throw new TypeError(`a key of ${key.length} octets`);
  if (!uuid.test(job)) throw new TypeError('a job id that is no lower case UUID');
  const id = job.replaceAll('-', '').match(/../g) ?? [];
  const info = Uint8Array.of(...prefix, ...id.map((hex) => Number.parseInt(hex, 16)));
  const derived = hkdf(sha256, key, salt, info, keyBytes + commitmentBytes);
  return { payloadKey: derived.subarray(0, keyBytes), commitment: derived.subarray(keyBytes) };
}

function nonce(index: number, last: boolean): Uint8Array {
  const bytes = new Uint8Array(12);
  // the counter stays below 2^32, so the upper seven of its eleven octets are zero
  new DataView(bytes.buffer).setUint32(7, index);
  bytes[11] = last ? 1 : 0;
  return bytes;
}

function checkHeader(header: Uint8Array): void {
  if (header.length !== headerBytes || !equal(prefix, header.subarray(0, prefix.length))) {
    throw corrupt('header', 'this is no envelope of a version that this node reads');
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (const [i, byte] of a.entries()) difference |= byte ^ (b[i] ?? 0);
  return difference === 0;
}

function corrupt(part: string, message: string, details = {}, options?: ErrorOptions): InkmeshError {
  return new InkmeshError('corrupt', message, { part, ...details }, options);
}
