// @ts-check
/// <reference lib="dom" />
/** Requests to the node that serves the page, each signed by this browser's credential. */
import { signRequest } from './signing.js';

/** @typedef {import('./signing.js').Credential} Credential */

/**
 * `now_ms`: milliseconds since the epoch, as the nodes have agreed.
 * @typedef {{ peer: string, site: string, organisation: string, now_ms: number, cloud?: true }} Node
 */

/** What a node says when it refuses. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} status of HTTP
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @type {Node | undefined} */
let node;

/** a node that does not even say who it is cannot be reached */
const patience_ms = 10_000;
/** a clock that is off by less is good enough: requests and grants hold for longer */
const tolerated_ms = 10_000;
/** by how much the nodes' clock is ahead of this device's, where that is more */
let ahead_ms = 0;

/** Milliseconds since the epoch, by which nodes judge what is signed: a device's own clock may be minutes off. */
export function now_ms() {
  return Date.now() + ahead_ms;
}

/**
 * The node's own clock, which `Date` tells, may be as wrong as this device's: nobody judges by it.
 * @param {number} theirs_ms
 * @param {number} asked_ms by this device's clock
 */
function setClock(theirs_ms, asked_ms) {
  const off_ms = theirs_ms - (asked_ms + Date.now()) / 2;
  ahead_ms = Math.abs(off_ms) > tolerated_ms ? off_ms : 0;
}

/**
 * The node that answers at this address: another one takes its place when it is gone.
 * @param {boolean} [anew]
 * @returns {Promise<Node>}
 */
export async function currentNode(anew = false) {
  if (node === undefined || anew) {
    const asked_ms = Date.now();
    const signal = AbortSignal.timeout(patience_ms);
    const response = await fetch('/node.json', { cache: 'no-store', signal });
    if (!response.ok) throw new Refusal(response.statusText, response.status);
    node = /** @type {Node} */ (await response.json());
    setClock(node.now_ms, asked_ms);
  }
  return node;
}

/**
 * @typedef {object} Call
 * @property {string} path
 * @property {(peer: string) => Promise<object>} [body] sent as JSON by POST
 * @property {string} [via] PeerId of another node, to which the one that serves the page passes it on
 * @property {boolean} [view] lets the node ask holders for titles
 * @property {AbortSignal} [signal]
 */

/**
 * Asks, and once more when another node answers than was thought, or the clock was wrong.
 * @param {Credential} credential
 * @param {Call} call
 * @returns {Promise<Response>}
 * @throws {Refusal} and TypeError when nobody answers
 */
export async function ask(credential, call) {
  const before = await currentNode();
  const clock_ms = ahead_ms;
  const response = await send(credential, call, call.via ?? before.peer);
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  if (call.via !== undefined) throw refusal;
  const now = await currentNode(true);
  if (now.peer === before.peer && Math.abs(ahead_ms - clock_ms) < tolerated_ms) throw refusal;
  const second = await send(credential, call, now.peer);
  if (!second.ok) throw await refusalOf(second);
  return second;
}

/**
 * @param {Credential} credential
 * @param {Call} call
 * @param {string} peer
 */
async function send(credential, { path, body, via, view = false, signal }, peer) {
  const method = body === undefined ? 'GET' : 'POST';
  const content = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(await body(peer)));
  const target = { method, path, audience: peer };
  const request = content === undefined ? target : { ...target, body: content };
  /** @type {Record<string, string>} */
  const headers = { authorization: `Inkmesh ${await signRequest(credential, request, now_ms())}` };
  if (content !== undefined) headers['content-type'] = 'application/json';
  if (view) {
    const purpose = { method: 'GET', path: '/tickets', audience: peer };
    headers['inkmesh-view'] = await signRequest(credential, purpose, now_ms());
  }
  return await fetch(via === undefined ? path : `/forward/${via}${path}`, {
    ...{ method, headers, cache: 'no-store' },
    ...(content === undefined ? {} : { body: content }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** @param {Response} response */
async function refusalOf(response) {
  try {
    const { error } = await response.json();
    return new Refusal(String(error.message), response.status);
  } catch {
    return new Refusal(response.statusText, response.status);
  }
}

/**
 * The lines of an answer, as they come.
 * @param {Response} response
 * @returns {AsyncGenerator<string>}
 */
export async function* lines(response) {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
}
