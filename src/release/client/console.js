// @ts-check
/// <reference lib="dom" />
/** The operators' page: shows how it is every few seconds, and signs what its buttons decide. */
import { ask, Refusal } from './api.js';
import { readCredential } from './store.js';
import { say, show, showTemplate, view } from './views.js';

const look_ms = 3000;

/** @type {Record<string, string>} */
const strings = JSON.parse(document.body.dataset['strings'] ?? '{}');

/**
 * @param {string} name
 * @param {Record<string, string>} [values]
 */
const text = (name, values = {}) =>
  (strings[name] ?? '').replace(/\{(\w+)\}/g, (_, gap) => values[gap] ?? '');

const credential = await readCredential();
let html = '';

async function refresh() {
  if (credential === undefined) return;
  try {
    const now = await (await ask(credential, { path: '/app/console' })).text();
    if (now !== html) show(now, html === '');
    html = now;
  } catch (thrown) {
    if (thrown instanceof Refusal) say(text('noAdmin', { reason: thrown.message }));
    else say(text('unreachable'));
  }
}

/** @param {HTMLButtonElement} button */
async function decide(button) {
  const { setting, value = '' } = button.dataset;
  const site = button.closest('[data-site]')?.getAttribute('data-site') ?? '';
  const via = button.closest('[data-registrar]')?.getAttribute('data-registrar') ?? '';
  if (credential === undefined) return;
  const change = setting === 'relay' ? { relay: value === 'on' } : { mesh: value };
  try {
    const body = () => Promise.resolve(change);
    await ask(credential, { path: `/v1/sites/${encodeURIComponent(site)}`, body, via });
    say(text('done', { site, what: button.getAttribute('aria-label') ?? '' }));
  } catch (thrown) {
    say(thrown instanceof Refusal ? text('refused', { reason: thrown.message }) : text('unreachable'));
  }
  await refresh();
}

view.addEventListener('click', (event) => {
  const button = event.target;
  if (button instanceof HTMLButtonElement && button.dataset['setting'] !== undefined) void decide(button);
});

if (credential === undefined) showTemplate('welcome');
else {
  await refresh();
  setInterval(() => {
    if (!document.hidden) void refresh();
  }, look_ms);
}
