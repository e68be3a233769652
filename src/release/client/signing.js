// @ts-check
/** What a browser signs, in the formats of mesh/grant.ts and mesh/request.ts. */
import { toBase64url } from './base64.js';
import { encode } from './cbor.js';

/**
 * What signs. The private key (P-256) cannot be exported.
 * @typedef {object} Signer
 * @property {Uint8Array} certificate DER
 * @property {readonly Uint8Array[]} issuers DER
 * @property {CryptoKey} key
 */

/**
 * A browser's credential.
 * @typedef {Signer & {
 *   user: string,
 *   device: string,
 *   site: string,
 *   expires_ms: number,
 * }} Credential `device` is a UUID; the certificate ends at `expires_ms`, milliseconds since the epoch
 */

/**
 * @typedef {object} Grant
 * @property {string} job
 * @property {'release' | 'cancel'} action
 * @property {string} claimant PeerId of the node that is to do it
 * @property {string} target the printer; empty to cancel
 * @property {Uint8Array} options CBOR
 * @property {readonly string[]} confirm claims that the owner knows of
 */

/**
 * @param {Signer} credential
 * @param {Grant} grant
 * @param {number} now milliseconds since the epoch
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export function signGrant(credential, grant, now) {
  const { job, action, claimant, target, options, confirm } = grant;
  return signed(credential, 'inkmesh grant 1', {
    ...{ job, action, claimant, target, options, confirm },
    ...fresh(now),
  });
}

/**
 * What follows the scheme `Inkmesh` in an authorization header.
 * @param {Signer} credential
 * @param {{ method: string, path: string, audience: string, body?: Uint8Array<ArrayBuffer> }} request
 * @param {number} now milliseconds since the epoch
 * @returns {Promise<string>}
 */
export async function signRequest(credential, { method, path, audience, body }, now) {
  const bodyHash = body === undefined ? null : new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  const value = { method, path, audience, bodyHash, ...fresh(now) };
  return toBase64url(await signed(credential, 'inkmesh request 1', value));
}

/** @param {number} now */
function fresh(now) {
  return { nonce: crypto.getRandomValues(new Uint8Array(16)), issued: Math.floor(now) };
}

/**
 * @param {Signer} credential
 * @param {'inkmesh grant 1' | 'inkmesh request 1'} context
 * @param {object} value
 */
async function signed({ certificate, issuers, key }, context, value) {
  const payload = encode(value);
  const prefix = new TextEncoder().encode(`${context}\0`);
  const message = new Uint8Array(prefix.length + payload.length);
  message.set(prefix);
  message.set(payload, prefix.length);
  const signature = new Uint8Array(
    await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, message),
  );
  return encode({ certificate, issuers, payload, signature });
}
