// @ts-check
/// <reference lib="dom" />
/** What this browser keeps: its credential, whose key nobody can read out, and the printers used last. */

const maxRecent = 3;

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('inkmesh', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T>} when it is on disk
 */
async function within(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction('kept', mode);
      const request = work(transaction.objectStore('kept'));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** @returns {Promise<import('./signing.js').Credential | undefined>} */
export function readCredential() {
  return within('readonly', (store) => store.get('credential'));
}

/** @param {import('./signing.js').Credential} credential */
export async function keepCredential(credential) {
  await within('readwrite', (store) => store.put(credential, 'credential'));
}

/**
 * Keeps the next one of a device. Where somebody else has taken this browser over meanwhile, it stays theirs.
 * @param {import('./signing.js').Credential} next
 */
export async function replaceCredential(next) {
  await within('readwrite', (store) => {
    const kept = store.get('credential');
    kept.onsuccess = () => {
      if (kept.result?.device === next.device) store.put(next, 'credential');
    };
    return kept;
  });
}

/** @returns {Promise<string[]>} names of printers, the last used first */
export async function recentPrinters() {
  return await within('readonly', (store) => store.get('printers')) ?? [];
}

/** @param {string} name */
export async function rememberPrinter(name) {
  const others = (await recentPrinters()).filter((other) => other !== name);
  await within('readwrite', (store) => store.put([name, ...others].slice(0, maxRecent), 'printers'));
}
