// @ts-check
/** Releasing and deleting jobs: the grants are signed here. */
import { ask, currentNode, lines, now_ms, Refusal } from './api.js';
import { toBase64 } from './base64.js';
import { encode } from './cbor.js';
import { signGrant } from './signing.js';

/** @typedef {import('./signing.js').Credential} Credential */

/**
 * @typedef {object} Outcome
 * @property {'printed' | 'sent' | 'failed' | 'interrupted' | 'refused'} outcome
 * @property {string} [reason]
 */

/**
 * @typedef {object} Wish
 * @property {string} job
 * @property {string} printer
 * @property {import('./options.js').Options} options
 * @property {readonly string[]} confirm claims that the owner prints in spite of
 * @property {string | undefined} format MIME media type, where the page knows it: one that does not fit is refused at once
 */

/**
 * @typedef {object} Step
 * @property {number} [sent]
 * @property {number} [total]
 * @property {string | null} [waiting] why the printer waits; null when it goes on
 * @property {Outcome} [result]
 * @property {string} [error]
 */

/**
 * Prints a job. Resolves with how it ended, undefined when the connection was lost before.
 * @param {Credential} credential
 * @param {Wish} wish
 * @param {(step: Step) => void} onStep
 * @returns {Promise<Outcome | undefined>}
 * @throws {import('./api.js').Refusal}
 */
export async function release(credential, { job, printer, options, confirm, format }, onStep) {
  const via = await delivererOf(credential, printer);
  const response = await ask(credential, {
    path: `/v1/jobs/${job}/release`,
    ...(via === undefined ? {} : { via }),
    body: async (peer) => {
      const target = { job, action: /** @type {const} */ ('release'), claimant: peer, target: printer };
      const grant = await signGrant(credential, { ...target, options: encode(options), confirm }, now_ms());
      return { printer, options, grant: toBase64(grant), ...(format === undefined ? {} : { format }) };
    },
  });
  /** @type {Outcome | undefined} */
  let outcome;
  try {
    for await (const line of lines(response)) {
      const step = /** @type {Step} */ (JSON.parse(line));
      if (step.result !== undefined) outcome = step.result;
      else if (step.error !== undefined) outcome = { outcome: 'refused', reason: step.error };
      else onStep(step);
    }
  } catch {
    // the list shows what has become of it
  }
  return outcome;
}

/**
 * The node that is to deliver, as it reaches the printer; undefined for the one that serves the page.
 * @param {Credential} credential
 * @param {string} printer
 * @returns {Promise<string | undefined>} PeerId
 */
async function delivererOf(credential, printer) {
  try {
    const response = await ask(credential, { path: `/v1/printers/${printer}/nodes` });
    const [best] = /** @type {{ peer: string, here: boolean }[]} */ (await response.json());
    return best === undefined || best.here ? undefined : best.peer;
  } catch (thrown) {
    // its delivery says what is wrong
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}

/**
 * Erases a job unprinted.
 * @param {Credential} credential
 * @param {string} job
 * @param {readonly string[]} confirm as for `release`
 */
export async function cancel(credential, job, confirm) {
  const via = (await currentNode()).cloud === true ? await holderOf(credential, job) : undefined;
  await ask(credential, {
    path: `/v1/jobs/${job}/cancel`,
    ...(via === undefined ? {} : { via }),
    body: async (peer) => {
      const target = { job, action: /** @type {const} */ ('cancel'), claimant: peer, target: '' };
      const options = new Uint8Array(0);
      return { grant: toBase64(await signGrant(credential, { ...target, options, confirm }, now_ms())) };
    },
  });
}

/**
 * A node that keeps a job and is awake: it erases the job where the one that serves the page does nothing by itself.
 * @param {Credential} credential
 * @param {string} job
 * @returns {Promise<string | undefined>} PeerId
 */
async function holderOf(credential, job) {
  const response = await ask(credential, { path: `/v1/directory/jobs/${job}/holders` });
  const holders = /** @type {{ peer: string, awake: boolean }[]} */ (await response.json());
  return holders.find(({ awake }) => awake)?.peer;
}
