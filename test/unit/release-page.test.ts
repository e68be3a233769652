/** What the phone's page keeps when it changes, by which clock it signs, and whose credential a browser keeps. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import { currentNode, now_ms } from '../../src/release/client/api.js';
import { morph } from '../../src/release/client/morph.js';
import { renewed } from '../../src/release/client/renew.js';
import { Job, type PrinterView } from '../../src/release/pages/fragments.tsx';
import { fakeAuthority, fakeUser } from '../fakes/organisation.ts';
import { FakeElement, parsed } from '../fakes/dom.ts';

const before = { fetch: globalThis.fetch };
Object.assign(globalThis, { Element: FakeElement, HTMLElement: FakeElement });
test.after(() => void Object.assign(globalThis, before));

const interrupted = (claim: string): JobView => ({
  ...{ id: '00000000-0000-8000-8000-000000000001', owner: 'ada', title: 'Letter', site: 'main' },
  ...{ state: 'interrupted', bytes: 1000, format: 'application/pdf', options: {}, holders: [] },
  ...{ claims: [claim], submitted: '2026-01-01T00:00:00Z', expires: '2026-01-02T00:00:00Z' },
});
const printer: PrinterView = { name: 'floor-1', site: 'main', uri: 'socket://127.0.0.1:9' };
const page = (job: JobView, of: PrinterView = printer) =>
  parsed(String(Job({ job, trace: [], printer: of })));
const change = (into: FakeElement, next: FakeElement) =>
  morph(into as unknown as Element, next as unknown as Element);

test('a tick for one interruption is none for another', () => {
  const shown = page(interrupted('p/1'));
  const ticked = shown.one('name', 'confirm');
  change(shown, page(interrupted('p/1')));
  assert.is(shown.one('name', 'confirm'), ticked, 'nothing has changed');
  change(shown, page(interrupted('p/2')));
  assert.is(shown.one('name', 'confirm').getAttribute('value'), 'p/2');
  assert.is.not(shown.one('name', 'confirm'), ticked);
});

test('what is chosen and typed stays when a printer has other options', () => {
  const job = interrupted('p/1');
  const shown = page(job, { ...printer, options: { media: ['iso_a4_210x297mm', 'iso_a3_297x420mm'] } });
  const [typed, chosen] = [shown.one('id', 'ranges'), shown.one('value', 'iso_a3_297x420mm')];
  const options = { media: ['iso_a3_297x420mm'], finishings: [3 as const, 4 as const] };
  change(shown, page(job, { ...printer, options }));
  assert.is(shown.one('id', 'ranges'), typed);
  assert.is(shown.one('value', 'iso_a3_297x420mm'), chosen);
  assert.is(shown.one('id', 'staple').nodeName, 'SELECT');
  // it was for a paper that is there no more
  change(shown, page(job, { ...printer, options: { media: ['iso_a4_210x297mm'] } }));
  assert.is.not(shown.one('value', 'iso_a4_210x297mm'), chosen);
  assert.is(shown.one('id', 'ranges'), typed);
});

/** What the page asks is answered by this. */
function answerWith(answers: Record<string, object>): void {
  globalThis.fetch = (path) =>
    Promise.resolve(
      Response.json(answers[String(path)], {
        headers: { date: new Date(Date.now() + 3600_000).toUTCString() },
      }),
    );
}

test('the page signs by the clock that the nodes have agreed on, not by that of the one it asks', async () => {
  const node = { peer: 'p', site: 'main', organisation: 'o' };
  for (const ahead_ms of [0, -600_000, 600_000, 0]) {
    answerWith({ '/node.json': { ...node, now_ms: Date.now() + ahead_ms } });
    await currentNode(true);
    assert.ok(Math.abs(now_ms() - Date.now() - ahead_ms) < 15_000, String(ahead_ms));
  }
});

/** A browser's store, of one object. */
function fakeStore(kept: Map<string, unknown>): void {
  const later = (target: { [name: string]: unknown }, name: string) =>
    setTimeout(() => (target[name] as (() => void) | undefined)?.());
  const request = (result: unknown) => {
    const made = { result };
    later(made, 'onsuccess');
    return made;
  };
  const database = {
    close: () => {},
    transaction: () => {
      const transaction = {
        objectStore: () => ({
          get: (key: string) => request(kept.get(key)),
          put: (value: unknown, key: string) => request(void kept.set(key, value)),
        }),
      };
      setTimeout(() => later(transaction, 'oncomplete'));
      return transaction;
    },
  };
  Object.assign(globalThis, { indexedDB: { open: () => request(database) } });
}

test('a page of the user before does not take the browser back when it renews its certificate', async () => {
  const signer = await fakeUser(await fakeAuthority('Example', Date.now()), 'ada', Date.now());
  const expires_ms = Date.now() + 3600_000;
  const credential = { ...signer, device: crypto.randomUUID(), site: 'main', expires_ms };
  const leaf = Buffer.from('next').toString('base64');
  answerWith({
    '/node.json': { peer: 'p', site: 'main', organisation: 'o', now_ms: Date.now() },
    '/v1/credential': { leaf, issuers: [], expires: new Date(expires_ms + 1000).toISOString() },
  });
  await currentNode(true);
  const kept = new Map<string, unknown>([['credential', { device: 'of somebody else' }]]);
  fakeStore(kept);
  await renewed(credential);
  assert.equal(kept.get('credential'), { device: 'of somebody else' });
  kept.set('credential', credential);
  const next = await renewed(credential);
  assert.is.not(next, credential, 'it was renewed');
  assert.is(kept.get('credential'), next);
});

test.run();
