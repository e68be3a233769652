/**
 * Writes the vectors of mesh/WIRE.md to the file that its argument names. It follows the page on node:crypto
 * alone, so that the vectors do not merely repeat what the mesh does.
 */
import { createECDH, createHash, createHmac, createPrivateKey, scryptSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import process from 'node:process';

type Cbor = number | string | boolean | null | Uint8Array | Cbor[] | { [key: string]: Cbor };

function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.of(major << 5 | value);
  const [info, octets] = value < 2 ** 8
    ? [24, 1]
    : value < 2 ** 16
    ? [25, 2]
    : value < 2 ** 32
    ? [26, 4]
    : [27, 8];
  const out = Buffer.alloc(1 + octets, major << 5 | info);
  if (octets === 8) out.writeBigUInt64BE(BigInt(value), 1);
  else out.writeUIntBE(value, 1, octets);
  return out;
}

/** RFC 8949 section 4.2.1. */
function cbor(value: Cbor): Buffer {
  if (typeof value === 'number') return head(0, value);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4);
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === 'string') {
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  }
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  const pairs = Object.entries(value).map(([key, item]) => [cbor(key), cbor(item)] as const)
    .sort(([a], [b]) => Buffer.compare(a, b));
  return Buffer.concat([head(5, pairs.length), ...pairs.flat()]);
}

const sha256 = (...parts: (string | Uint8Array)[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const ecdh = createECDH('prime256v1');
const secret = sha256('inkmesh vectors');
ecdh.setPrivateKey(secret);
const point = ecdh.getPublicKey();
const jwk = {
  ...{ kty: 'EC', crv: 'P-256', d: secret.toString('base64url') },
  ...{ x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') },
};

function signed(context: string, payload: Uint8Array): Buffer {
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  const message = Buffer.concat([Buffer.from(context), Buffer.of(0), payload]);
  return sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' });
}

/** A value of the vectors: octets as hexadecimal. */
function shown(value: Cbor): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(shown);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shown(item)]));
}

const frame = (octets: Uint8Array) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(octets.length);
  return Buffer.concat([length, octets]);
};

const peer = (letter: string) => `12D3KooW${letter.repeat(44)}`;
const octets = (length: number, first: number) =>
  Buffer.from(Array.from({ length }, (_, i) => (first + i) % 256));
const [author, second, third] = [peer('A'), peer('B'), peer('C')];
const claim = `${second}/6f1b1f5e-30a4-4c5e-9d0e-9b1e6f0c7a11`;
const time_ms = 1_790_000_000_000;

function jobId(): Cbor {
  const random = Buffer.from('0011223344558077', 'hex');
  const digest = sha256('inkmesh job', author, random);
  digest[0] = digest[0]! & 0x3f | 0x80;
  const hex = Buffer.concat([random, digest.subarray(0, 8)]).toString('hex');
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  const others = [id.replace(/.$/, (digit) => digit === '0' ? '1' : '0'), claim.slice(-36)];
  return { author, random, id, others };
}

const job = (jobId() as { id: string }).id;

function varUint(value: number): number[] {
  return value < 128 ? [value] : [128 + value % 128, ...varUint(Math.floor(value / 128))];
}

function arrayOf(records: [Buffer, Buffer]): Cbor {
  const name = `${author}/0123456789abcdef`;
  const client = sha256(name).readUIntBE(0, 6);
  const update = (clock: number, parent: Buffer, record: Buffer) =>
    Buffer.concat([
      Buffer.from([1, 1, ...varUint(client), ...varUint(clock), clock === 0 ? 8 : 136]),
      parent,
      Buffer.from([1, 116, ...varUint(record.length)]),
      record,
      Buffer.of(0),
    ]);
  const root = Buffer.from([1, ...varUint(name.length), ...Buffer.from(name)]);
  const before = Buffer.from([...varUint(client), ...varUint(0)]);
  return { name, client, updates: [update(0, root, records[0]), update(1, before, records[1])] };
}

function facts(): Cbor {
  const doc = 'jobs/main/2026-09-21';
  const job1 = {
    ...{ owner: 'ada', bytes: 300_000, epoch: 1, expires_ms: time_ms + 28_800_000 },
    ...{ holders: [author, second, third], degraded: null, sleeper: null, handed: null },
  };
  const made = ([['job', job1, time_ms], ['withdrawn', {}, time_ms + 5]] as [string, Cbor, number][])
    .map(([kind, body, t]) => {
      const payload = cbor({ d: doc, a: author, n: t, k: kind, s: job, t, b: cbor(body) });
      const record = cbor([payload, signed('inkmesh fact 1', payload)]);
      const fields = { doc, author, seq: t, kind, subject: job, time_ms: t, body };
      return { fields, payload, record, id: sha256(payload).subarray(0, 16) };
    });
  return { facts: made, array: arrayOf([made[0]!.record, made[1]!.record]) };
}

