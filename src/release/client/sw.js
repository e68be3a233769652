// @ts-check
/// <reference lib="dom" />
/** Keeps the shell, so that the page opens before any node has answered. What is anybody's is never kept. */

const cacheName = 'inkmesh-shell-1';
const shell = [
  '/',
  '/style.css',
  '/manifest.webmanifest',
  '/icon-48.png',
  '/client/main.js',
  '/client/api.js',
  '/client/base64.js',
  '/client/cbor.js',
  '/client/csr.js',
  '/client/enrol.js',
  '/client/options.js',
  '/client/release.js',
  '/client/signing.js',
  '/client/store.js',
  '/client/views.js',
];

/**
 * What a service worker has (Service Workers, section 4) and a page has not.
 * @typedef {Event & { waitUntil(done: Promise<unknown>): void }} Lasting
 * @typedef {Event & { request: Request, respondWith(response: Promise<Response>): void }} Fetching
 * @typedef {{ skipWaiting(): Promise<void>, clients: { claim(): Promise<void> } }} Worker
 */
const worker = /** @type {Worker & typeof globalThis} */ (/** @type {unknown} */ (globalThis));

addEventListener('install', (event) => {
  const kept = caches.open(cacheName).then((cache) => cache.addAll(shell)).then(() => worker.skipWaiting());
  /** @type {Lasting} */ (event).waitUntil(kept);
});

addEventListener('activate', (event) => {
  /** @type {Lasting} */ (event).waitUntil(worker.clients.claim());
});

addEventListener('fetch', (event) => {
  const { request } = /** @type {Fetching} */ (event);
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin || !shell.includes(pathname)) return;
  /** @type {Fetching} */ (event).respondWith(newest(request, pathname));
});

/**
 * From the node, and from what was kept while none answers.
 * @param {Request} request
 * @param {string} pathname
 * @returns {Promise<Response>}
 */
async function newest(request, pathname) {
  const cache = await caches.open(cacheName);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(pathname, response.clone());
    return response;
  } catch (thrown) {
    const kept = await cache.match(pathname);
    if (kept === undefined) throw thrown;
    return kept;
  }
}
