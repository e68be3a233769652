// @ts-check
/** A certification request without names (PKCS#10, RFC 2986): it proves that this browser has the key. */

/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 section 3.2) */
const algorithm = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/**
 * @param {CryptoKeyPair} keys for ES256
 * @returns {Promise<Uint8Array<ArrayBuffer>>} DER
 */
export async function certificationRequest({ publicKey, privateKey }) {
  const spki = Array.from(new Uint8Array(await crypto.subtle.exportKey('spki', publicKey)));
  // version 0, a subject of no names, the key, no attributes
  const info = der(0x30, [...der(0x02, [0]), ...der(0x30, []), ...spki, ...der(0xa0, [])]);
  const es256 = { name: 'ECDSA', hash: 'SHA-256' };
  const raw = new Uint8Array(await crypto.subtle.sign(es256, privateKey, Uint8Array.from(info)));
  const signature = der(0x30, [...integer(raw.subarray(0, 32)), ...integer(raw.subarray(32))]);
  return Uint8Array.from(der(0x30, [...info, ...algorithm, ...der(0x03, [0, ...signature])]));
}

/**
 * @param {number} tag
 * @param {readonly number[]} content at most 65535 octets
 * @returns {number[]}
 */
function der(tag, content) {
  const { length } = content;
  const size = length < 0x80
    ? [length]
    : length < 0x100
    ? [0x81, length]
    : [0x82, length >> 8, length & 0xff];
  return [tag, ...size, ...content];
}

/**
 * A positive INTEGER, as short as it can be.
 * @param {Uint8Array} octets
 */
function integer(octets) {
  const digits = Array.from(octets);
  while (digits.length > 1 && digits[0] === 0) digits.shift();
  return der(0x02, (digits[0] ?? 0) >= 0x80 ? [0, ...digits] : digits);
}
