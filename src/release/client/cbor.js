// @ts-check
/** Deterministic CBOR (RFC 8949 section 4.2), as mesh/codec.ts writes it: what a browser signs must be those very octets. */

/**
 * The octets of a plain value: maps with text keys, arrays, text, bytes, whole numbers from 0, booleans, null.
 * @param {unknown} value
 * @returns {Uint8Array<ArrayBuffer>}
 * @throws {TypeError} for anything else
 */
export function encode(value) {
  /** @type {number[]} */
  const octets = [];
  write(value, octets);
  return Uint8Array.from(octets);
}

/**
 * @param {unknown} value
 * @param {number[]} out
 */
function write(value, out) {
  if (value === null) out.push(0xf6);
  else if (typeof value === 'boolean') out.push(value ? 0xf5 : 0xf4);
  else if (typeof value === 'number') writeHead(0, value, out);
  else if (typeof value === 'string') writeOctets(3, utf8(value), out);
  else if (value instanceof Uint8Array) writeOctets(2, value, out);
  else if (Array.isArray(value)) {
    writeHead(4, value.length, out);
    for (const item of value) write(item, out);
  } else if (typeof value === 'object') writeMap(value, out);
  else throw new TypeError(`a ${typeof value} cannot be encoded`);
}

/**
 * @param {object} map
 * @param {number[]} out
 */
function writeMap(map, out) {
  const entries = Object.entries(map).map(([key, value]) => /** @type {const} */ ([utf8(key), value]));
  entries.sort(([a], [b]) => a.length - b.length || compare(a, b));
  writeHead(5, entries.length, out);
  for (const [key, value] of entries) {
    writeOctets(3, key, out);
    write(value, out);
  }
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b as long as `a`
 */
function compare(a, b) {
  const at = a.findIndex((octet, i) => octet !== b[i]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

/**
 * @param {number} major
 * @param {Uint8Array} octets
 * @param {number[]} out
 */
function writeOctets(major, octets, out) {
  writeHead(major, octets.length, out);
  for (const octet of octets) out.push(octet);
}

/**
 * The initial byte and its argument, as short as it can be.
 * @param {number} major
 * @param {number} argument
 * @param {number[]} out
 */
function writeHead(major, argument, out) {
  if (!Number.isSafeInteger(argument) || argument < 0) {
    throw new TypeError('only whole numbers from 0 can be encoded');
  }
  if (argument < 24) return void out.push(major << 5 | argument);
  const size = argument < 0x100 ? 1 : argument < 0x10000 ? 2 : argument < 0x100000000 ? 4 : 8;
  out.push(major << 5 | 24 + Math.log2(size));
  for (let i = size - 1; i >= 0; i--) out.push(Math.floor(argument / 256 ** i) % 256);
}

/** @param {string} text */
function utf8(text) {
  return new TextEncoder().encode(text);
}
