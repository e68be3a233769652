// @ts-check
/// <reference lib="dom" />
/** The phone's page: which view it shows, what its buttons do, and how it follows what happens elsewhere. */
import { ask, currentNode, lines, Refusal } from './api.js';
import { enrol, invitationIn } from './enrol.js';
import { optionsOf } from './options.js';
import { cancel, release } from './release.js';
import { hasLapsed, renewed } from './renew.js';
import { readCredential, recentPrinters, rememberPrinter } from './store.js';
import { hush, progress, say, show, showTemplate, text, untouched, view } from './views.js';

const busyLook_ms = 2000;
const firstWait_ms = 1000;
const longestWait_ms = 30_000;
/** how long a second tap is one to the question that the first has led to */
const sure_ms = 10_000;

/** @type {import('./signing.js').Credential | undefined} */
let credential;
/** the view that is shown */
let shown = '';
/** releases under way from this page, by job: percent */
/** @type {Map<string, number>} */
const running = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let look;
/** ends the waiting for news */
let following = new AbortController();

/** @returns {Promise<string>} the address of the fragment that the page's own address asks for */
async function wanted() {
  const [recent, ...others] = await recentPrinters();
  const printer = recent === undefined ? '' : `?printer=${encodeURIComponent(recent)}`;
  const [, job] = /^#\/job\/([0-9a-f-]{36})$/.exec(location.hash) ?? [];
  if (job !== undefined) return `/app/jobs/${job}${printer}`;
  if (!location.hash.startsWith('#/printers')) return `/app/jobs${printer}`;
  const query = new URLSearchParams({ q: new URLSearchParams(location.hash.split('?')[1]).get('q') ?? '' });
  if (recent !== undefined) query.set('recent', [recent, ...others].join(','));
  return `/app/printers?${query}`;
}

/** Shows what the address asks for, as it is now. */
async function refresh() {
  if (credential === undefined) return;
  clearTimeout(look);
  const path = await wanted();
  try {
    const response = await ask(credential, { path, view: path.startsWith('/app/jobs') });
    const html = await response.text();
    await untouched();
    // somebody has gone on meanwhile
    if (path !== await wanted()) return;
    show(html, path !== shown);
    shown = path;
    for (const [job, percent] of running) progress(job, percent);
    if (view.querySelector('[data-busy]') !== null) look = setTimeout(refresh, busyLook_ms);
  } catch (thrown) {
    if (thrown instanceof Refusal && hasLapsed(credential)) {
      shown = '';
      showTemplate('lapsed');
    } else if (thrown instanceof Refusal) {
      const gone = thrown.status === 404 && location.hash !== '' && location.hash !== '#/';
      say(
        thrown.status === 401 || thrown.status === 403
          ? text('signedOut', { reason: thrown.message })
          : thrown.message,
      );
      if (gone) location.hash = '#/';
    } else {
      shown = '';
      showTemplate('unreachable');
    }
  }
}

/** whether something has changed since the last refresh began, and whether one is under way */
let news = false;
let refreshing = false;

/** Refreshes; what changes meanwhile, however often, leads to one more. */
async function onNews() {
  news = true;
  if (refreshing) return;
  refreshing = true;
  while (news) {
    news = false;
    await refresh();
  }
  refreshing = false;
}

/** Has the certificate renewed when it is due; nobody waits for that. */
async function stay() {
  if (credential === undefined) return;
  const { device } = credential;
  const next = await renewed(credential);
  // another invitation may have been taken meanwhile
  if (credential.device === device) credential = next;
}

/** whether the page follows already */
let follows = false;

/**
 * Refreshes when the node says that something has changed, as long as somebody looks. A certificate that has lapsed ends
 * nothing: the clock by which it has may be set right.
 */
async function follow() {
  let wait_ms = firstWait_ms;
  follows = true;
  for (;;) {
    await visible();
    if (credential === undefined) break;
    following = new AbortController();
    const { signal } = following;
    if (hasLapsed(credential)) {
      await pause(longestWait_ms, signal);
      await currentNode(true).catch(() => {});
      if (!hasLapsed(credential)) await refresh();
      continue;
    }
    void stay();
    const hide = () => document.hidden && following.abort();
    document.addEventListener('visibilitychange', hide);
    try {
      const [printer = ''] = await recentPrinters();
      const path = `/app/live?printer=${encodeURIComponent(printer)}`;
      const response = await ask(credential, { path, signal });
      if (wait_ms > firstWait_ms) await refresh();
      wait_ms = firstWait_ms;
      for await (const line of lines(response)) if (line === 'event: changed') void onNews();
    } catch {
      if (!signal.aborted) wait_ms = Math.min(2 * wait_ms, longestWait_ms);
    }
    document.removeEventListener('visibilitychange', hide);
    await pause(wait_ms);
  }
  follows = false;
}

/**
 * @param {number} time_ms
 * @param {AbortSignal} [signal] ends it
 */
async function pause(time_ms, signal) {
  await new Promise((resolve) => {
    setTimeout(resolve, time_ms);
    signal?.addEventListener('abort', resolve, { once: true });
  });
}

/** Resolves when the page can be seen. */
async function visible() {
  if (!document.hidden) return;
  await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
  await refresh();
}

/** The printer that the page shows, whatever was chosen elsewhere meanwhile: a grant is for what its signer has seen. */
const shownPrinter = () => view.querySelector('.chosen')?.getAttribute('data-printer') ?? undefined;

/**
 * @param {string} job
 * @param {string | undefined} printer
 * @param {import('./options.js').Options} options
 * @param {readonly string[]} confirm
 */