function signedFields(context: string, fields: { [key: string]: Cbor }): Cbor {
  const payload = cbor(fields);
  return { fields, payload, signature: signed(context, payload) };
}

function call(): Cbor {
  const request = { job, claim, offset: 262_201 };
  const [ok, error] = [{ ok: {} }, {
    error: { code: 'busy', message: 'another node has claimed this job', details: { claim, begun: 'false' } },
  }];
  const body = [octets(5, 0), octets(300, 5)];
  const answer = Buffer.concat([cbor(ok), ...body].map(frame).concat(frame(Buffer.alloc(0))));
  return { method: 'fetch', request, sent: frame(cbor(request)), body, answer, error: frame(cbor(error)) };
}

function token(kind: 'n' | 'u', fields: Cbor[]): Cbor {
  const body = cbor(fields);
  const whole = Buffer.concat([body, sha256(`ink1${kind}`, body).subarray(0, 4)]);
  return { fields, text: `ink1${kind}${whole.toString('base64url')}` };
}

/** A PIN, or a badge where there is no user, as its fact keeps it. */
function verifier(text: string, user: string | null, salt: Uint8Array): Cbor {
  const key = octets(32, 0x60);
  const typed = text.normalize('NFKC').trim().toUpperCase();
  const hash = scryptSync(typed, salt, 32, { N: 32768, r: 8, p: 1, maxmem: 2 ** 27 });
  const what = user === null ? ['inkmesh badge 1', hash] : ['inkmesh pin 1', user, hash];
  const tag = createHmac('sha256', key).update(cbor(what)).digest();
  return { text, user, key, salt, body: { salt, key: sha256(key).subarray(0, 8), tag } };
}

const hello = {
  leaf: octets(40, 1),
  issuers: [octets(40, 2)],
  time_ms,
  addresses: ['/ip4/192.0.2.7/tcp/9264'],
};
const nonce = octets(16, 0x40);
const release = {
  job,
  claimant: third,
  action: 'release',
  target: 'floor-1',
  options: cbor({ copies: 2 }),
  nonce,
  issued: time_ms,
};
const view = { method: 'GET', path: '/tickets', audience: author, bodyHash: null, nonce, issued: time_ms };
const given = { submitter: { token: octets(32, 0), cancel: octets(32, 5) }, ticket: octets(50, 7), handoff: octets(60, 9) };
const submitToken = 'AAECAwQFBgcICQoLDA0ODxAREhM';
const proof = sha256(cbor(['inkmesh cancel 1', submitToken, job]));
const joining = [octets(32, 0), octets(16, 32), 'main', time_ms, ['192.0.2.7:9264']];

const vectors: Cbor = {
  key: jwk,
  framing: call(),
  hello: { fields: hello, frame: frame(cbor(hello)) },
  jobId: jobId(),
  fact: facts(),
  grant: signedFields('inkmesh grant 1', { ...release, confirm: [claim] }),
  request: signedFields('inkmesh request 1', view),
  voucher: signedFields('inkmesh voucher 1', { ...release, user: 'ada', confirm: [claim] }),
  view: signedFields('inkmesh view 1', { user: 'ada', audience: author, nonce, issued: time_ms }),
  receipt: signedFields('inkmesh receipt 1', { job, epoch: 1, claim, holder: third }),
  handed: {
    ...given,
    digest: sha256(cbor(['inkmesh handoff 1', given.submitter, given.ticket, given.handoff])),
  },
  cancellation: {
    ...{ token: submitToken, job, proof },
    submitter: { token: sha256(new TextEncoder().encode(submitToken)), cancel: sha256(proof) },
  },
  pin: verifier(' geheim７ ', 'ada', octets(16, 3)),
  badge: verifier('04:a2:2f', null, Buffer.from(`inkmesh badge ${'ab'.repeat(32)}`)),
  joinToken: { node: token('n', joining), user: token('u', [...joining, 'ada']) },
};

const [, , file] = process.argv;
if (file === undefined) throw new TypeError('usage: wire.generate.ts FILE');
writeFileSync(file, JSON.stringify(shown(vectors), null, 1) + '\n');
