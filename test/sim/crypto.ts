/**
 * Cryptography that takes no time and no chance: it stands in for `crypto` in the whole process, answers at once, and
 * draws from the seed of the run. It must be installed before any module of the mesh is loaded, as some keep what they
 * find. Nothing about it is secret outside of a simulation; inside, only who has a private key object can sign with it.
 */
import { createHash } from 'node:crypto';
import { Random } from './random.ts';

type Bits = 'raw' | 'spki' | 'pkcs8' | 'jwk';

interface SimKey {
  readonly type: 'public' | 'private' | 'secret';
  readonly extractable: boolean;
  readonly algorithm: { readonly name: string; readonly namedCurve?: string };
  readonly usages: readonly string[];
  /** public: the point's two coordinates; private: those, then the secret; secret: the key */
  readonly octets: Uint8Array;
}

/** RFC 5480: SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point's coordinates. */
const spkiPrefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
/** Not a PKCS#8 structure: nothing but this file reads it. */
const pkcs8Prefix = Buffer.from('3081870201003013', 'hex');
const pointBytes = 64;
const secretBytes = 32;
const tagBytes = 16;

/** the secret of every key there is, by its point in hexadecimal */
const secrets = new Map<string, Uint8Array>();
let random = new Random('before the first run');

/** From now on all randomness comes from here. */
export function drawFrom(source: Random): void {
  random = source;
}

/** 32 octets that depend on all of what is given: no hash that withstands anybody, and many times quicker than one. */
function hash(...parts: (Uint8Array | string)[]): Buffer {
  let [a, b] = [0x9e3779b9, 0x85ebca6b];
  for (const part of parts) {
    const octets = typeof part === 'string' ? Buffer.from(part) : part;
    a ^= octets.length;
    for (let i = 0; i < octets.length; i++) {
      a = Math.imul(a ^ octets[i]!, 2654435761);
      b = Math.imul(b ^ octets[i]! ^ (a >>> 15), 1597334677);
    }
  }
  const sum = Buffer.alloc(32);
  for (let at = 0; at < 32; at += 4) {
    a = Math.imul(a ^ (b >>> 16), 2246822507) + at;
    b = Math.imul(b ^ (a >>> 13), 3266489909);
    sum.writeInt32LE(a ^ b, at);
  }
  return sum;
}

const octetsOf = (data: BufferSource): Uint8Array =>
  data instanceof ArrayBuffer
    ? new Uint8Array(data)
    : new Uint8Array((data as ArrayBufferView).buffer as ArrayBuffer, data.byteOffset, data.byteLength);

const bufferOf = (octets: Uint8Array): ArrayBuffer => new Uint8Array(octets).buffer;

const nameOf = (algorithm: AlgorithmIdentifier): string =>
  typeof algorithm === 'string' ? algorithm : algorithm.name;

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' };

function publicKey(point: Uint8Array): SimKey {
  return { type: 'public', extractable: true, algorithm: ecdsa, usages: ['verify'], octets: point };
}

function privateKey(octets: Uint8Array): SimKey {
  secrets.set(octets.subarray(0, pointBytes).toHex(), octets.subarray(pointBytes));
  return { type: 'private', extractable: true, algorithm: ecdsa, usages: ['sign'], octets };
}

function generate(): { publicKey: SimKey; privateKey: SimKey } {
  const secret = random.bytes(secretBytes);
  const point = new Uint8Array([...hash('x', secret), ...hash('y', secret)]);
  return { publicKey: publicKey(point), privateKey: privateKey(new Uint8Array([...point, ...secret])) };
}

function signature(secret: Uint8Array, data: Uint8Array): Uint8Array {
  const message = hash(data);
  return new Uint8Array([...hash('r', secret, message), ...hash('s', secret, message)]);
}

function exported(format: Bits, key: SimKey): ArrayBuffer | object {
  if (format === 'jwk') {
    const [x, y, d] = [0, 32, 64].map((at) =>
      Buffer.from(key.octets.subarray(at, at + 32)).toString('base64url')
    );
    return { kty: 'EC', crv: 'P-256', x, y, ext: true, ...(key.type === 'private' ? { d } : {}) };
  }
  if (format === 'spki') return bufferOf(Buffer.concat([spkiPrefix, key.octets.subarray(0, pointBytes)]));
  if (format === 'pkcs8') return bufferOf(Buffer.concat([pkcs8Prefix, key.octets]));
  return bufferOf(key.octets);
}

