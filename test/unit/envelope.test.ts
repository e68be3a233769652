import { createHash, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  chunkBytes,
  chunkCount,
  chunkSpan,
  commits,
  encryptEnvelope,
  envelopeLength,
  headerBytes,
  maxChunks,
  opener,
  plaintextLength,
  sealer,
  tagBytes,
} from '../../mesh/envelope.ts';
import { InkmeshError } from '../../mesh/errors.ts';

type Octets = string | { length: number; sha256: string };
type Edit = { at?: number; xor?: number; length?: number; append?: string; swap?: [number, number] };
interface Good {
  name: string;
  key: string;
  job: string;
  plaintext: Octets;
  envelope: Octets;
}
interface Bad {
  name: string;
  of?: string;
  edits?: Edit[];
  envelope?: string;
  key?: string;
  job?: string;
  part: string;
}
const file = new URL('../vectors/envelope/envelope.json', import.meta.url);
const vectors: { good: Good[]; bad: Bad[] } = JSON.parse(readFileSync(file, 'utf8'));

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const concat = (parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const pattern = (length: number) => new Uint8Array(length).map((_, i) => i % 251);
const documentOf = ({ plaintext }: Good) =>
  typeof plaintext === 'string' ? fromHex(plaintext) : pattern(plaintext.length);

function matches(octets: Uint8Array, expected: Octets): void {
  if (typeof expected === 'string') return assert.equal(octets, fromHex(expected));
  assert.is(octets.length, expected.length);
  assert.is(createHash('sha256').update(octets).digest('hex'), expected.sha256);
}

async function* pieces(document: Uint8Array, sizes: () => number): AsyncGenerator<Uint8Array> {
  // one buffer for all pieces, overwritten as soon as the next is asked for
  const buffer = new Uint8Array(2 ** 21);
  for (let at = 0; at < document.length;) {
    const piece = document.subarray(at, at + sizes());
    buffer.set(piece);
    yield buffer.subarray(0, piece.length);
    buffer.fill(0xff);
    at += piece.length;
  }
}

async function encrypt(key: Uint8Array, job: string, document: Uint8Array, sizes = () => 65536) {
  const parts: Uint8Array[] = [];
  for await (const part of encryptEnvelope(key, job, pieces(document, sizes))) parts.push(part);
  return { parts, envelope: concat(parts) };
}

/** Reads as any reader does: by the length, chunk by chunk, here the last one first. */
async function decrypt(key: Uint8Array, job: string, envelope: Uint8Array): Promise<Uint8Array> {
  const document = new Uint8Array(plaintextLength(envelope.length));
  const { open } = opener(key, job, envelope.subarray(0, headerBytes));
  const count = chunkCount(envelope.length);
  for (let i = count - 1; i >= 0; i--) {
    const { offset, length } = chunkSpan(envelope.length, i);
    const chunk = await open(i, envelope.subarray(offset, offset + length), i === count - 1);
    document.set(chunk, i * chunkBytes);
  }
  return document;
}

function edited(envelope: Uint8Array, edit: Edit): Uint8Array {
  const copy = new Uint8Array(envelope);
  if (edit.length !== undefined) return copy.subarray(0, edit.length);
  if (edit.append !== undefined) return concat([copy, fromHex(edit.append)]);
  if (edit.swap !== undefined) {
    const [a, b] = edit.swap.map((i) => chunkSpan(envelope.length, i));
    copy.set(envelope.subarray(a!.offset, a!.offset + a!.length), b!.offset);
    copy.set(envelope.subarray(b!.offset, b!.offset + b!.length), a!.offset);
    return copy;
  }
  const at = edit.at! < 0 ? copy.length + edit.at! : edit.at!;
  copy[at]! ^= edit.xor!;
  return copy;
}

async function refusedPart(read: () => unknown): Promise<string | undefined> {
  try {
    await read();
  } catch (error) {
    if (error instanceof InkmeshError && error.code === 'corrupt') return error.about.part;
    throw error;
  }
  return undefined;
}

const envelopeOf = async (good: Good) =>
  (await encrypt(fromHex(good.key), good.job, documentOf(good))).envelope;
for (const good of vectors.good) {
  test(`good: ${good.name}`, async () => {
    const envelope = await envelopeOf(good);
    matches(envelope, good.envelope);
    matches(await decrypt(fromHex(good.key), good.job, envelope), good.plaintext);
  });
}
for (const bad of vectors.bad) {
  test(`bad: ${bad.name}`, async () => {
    const good = vectors.good.find(({ name }) => name === bad.of);
    const start = bad.envelope === undefined ? await envelopeOf(good!) : fromHex(bad.envelope);
    const envelope = (bad.edits ?? []).reduce(edited, start);
    const [key, job] = [fromHex(bad.key ?? good!.key), bad.job ?? good!.job];
    assert.is(await refusedPart(() => decrypt(key, job, envelope)), bad.part);
  });
}

const job = '6f1c0a52-7d3e-4b8f-a1c2-d3e4f5a6b7c8';
const key = new Uint8Array(32).fill(7);

test('no bit of an envelope can change', async () => {
  const { envelope } = await encrypt(key, job, new TextEncoder().encode('ink'));
  for (let bit = 0; bit < envelope.length * 8; bit++) {
    const at = bit >> 3;
    const expected = at < 9 ? 'header' : at < headerBytes ? 'commitment' : 'chunk';
    const broken = edited(envelope, { at, xor: 1 << (bit & 7) });
    assert.is(await refusedPart(() => decrypt(key, job, broken)), expected, `bit ${bit}`);
  }
});

test('a chunk opens at its own place alone', async () => {
  const { parts } = await encrypt(key, job, pattern(chunkBytes * 2));
  const { open } = opener(key, job, parts[0]!);
  for (const i of [0, 1]) {
    for (const last of [false, true]) {
      const right = i === 0 ? !last : last;
      assert.is(await refusedPart(() => open(i, parts[i + 1]!, last)), right ? undefined : 'chunk');
      assert.is(await refusedPart(() => open(1 - i, parts[i + 1]!, last)), 'chunk');
    }
  }
});

test('a key is known by the commitment, for its own job alone', () => {
  const { header } = sealer(key, job);
  assert.ok(commits(key, job, header));
  assert.not(commits(key, job.replace('6', '7'), header));
  assert.not(commits(new Uint8Array(32), job, header));
  assert.throws(
    () => commits(key, job, header.subarray(1)),
    (e: InkmeshError) => e.about.part === 'header',
  );
});

test('the sealer takes full chunks, then one last, and an empty one only alone', async () => {
  const { seal } = sealer(key, job);
  const rejected = (chunk: Uint8Array, last: boolean) =>
    seal(chunk, last).then(() => 'sealed', (e) => e.name);
  assert.is(await rejected(new Uint8Array(chunkBytes - 1), false), 'RangeError');
  assert.is(await rejected(new Uint8Array(chunkBytes + 1), true), 'RangeError');
  assert.is(await rejected(new Uint8Array(chunkBytes), false), 'sealed');
  assert.is(await rejected(new Uint8Array(0), true), 'RangeError');
  assert.is(await rejected(new Uint8Array(1), true), 'sealed');
  assert.is(await rejected(new Uint8Array(1), true), 'TypeError');
});

test('keys and job ids of another shape are misuse', () => {
  for (const wrong of [0, 16, 31, 33]) assert.throws(() => sealer(new Uint8Array(wrong), job), /key/);
  for (const wrong of ['', 'job', job.toUpperCase(), `${job}0`]) {
    assert.throws(() => sealer(key, wrong), /UUID/);
  }
});

test('lengths: one envelope length for each document length, and no other', async () => {
  for (const n of [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 5 * chunkBytes, 2 ** 40 + 12345]) {
    const length = envelopeLength(n);
    assert.is(plaintextLength(length), n);
    const count = chunkCount(length);
    const spans = [0, count - 1].map((i) => chunkSpan(length, i));
    assert.is(spans[0]!.offset, headerBytes);
    assert.is(spans[1]!.offset + spans[1]!.length, length);
    assert.throws(() => chunkSpan(length, count), RangeError);
  }
  const sealed = chunkBytes + tagBytes;
  const largest = envelopeLength(maxChunks * chunkBytes);
  assert.is(chunkCount(largest), maxChunks);
  const impossible = [
    headerBytes,
    headerBytes + 15,
    headerBytes + sealed + 1,
    headerBytes + sealed + tagBytes,
  ];
  for (const length of [...impossible, largest + tagBytes + 1]) {
    assert.is(await refusedPart(() => plaintextLength(length)), 'chunk', String(length));
  }
  for (const length of [-1, 0, 40, NaN]) assert.is(await refusedPart(() => chunkCount(length)), 'header');
  assert.throws(() => envelopeLength(maxChunks * chunkBytes + 1), RangeError);
});

test('what is read ahead is at most one chunk of plaintext', async () => {
  let made = 0;
  async function* source() {
    for (; made < 20; made++) yield await Promise.resolve(pattern(chunkBytes));
  }
  let sealed = -1;
  for await (const _ of encryptEnvelope(key, job, source())) {
    assert.ok(made - sealed <= 2, `${made} made, ${sealed} sealed`);
    sealed++;
  }
  assert.is(sealed, 20);
});

test('a reader that stops ends the source', async () => {
  let ended = false;
  async function* source() {
    try {
      for (;;) yield await Promise.resolve(pattern(chunkBytes));
    } finally {
      ended = true;
    }
  }
  let parts = 0;
  for await (const _ of encryptEnvelope(key, job, source())) if (++parts === 3) break;
  assert.ok(ended);
});

test('documents of random length in random pieces come back, in one encoding', async () => {
  const seed = Number(process.env.SEED ?? randomInt(2 ** 32));
  console.log(`  SEED=${seed}`);
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  for (let round = 0; round < 25; round++) {
    const document = new Uint8Array(random(4 * chunkBytes)).map(() => random(256));
    const randomKey = new Uint8Array(32).map(() => random(256));
    const first = await encrypt(randomKey, job, document, () => 1 + random(2 ** 20));
    const second = await encrypt(randomKey, job, document, () => 1 + random(2 ** 16));
    assert.is(first.envelope.length, envelopeLength(document.length));
    assert.ok(Buffer.from(first.envelope).equals(second.envelope));
    assert.ok(Buffer.from(document).equals(await decrypt(randomKey, job, first.envelope)));
  }
});

test.run();
