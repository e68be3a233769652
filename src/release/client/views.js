// @ts-check
/// <reference lib="dom" />
/** What of the page the script changes: the view, and the line that says what happens. */
import { morph } from './morph.js';

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {string} id
 * @param {T} _tag
 * @returns {HTMLElementTagNameMap[T]}
 */
function element(id, _tag) {
  return /** @type {HTMLElementTagNameMap[T]} */ (document.getElementById(id));
}

export const view = element('view', 'main');
const status = element('status', 'p');

/** @type {import('../strings.ts').ScriptStrings} */
const strings = JSON.parse(document.body.dataset['strings'] ?? '{}');

/**
 * A text with its gaps filled.
 * @param {keyof import('../strings.ts').ScriptStrings} name
 * @param {Record<string, string>} [values]
 */
export function text(name, values = {}) {
  return strings[name].replace(/\{(\w+)\}/g, (_, gap) => values[gap] ?? '');
}

let said_ms = 0;
const readable_ms = 1000;

/** @param {string} message */
export function say(message) {
  said_ms = performance.now();
  status.textContent = message;
}

/** What was said of another view is said no longer, unless it has just been. */
export function hush() {
  if (performance.now() - said_ms > readable_ms) status.textContent = '';
}

/** ends when the finger or button that is down is up again */
let pressed = Promise.resolve();

addEventListener('pointerdown', () => {
  pressed = new Promise((resolve) => {
    // the click comes with the end of the press
    const ended = () => setTimeout(resolve);
    for (const end of ['pointerup', 'pointercancel']) addEventListener(end, ended, { once: true });
  });
});

/** A button that is replaced while it is pressed gets no click: what is new is shown after that. */
export async function untouched() {
  await pressed;
}

/**
 * Shows a fragment that the node has made (it has escaped what others have written), and puts times into the reader's
 * zone. Of the same page only what has changed is touched.
 * @param {string} html
 * @param {boolean} fresh another page than before
 */
export function show(html, fresh) {
  const { content } = Object.assign(document.createElement('template'), { innerHTML: html });
  for (const time of content.querySelectorAll('time')) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleString(document.documentElement.lang, {
      dateStyle: 'medium',
      timeStyle: 'short',
    });
  }
  if (fresh) {
    view.replaceChildren(content);
    return begin();
  }
  const focused = view.contains(document.activeElement);
  morph(view, content);
  // what had it is gone
  if (focused && !view.contains(document.activeElement)) view.focus({ preventScroll: true });
}

/** @param {string} id of a template */
export function showTemplate(id) {
  const template = element(id, 'template');
  view.replaceChildren(template.content.cloneNode(true));
  begin();
}

/** A new view is read from its beginning. */
function begin() {
  view.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/**
 * How far a job is.
 * @param {string} job
 * @param {number | undefined} percent undefined when nothing is under way
 */
export function progress(job, percent) {
  const bar = view.querySelector(`[data-job="${job}"] progress`);
  if (!(bar instanceof HTMLProgressElement)) return;
  bar.hidden = percent === undefined;
  if (percent !== undefined) bar.value = percent;
}