function imported(format: Bits, data: BufferSource | JsonWebKey, algorithm: AlgorithmIdentifier): SimKey {
  if (format === 'jwk') {
    const { x = '', y = '', d } = data as JsonWebKey;
    const octets = new Uint8Array(
      Buffer.concat([x, y, d ?? ''].map((text) => Buffer.from(text, 'base64url'))),
    );
    return d === undefined ? publicKey(octets) : privateKey(octets);
  }
  const octets = octetsOf(data as BufferSource).slice();
  const name = nameOf(algorithm);
  if (name === 'X25519') {
    // the scalar is the end of PKCS#8 as RFC 8410 has it
    return { type: 'secret', extractable: false, algorithm: { name }, usages: [], octets: octets.slice(-32) };
  }
  if (format === 'pkcs8') return privateKey(octets.slice(pkcs8Prefix.length));
  if (format === 'spki') {
    const right = octets.length === spkiPrefix.length + pointBytes &&
      spkiPrefix.equals(octets.subarray(0, spkiPrefix.length));
    if (!right) throw new DOMException('this is no key on P-256', 'DataError');
    return publicKey(octets.slice(spkiPrefix.length));
  }
  const usages = ['encrypt', 'decrypt'];
  return { type: 'secret', extractable: true, algorithm: { name }, usages, octets };
}

/** A key stream that depends on key and nonce: cheap, and another one for another key. */
function masked(key: SimKey, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const stream = new Random(hash('mask', key.octets, iv).toString('hex')).bytes(data.length);
  for (let i = 0; i < data.length; i++) stream[i]! ^= data[i]!;
  return stream;
}

const tagOf = (key: SimKey, iv: Uint8Array, sealed: Uint8Array) =>
  hash('tag', key.octets, iv, sealed).subarray(0, tagBytes);

function decrypted(key: SimKey, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const sealed = data.subarray(0, -tagBytes);
  if (data.length < tagBytes || !tagOf(key, iv, sealed).equals(data.subarray(-tagBytes))) {
    throw new DOMException('it does not authenticate', 'OperationError');
  }
  return masked(key, iv, sealed);
}

/** The base point's u coordinate (RFC 7748 section 4.1). */
const base = Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? 9 : 0);

/** Stands in for X25519: what two scalars and their points agree on, and what tells nobody a scalar. */
function agreed(scalar: Uint8Array, point: Uint8Array): Uint8Array {
  const own = hash('point', scalar);
  if (Buffer.from(point).equals(base)) return own;
  return hash('agreed', ...[own, Buffer.from(point)].sort((a, b) => a.compare(b)));
}

const ivOf = (parameters: unknown) => octetsOf((parameters as { iv: BufferSource }).iv);
const keyOf = (key: unknown) => key as SimKey;
/** A promise of what can be told at once. */
const atOnce = <T>(tell: () => T): Promise<T> => new Promise((resolve) => resolve(tell()));

const subtle = {
  digest: (algorithm: AlgorithmIdentifier, data: BufferSource) =>
    atOnce(() =>
      bufferOf(createHash(nameOf(algorithm).replace('-', '').toLowerCase()).update(octetsOf(data)).digest())
    ),
  generateKey: () => atOnce(generate),
  importKey: (format: Bits, data: BufferSource | JsonWebKey, algorithm: AlgorithmIdentifier) =>
    atOnce(() => imported(format, data, algorithm)),
  exportKey: (format: Bits, key: unknown) => atOnce(() => exported(format, keyOf(key))),
  sign: (_: unknown, key: unknown, data: BufferSource) =>
    atOnce(() => bufferOf(signature(keyOf(key).octets.subarray(pointBytes), octetsOf(data)))),
  verify: (_: unknown, key: unknown, given: BufferSource, data: BufferSource) =>
    atOnce(() => {
      const secret = secrets.get(keyOf(key).octets.toHex());
      return secret !== undefined && Buffer.from(signature(secret, octetsOf(data))).equals(octetsOf(given));
    }),
  deriveBits: (parameters: unknown, key: unknown) =>
    atOnce(() =>
      bufferOf(agreed(keyOf(key).octets, keyOf((parameters as { public: unknown }).public).octets))
    ),
  encrypt: (parameters: unknown, key: unknown, data: BufferSource) =>
    atOnce(() => {
      const sealed = masked(keyOf(key), ivOf(parameters), octetsOf(data));
      return bufferOf(Buffer.concat([sealed, tagOf(keyOf(key), ivOf(parameters), sealed)]));
    }),
  decrypt: (parameters: unknown, key: unknown, data: BufferSource) =>
    atOnce(() => bufferOf(decrypted(keyOf(key), ivOf(parameters), octetsOf(data)))),
};

function uuid(): string {
  const octets = random.bytes(16);
  octets[6] = (octets[6]! & 0x0f) | 0x40;
  octets[8] = (octets[8]! & 0x3f) | 0x80;
  const hex = octets.toHex();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const fakes = {
  subtle,
  randomUUID: uuid,
  getRandomValues: <T extends ArrayBufferView>(array: T): T => {
    random.fill(new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength));
    return array;
  },
};
// the object stays the one that modules may have taken hold of
for (const [name, value] of Object.entries(fakes)) {
  Object.defineProperty(globalThis.crypto, name, { value, configurable: true });
}
