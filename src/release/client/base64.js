// @ts-check
/** Base64 (RFC 4648) in browsers of the last ten years. */

/**
 * @param {Uint8Array} octets
 * @returns {string}
 */
export function toBase64(octets) {
  return btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(''));
}

/**
 * The URL-safe alphabet, without padding.
 * @param {Uint8Array} octets
 * @returns {string}
 */
export function toBase64url(octets) {
  return toBase64(octets).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

/**
 * @param {string} text in either alphabet
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromBase64(text) {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
