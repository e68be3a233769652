// @ts-check
/// <reference lib="dom" />
/** Makes this browser a user's: a key that nobody can read out, certified for an invitation. */
import { Refusal } from './api.js';
import { fromBase64, toBase64, toBase64url } from './base64.js';
import { certificationRequest } from './csr.js';
import { keepCredential } from './store.js';

const invitation = /ink1u[A-Za-z0-9_-]{16,4096}/;

/**
 * The invitation in a link or in what somebody has pasted; undefined when there is none.
 * @param {string} text
 */
export function invitationIn(text) {
  return invitation.exec(text.replace(/\s+/g, ''))?.[0];
}

/**
 * @param {string} invite
 * @returns {Promise<import('./signing.js').Credential>} which is kept
 * @throws {Refusal}
 */
export async function enrol(invite) {
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, [
    'sign',
    'verify',
  ]);
  const device = crypto.randomUUID();
  const submitToken = toBase64url(crypto.getRandomValues(new Uint8Array(20)));
  const response = await fetch('/v1/enrol', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    cache: 'no-store',
    body: JSON.stringify({
      invite,
      device,
      request: toBase64(await certificationRequest(keys)),
      tokenHash: toBase64(await sha256(submitToken)),
    }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Refusal(String(answer.error.message), response.status);
  const { user, site, certificate, issuers, expires } = answer;
  const credential = {
    ...{ user, site, device, key: keys.privateKey },
    certificate: fromBase64(certificate),
    issuers: issuers.map(fromBase64),
    expires_ms: Date.parse(expires),
  };
  await keepCredential(credential);
  return credential;
}

/** @param {string} text */
async function sha256(text) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}