async function print(job, printer, options, confirm) {
  if (credential === undefined || running.has(job)) return;
  if (printer === undefined) {
    say(text('choosePrinter'));
    location.hash = '#/printers';
    return;
  }
  const shownJob = view.querySelector(`[data-job="${job}"]`);
  const title = shownJob?.getAttribute('data-title') ?? '';
  const format = shownJob?.getAttribute('data-format') ?? undefined;
  running.set(job, 0);
  progress(job, 0);
  say(text('started', { title, printer }));
  try {
    const outcome = await release(credential, { job, printer, options, confirm, format }, (step) => {
      if (step.waiting === null) say(text('goesOn', { printer }));
      else if (step.waiting !== undefined) say(text('waitingAt', { reason: step.waiting }));
      if (step.sent === undefined || !step.total) return;
      const percent = Math.floor(100 * step.sent / step.total);
      running.set(job, percent);
      progress(job, percent);
    });
    say(
      outcome === undefined ? text('lost') : text(outcome.outcome, { printer, reason: outcome.reason ?? '' }),
    );
  } catch (thrown) {
    say(thrown instanceof Refusal ? thrown.message : text('unreachable'));
  } finally {
    running.delete(job);
    progress(job, undefined);
    await refresh();
  }
}

/** @param {HTMLButtonElement} button */
async function remove(button) {
  if (credential === undefined) return;
  const { delete: job = '', claims = '', sure } = button.dataset;
  // what has begun since the first tap was not agreed to
  if (sure !== `yes ${claims}`) {
    button.dataset['sure'] = `yes ${claims}`;
    setTimeout(() => delete button.dataset['sure'], sure_ms);
    say(text('deleteSure'));
    return;
  }
  try {
    await cancel(credential, job, claims.split(' ').filter((claim) => claim !== ''));
    say(text('deleted'));
    location.hash = '#/';
  } catch (thrown) {
    say(thrown instanceof Refusal ? thrown.message : text('unreachable'));
  }
}

/** @param {string} given a link, or what was pasted */
async function join(given) {
  const invite = invitationIn(given);
  if (invite === undefined) return say(text('noInvite'));
  say(text('enrolling'));
  try {
    credential = await enrol(invite);
    say(text('enrolled', { user: credential.user }));
    // an invitation is worth nothing any more, and does not belong into the history
    history.replaceState(null, '', '/#/');
    await start();
  } catch (thrown) {
    say(thrown instanceof Refusal ? thrown.message : text('unreachable'));
  }
}

view.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('button') : null;
  if (button === null) return;
  const { print: job, choose, enrol, again, delete: removed } = button.dataset;
  if (job !== undefined) void print(job, shownPrinter(), {}, []);
  if (choose !== undefined) void take(choose);
  if (removed !== undefined) void remove(button);
  if (enrol !== undefined) void join(location.hash);
  if (again !== undefined) void refresh();
});

view.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target;
  if (!(form instanceof HTMLFormElement)) return;
  const submitter = event.submitter instanceof HTMLButtonElement ? event.submitter : undefined;
  const fields = new FormData(form, submitter);
  if (form.id === 'invitation') void join(String(fields.get('invite')));
  if (form.id === 'search') location.hash = `#/printers?q=${encodeURIComponent(String(fields.get('q')))}`;
  if (form.id === 'jobs') void printSeveral(form, fields);
  if (form.id === 'job') void printOne(form, fields);
});

/**
 * @param {HTMLFormElement} form
 * @param {FormData} fields
 */
async function printSeveral(form, fields) {
  const all = [...form.querySelectorAll('[data-print]')].map((button) =>
    button.getAttribute('data-print') ?? ''
  );
  const jobs = fields.get('which') === 'all' ? all : fields.getAll('job').map(String);
  if (jobs.length === 0) return say(text('nothingChosen'));
  const printer = shownPrinter();
  // one after the other, as they are to come out
  for (const job of jobs) await print(job, printer, {}, []);
}

/**
 * @param {HTMLFormElement} form
 * @param {FormData} fields
 */
async function printOne(form, fields) {
  const printer = shownPrinter();
  const { job = '', again } = form.dataset;
  const confirm = String(fields.get('confirm') ?? '').split(' ').filter((claim) => claim !== '');
  if (again !== undefined && !fields.has('confirm')) return say(text('confirmFirst'));
  const values = Object.fromEntries([...fields].map(([name, value]) => [name, String(value)]));
  const read = optionsOf(values);
  if ('wrong' in read) return say(text(read.wrong === 'copies' ? 'wrongCopies' : 'wrongRanges'));
  await print(job, printer, read.options, confirm);
}

/** @param {string} printer from now on */
async function take(printer) {
  await rememberPrinter(printer);
  following.abort();
  location.hash = '#/';
}

/** Asks whether this browser is to be somebody's; whose it was is said. */
function offer() {
  showTemplate('enrol');
  const replaces = document.getElementById('replaces');
  if (replaces === null || credential === undefined) return;
  replaces.hidden = false;
  replaces.textContent = text('replaces', { user: credential.user });
}

async function start() {
  const printer = new URLSearchParams(location.search).get('printer');
  if (printer !== null && /^[a-z0-9-]{1,63}$/.test(printer)) {
    await rememberPrinter(printer);
    history.replaceState(null, '', `/${location.hash}`);
  }
  await refresh();
  if (follows) following.abort();
  else void follow();
}

addEventListener('hashchange', () => {
  if (invitationIn(location.hash) !== undefined) return;
  hush();
  void refresh();
});

credential = await readCredential();
if (location.pathname === '/enrol') offer();
else if (credential === undefined) showTemplate('welcome');
else void start();
if ('serviceWorker' in navigator) void navigator.serviceWorker.register('/sw.js');
