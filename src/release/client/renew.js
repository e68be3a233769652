// @ts-check
/** A browser's certificate lasts 90 days; the next one, for the same key, is asked for when a third of that is left. */
import { ask, now_ms } from './api.js';
import { fromBase64 } from './base64.js';
import { signRequest } from './signing.js';
import { replaceCredential } from './store.js';

/** @typedef {import('./signing.js').Credential} Credential */

const due_ms = 30 * 24 * 3600_000;

/**
 * The credential to go on with. Without a registrar it stays as it is: there are weeks left.
 * @param {Credential} credential
 * @returns {Promise<Credential>}
 */
export async function renewed(credential) {
  if (credential.expires_ms - now_ms() > due_ms || hasLapsed(credential)) return credential;
  try {
    const response = await ask(credential, {
      path: '/v1/credential',
      body: async (audience) => {
        const purpose = { method: 'POST', path: '/renew', audience };
        return { proof: await signRequest(credential, purpose, now_ms()) };
      },
    });
    const { leaf, issuers, expires } = await response.json();
    const next = {
      ...credential,
      certificate: fromBase64(leaf),
      issuers: issuers.map(fromBase64),
      expires_ms: Date.parse(expires),
    };
    await replaceCredential(next);
    return next;
  } catch {
    return credential;
  }
}

/** Whether nobody takes its signatures any more. @param {Credential} credential */
export function hasLapsed({ expires_ms }) {
  return now_ms() >= expires_ms;
}
