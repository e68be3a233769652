// @ts-check
/// <reference lib="dom" />
/** Keeps the shell, so that the page opens before any node has answered. What is anybody's is never kept. */

const cacheName = 'inkmesh-shell-2';
/** how long a node is waited for, when what it would answer is known from before */
const patience_ms = 2000;
const shell = [
  '/',
  '/style.css',
  '/manifest.webmanifest',
  '/icon-48.png',
  '/client/main.js',
  '/client/morph.js',
  '/client/api.js',
  '/client/base64.js',
  '/client/cbor.js',
  '/client/csr.js',
  '/client/enrol.js',
  '/client/options.js',
  '/client/release.js',
  '/client/renew.js',
  '/client/signing.js',
  '/client/store.js',
  '/client/views.js',
];

/**
 * What a service worker has (Service Workers, section 4) and a page has not.
 * @typedef {Event & { waitUntil(done: Promise<unknown>): void }} Lasting
 * @typedef {Lasting & { request: Request, respondWith(response: Promise<Response>): void }} Fetching
 * @typedef {{ skipWaiting(): Promise<void>, clients: { claim(): Promise<void> } }} Worker
 */
const worker = /** @type {Worker & typeof globalThis} */ (/** @type {unknown} */ (globalThis));

addEventListener('install', (event) => {
  const kept = caches.open(cacheName).then((cache) => cache.addAll(shell)).then(() => worker.skipWaiting());
  /** @type {Lasting} */ (event).waitUntil(kept);
});

addEventListener('activate', (event) => {
  /** @type {Lasting} */ (event).waitUntil(Promise.all([worker.clients.claim(), forgetOlder()]));
});

addEventListener('fetch', (event) => {
  const fetching = /** @type {Fetching} */ (event);
  const { request } = fetching;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin || !shell.includes(pathname)) return;
  const fetched = fetch(request);
  // a full disk is no reason to have no page
  fetching.waitUntil(fetched.then((response) => keep(pathname, response)).catch(() => {}));
  fetching.respondWith(soonest(fetched, pathname));
});

/**
 * From the node; from what was kept while none answers, or none does in time.
 * @param {Promise<Response>} fetched
 * @param {string} pathname
 * @returns {Promise<Response>}
 */
async function soonest(fetched, pathname) {
  const late = new Promise((resolve) => setTimeout(resolve, patience_ms));
  const first = await Promise.race([fetched, late]).catch(() => undefined);
  if (first instanceof Response) return first;
  const cache = await caches.open(cacheName);
  return await cache.match(pathname) ?? await fetched;
}

/**
 * @param {string} pathname
 * @param {Response} response
 */
async function keep(pathname, response) {
  if (!response.ok) return;
  // before the page reads it
  const copy = response.clone();
  const cache = await caches.open(cacheName);
  await cache.put(pathname, copy);
}

/** What earlier versions have kept. */
async function forgetOlder() {
  for (const name of await caches.keys()) if (name !== cacheName) await caches.delete(name);
}
