/**
 * The envelope beside the cipher that it is made of, in megabytes (10^6 octets) of plaintext per second: what
 * openssl does with one core, what node:crypto and Web Crypto do with the same chunks one after the other, and what
 * is left of it in an envelope.
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import {
  chunkBytes,
  chunkCount,
  chunkSpan,
  encryptEnvelope,
  headerBytes,
  keyBytes,
  opener,
  tagBytes,
} from '../../mesh/envelope.ts';
import type { Row, Table } from './run.ts';

/** as long as openssl is told to take */
const sample_ms = 1000;
const documentBytes = 64 * 1024 * 1024;
/** how much of a document a front hands on at a time */
const pieceBytes = 64 * 1024;

/** The best of some repetitions over a time: the others were disturbed. `work` handles `bytes` octets. */
async function megabytesPerSecond(bytes: number, work: () => Promise<void> | void): Promise<number> {
  await work();
  const end = performance.now() + sample_ms;
  let best = 0;
  while (performance.now() < end) {
    const start = performance.now();
    await work();
    best = Math.max(best, bytes / 1000 / (performance.now() - start));
  }
  return best;
}

/** undefined where openssl is not installed */
function opensslSpeed(): number | undefined {
  const args = ['speed', '-elapsed', '-evp', 'aes-256-gcm', '-seconds', '1', '-bytes', String(chunkBytes)];
  const { stdout } = spawnSync('openssl', args, { encoding: 'utf8' });
  const kilobytes = /^AES-256-GCM\s+([\d.]+)k/mi.exec(stdout ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1000;
}

function* chunksOf(document: Uint8Array<ArrayBuffer>, size: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < document.length; at += size) yield document.subarray(at, at + size);
}

async function* arriving(document: Uint8Array<ArrayBuffer>): AsyncGenerator<Uint8Array> {
  yield* chunksOf(document, pieceBytes);
}

function nonce(index: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setUint32(8, index);
  return bytes;
}

function sealRaw(
  key: Uint8Array,
  document: Uint8Array<ArrayBuffer>,
): { sealed: Uint8Array; tag: Uint8Array }[] {
  return [...chunksOf(document, chunkBytes)].map((chunk, index) => {
    const cipher = createCipheriv('aes-256-gcm', key, nonce(index));
    const sealed = cipher.update(chunk);
    cipher.final();
    return { sealed, tag: cipher.getAuthTag() };
  });
}

function openRaw(key: Uint8Array, chunks: readonly { sealed: Uint8Array; tag: Uint8Array }[]): void {
  for (const [index, { sealed, tag }] of chunks.entries()) {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce(index), { authTagLength: tagBytes });
    decipher.setAuthTag(tag);
    decipher.update(sealed);
    decipher.final();
  }
}

async function sealWeb(key: CryptoKey, document: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer[]> {
  const sealed: ArrayBuffer[] = [];
  for (const chunk of chunksOf(document, chunkBytes)) {
    sealed.push(await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce(sealed.length) }, key, chunk));
  }
  return sealed;
}

async function openWeb(key: CryptoKey, chunks: readonly ArrayBuffer[]): Promise<void> {
  for (const [index, chunk] of chunks.entries()) {
    await crypto.subtle.decrypt({ name: 'AES-GCM', iv: nonce(index) }, key, chunk);
  }
}

async function seal(key: Uint8Array, job: string, document: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of encryptEnvelope(key, job, arriving(document))) parts.push(part);
  return Buffer.concat(parts);
}

async function open(key: Uint8Array, job: string, envelope: Uint8Array): Promise<void> {
  const chunks = opener(key, job, envelope.subarray(0, headerBytes));
  const count = chunkCount(envelope.length);
  for (let index = 0; index < count; index++) {
    const { offset, length } = chunkSpan(envelope.length, index);
    await chunks.open(index, envelope.subarray(offset, offset + length), index === count - 1);
  }
}

export async function bench(): Promise<Table> {
  const key = randomBytes(keyBytes);
  const job = randomUUID();
  const document = randomBytes(documentBytes);
  const webKey = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']);
  const envelope = await seal(key, job, document);
  const rawChunks = sealRaw(key, document);
  const webChunks = await sealWeb(webKey, document);

  const openssl = opensslSpeed();
  const speed = (work: () => Promise<void> | void) => megabytesPerSecond(documentBytes, work);
  const rawSeal = await speed(() => void sealRaw(key, document));
  const rawOpen = await speed(() => openRaw(key, rawChunks));
  const webSeal = await speed(async () => void await sealWeb(webKey, document));
  const webOpen = await speed(() => openWeb(webKey, webChunks));
  const encrypt = await speed(async () => {
    for await (const _part of encryptEnvelope(key, job, arriving(document)));
  });
  const decrypt = await speed(() => open(key, job, envelope));

  const row = (name: string, value: number, raw: number): Row => ({
    name,
    value,
    ratios: { ...(openssl === undefined ? {} : { openssl: value / openssl }), 'node:crypto': value / raw },
  });
  return {
    title: 'aes-256-gcm, chunks of 256 KiB',
    unit: 'MB/s',
    rows: [
      ...(openssl === undefined ? [] : [row('openssl speed', openssl, rawSeal)]),
      row('node:crypto encrypt', rawSeal, rawSeal),
      row('node:crypto decrypt', rawOpen, rawOpen),
      row('Web Crypto encrypt', webSeal, rawSeal),
      row('Web Crypto decrypt', webOpen, rawOpen),
      row('envelope encrypt', encrypt, rawSeal),
      row('envelope decrypt', decrypt, rawOpen),
    ],
  };
}
