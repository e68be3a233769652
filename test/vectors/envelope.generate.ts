/**
 * Writes the vectors of mesh/ENVELOPE.md to the file that its argument names. It follows the page on
 * node:crypto alone, so that the vectors do not merely repeat what mesh/envelope.ts does.
 */
import { createCipheriv, createHash, hkdfSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import process from 'node:process';

const chunkBytes = 262144;
const sealedBytes = chunkBytes + 16;
const headerBytes = 41;
const prefix = Buffer.concat([Buffer.from('inkmesh'), Buffer.of(1, 18)]);
const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const job = '0b7d3c1e-58f2-4a6b-9c0d-e1f2a3b4c5d6';

function okm(): Buffer {
  const info = Buffer.concat([prefix, Buffer.from(job.replaceAll('-', ''), 'hex')]);
  return Buffer.from(hkdfSync('sha256', key, 'inkmesh/envelope', info, 64));
}

function sealChunk(index: number, plaintext: Uint8Array, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(index), 3);
  nonce[11] = last ? 1 : 0;
  const cipher = createCipheriv('aes-256-gcm', okm().subarray(0, 32), nonce);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

const header = () => Buffer.concat([prefix, okm().subarray(32)]);

function seal(plaintext: Uint8Array): Buffer {
  const parts: Uint8Array[] = [header()];
  const chunks = Math.max(1, Math.ceil(plaintext.length / chunkBytes));
  for (let i = 0; i < chunks; i++) {
    const chunk = plaintext.subarray(i * chunkBytes, (i + 1) * chunkBytes);
    parts.push(sealChunk(i, chunk, i === chunks - 1));
  }
  return Buffer.concat(parts);
}

const pattern = (length: number) => Buffer.from(Array.from({ length }, (_, i) => i % 251));

function good(name: string, plaintext: Buffer) {
  const show = (octets: Buffer) =>
    octets.length <= 256
      ? octets.toString('hex')
      : { length: octets.length, sha256: createHash('sha256').update(octets).digest('hex') };
  const text = show(plaintext);
  const shown = typeof text === 'string' ? text : { pattern: 'i mod 251', ...text };
  return { name, key: key.toString('hex'), job, plaintext: shown, envelope: show(seal(plaintext)) };
}

const flip = (at: number, xor: number) => [{ at, xor }];
const text = 'a short text';
const full = 'three chunks, the last one full';
const tail = 'three chunks, the last one short';
const hex = (...parts: Buffer[]) => Buffer.concat(parts).toString('hex');

const vectors = {
  good: [
    good('empty', Buffer.alloc(0)),
    good('one octet', Buffer.of(0x61)),
    good(text, Buffer.from('Hold this job until I am there.')),
    good('one chunk but an octet', pattern(chunkBytes - 1)),
    good('one full chunk', pattern(chunkBytes)),
    good('one full chunk and an octet', pattern(chunkBytes + 1)),
    good(full, pattern(3 * chunkBytes)),
    good(tail, pattern(2 * chunkBytes + 1000)),
  ],
  bad: [
    { name: 'another magic', of: text, edits: flip(0, 0x20), part: 'header' },
    { name: 'an unknown version', of: text, edits: flip(7, 0x03), part: 'header' },
    { name: 'version 0', of: text, edits: flip(7, 0x01), part: 'header' },
    { name: 'another chunk size', of: text, edits: flip(8, 0x01), part: 'header' },
    { name: 'nothing at all', envelope: '', key: hex(key), job, part: 'header' },
    { name: 'cut within the header', of: text, edits: [{ length: headerBytes - 1 }], part: 'header' },
    { name: 'the first bit of the commitment', of: text, edits: flip(9, 0x80), part: 'commitment' },
    {
      name: 'the last bit of the commitment',
      of: text,
      edits: flip(headerBytes - 1, 0x01),
      part: 'commitment',
    },
    {
      name: 'another job',
      of: text,
      job: '0b7d3c1e-58f2-4a6b-9c0d-e1f2a3b4c5d7',
      edits: [],
      part: 'commitment',
    },
    { name: 'another key', of: text, key: '01'.repeat(32), edits: [], part: 'commitment' },
    { name: 'the first bit of a chunk', of: text, edits: flip(headerBytes, 0x80), part: 'chunk' },
    { name: 'the first bit of a tag', of: text, edits: flip(-16, 0x80), part: 'chunk' },
    { name: 'the last bit of a tag', of: text, edits: flip(-1, 0x01), part: 'chunk' },
    {
      name: 'the tag of the second chunk',
      of: tail,
      edits: flip(headerBytes + 2 * sealedBytes - 1, 1),
      part: 'chunk',
    },
    { name: 'no chunk', of: text, edits: [{ length: headerBytes }], part: 'chunk' },
    { name: 'cut within the only tag', of: 'empty', edits: [{ length: headerBytes + 15 }], part: 'chunk' },
    {
      name: 'cut within a chunk',
      of: tail,
      edits: [{ length: headerBytes + sealedBytes + 9000 }],
      part: 'chunk',
    },
    {
      name: 'cut after the second chunk',
      of: tail,
      edits: [{ length: headerBytes + 2 * sealedBytes }],
      part: 'chunk',
    },
    {
      name: 'cut after the first chunk',
      of: full,
      edits: [{ length: headerBytes + sealedBytes }],
      part: 'chunk',
    },
    { name: 'first and second chunk exchanged', of: tail, edits: [{ swap: [0, 1] }], part: 'chunk' },
    { name: 'second and last chunk exchanged', of: full, edits: [{ swap: [1, 2] }], part: 'chunk' },
    { name: 'an octet after a short last chunk', of: text, edits: [{ append: '00' }], part: 'chunk' },
    { name: 'an octet after a full last chunk', of: full, edits: [{ append: '00' }], part: 'chunk' },
    {
      name: 'a chunk after a full last chunk',
      of: 'one full chunk',
      edits: [{ append: hex(sealChunk(1, Buffer.of(0x61), true)) }],
      part: 'chunk',
    },
    {
      name: 'an empty last chunk after a full one',
      of: tail,
      edits: [{ length: headerBytes + sealedBytes }, { append: hex(sealChunk(1, Buffer.alloc(0), true)) }],
      part: 'chunk',
    },
    {
      name: 'an only chunk that is not flagged last',
      envelope: hex(header(), sealChunk(0, Buffer.from('unfinished'), false)),
      key: hex(key),
      job,
      part: 'chunk',
    },
    {
      name: 'an only chunk with the counter of the second',
      envelope: hex(header(), sealChunk(1, Buffer.from('misplaced'), true)),
      key: hex(key),
      job,
      part: 'chunk',
    },
  ],
};

const [, , file] = process.argv;
if (file === undefined) throw new TypeError('usage: envelope.generate.ts FILE');
writeFileSync(file, JSON.stringify(vectors, null, 1) + '\n');
