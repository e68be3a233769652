/** The panel's forms, without a browser: only what a page has shown is signed for. */
import { Hono } from 'hono';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decode } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Printer } from '../../src/directory.ts';
import { jobOptionsSchema, type JobView } from '../../src/job.ts';
import { panelLimits } from '../../src/limits.ts';
import { releaseApp } from '../../src/release/app.tsx';
import type { PanelDoors, Wish } from '../../src/release/panel.tsx';
import type { Released, ReleaseRequest } from '../../src/release/release.ts';

const plainPrinter: Printer = { name: 'floor-1', site: 'main', uri: 'socket://127.0.0.1:9' };
const id = (n: number) => `00000000-0000-8000-8000-${String(n).padStart(12, '0')}`;
const held = (n: number, more: Partial<JobView> = {}): JobView => ({
  ...{ id: id(n), owner: 'ada', title: `Title ${n}`, site: 'main', state: 'held', bytes: 1000 },
  ...{ format: 'application/pdf', options: {}, holders: [], claims: [] },
  ...{ submitted: '2026-01-01T00:00:00Z', expires: '2026-01-02T00:00:00Z', ...more },
});

/** A panel at which Ada is logged in. */
function panel(
  outcome: Released['outcome'] | 'never' = 'printed',
  printer = plainPrinter,
  ...others: Printer[]
) {
  const printers = [printer, ...others];
  const state = {
    ...{ jobs: [held(1), held(2)], wishes: [] as Wish[], cancelled: [] as string[], loggedIn: true },
    released: [] as ReleaseRequest[],
  };
  const doors: PanelDoors = {
    sessions: {
      login: () => Promise.reject(new InkmeshError('unauthenticated', 'no')),
      visitor: (session) => session === 'x' && state.loggedIn ? { user: 'ada' } : undefined,
      logout: () => void (state.loggedIn = false),
      proof: () => Promise.resolve(''),
      permission: (_session, _address, wish) => {
        state.wishes.push(wish);
        return Promise.resolve({ voucher: new Uint8Array(0) });
      },
    },
    jobs: { of: () => Promise.resolve(state.jobs) },
    directory: {
      printers: () => printers,
      printer: (name) => printers.find((one) => one.name === name) ?? printer,
    },
    release: {
      release: (request: ReleaseRequest) => {
        state.released.push(request);
        if (outcome === 'never') return new Promise(() => {});
        return Promise.resolve({
          ...{ id: request.job, outcome, printer: 'floor-1', reason: 'no A3 in it' },
          ...{ claimed_ms: null, first_byte_ms: null, last_byte_ms: null, done_ms: 1 },
        });
      },
      cancel: (job) => Promise.resolve(void state.cancelled.push(job)),
    },
    site: 'main',
    trouble: () => Promise.resolve(undefined),
  };
  const node = { peer: 'p', site: 'main', organisation: 'o' };
  const app = releaseApp({ node, now_ms: () => 0, panel: doors, forward: new Hono() });
  const env = { incoming: { socket: { remoteAddress: '127.0.0.1' } } };
  const ask = async (path: string, form?: [string, string][]) => {
    const headers = { cookie: '__Host-panel=x', host: 'panel' };
    const init = form === undefined
      ? { headers }
      : { headers, method: 'POST', body: new URLSearchParams(form) };
    const response = await app.request(`https://panel/panel${path}`, init, env);
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  /** The hidden fields of a page's form, as a browser sends them. */
  const fieldsOf = (html: string, action: string): [string, string][] => {
    const form = html.slice(html.indexOf(`action="${action}"`)).split('</form>')[0] ?? '';
    return [...form.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map((
      [, name = '', value = ''],
    ) => [name, value]);
  };
  return { state, ask, fieldsOf };
}

test('all that are printed are those that the page has shown', async () => {
  const { state, ask, fieldsOf } = panel();
  const { text } = await ask('/jobs');
  const fields = fieldsOf(text, '/panel/print');
  state.jobs = [held(1), held(3)];
  await ask('/print', [...fields, ['printer', 'floor-1'], ['which', 'all']]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(state.wishes.map(({ job }) => job), [id(1)]);
});

test('to delete a document is asked for first, and covers what was shown then', async () => {
  const { state, ask, fieldsOf } = panel();
  state.jobs = [held(1, { state: 'interrupted', claims: ['p/1'] })];
  const action = `/panel/jobs/${id(1)}/delete`;
  const shown = await ask(`/jobs/${id(1)}`);
  const asked = await ask(`/jobs/${id(1)}/delete`, fieldsOf(shown.text, action));
  assert.equal(state.cancelled, []);
  assert.match(asked.text, 'Delete this document?');
  assert.match(asked.text, 'Title 1');
  assert.match(asked.headers.get('refresh') ?? '', '/panel/still');
  // another claim has begun since
  state.jobs = [held(1, { state: 'interrupted', claims: ['p/1', 'p/2'] })];
  const sure = await ask(`/jobs/${id(1)}/delete`, [...fieldsOf(asked.text, action), ['sure', 'yes']]);
  assert.is(sure.status, 303);
  assert.equal(state.cancelled, [id(1)]);
  assert.equal(state.wishes.map(({ confirm }) => confirm), [['p/1']]);
});

test('why a document was not printed is said for longer than one look', async () => {
  const { ask, fieldsOf } = panel('refused');
  const fields = fieldsOf((await ask('/jobs')).text, '/panel/print');
  await ask('/print', [...fields, ['printer', 'floor-1'], ['which', 'all']]);
  await new Promise((resolve) => setImmediate(resolve));
  for (let look = 0; look < 3; look++) assert.match((await ask('/jobs')).text, 'no A3 in it');
});

test('who watches a document being printed is asked whether somebody is there, before the time is over', async () => {
  const { ask, fieldsOf } = panel('never');
  const fields = fieldsOf((await ask('/jobs')).text, '/panel/print');
  await ask('/print', [...fields, ['printer', 'floor-1'], ['which', 'all']]);
  let next = '/jobs';
  let watched_s = 0;
  while (!next.startsWith('/still')) {
    const [, after = '', to = ''] =
      /^(\d+);url=\/panel(.*)$/.exec((await ask(next)).headers.get('refresh') ?? '') ?? [];
    watched_s += Number(after);
    next = to;
    assert.match(next, 'by=page');
    assert.ok(watched_s * 1000 <= panelLimits.idle_ms, 'the session has ended');
  }
});

test('what goes wrong while somebody is logged in does not look like the login', async () => {
  const { state, ask } = panel();
  const gone = await ask(`/jobs/${id(9)}`);
  assert.is(gone.status, 404);
  assert.match(gone.text, 'no such job');
  assert.not.match(gone.text, 'name="pin"');
  assert.match(gone.headers.get('refresh') ?? '', '/panel/still');
  const forged = await ask('/print', [['printer', 'floor-1'], ['which', 'all'], ['token', 'x']]);
  assert.is(forged.status, 403);
  assert.equal(state.wishes, []);
  state.loggedIn = false;
  assert.is((await ask('/jobs')).status, 303);
});

test('a form that is too long is refused as such', async () => {
  const { ask } = panel();
  assert.is((await ask('/print', [['token', 'x'.repeat(70_000)]])).status, 413);
});

test('options are those that the printer takes, and a staple is one where it has a stapler', async () => {
  const options = {
    sides: ['one-sided' as const],
    'page-ranges': false,
    media: ['iso_a4_210x297mm'],
    copies: 9,
  };
  const some = await panel('printed', { ...plainPrinter, options }).ask(`/jobs/${id(1)}`);
  assert.match(some.text, 'value="one-sided"');
  for (const not of ['value="two-sided', 'name="page-ranges"', 'value="iso_a3', 'name="finishings"']) {
    assert.not.match(some.text, not);
  }
  assert.match(some.text, 'max="9"');
  const all = await panel().ask(`/jobs/${id(1)}`);
  for (const each of ['value="two-sided-long-edge"', 'name="page-ranges"', 'value="iso_a3']) {
    assert.match(all.text, each);
  }
  assert.not.match(all.text, 'name="finishings"');
  const stapler = { ...plainPrinter, options: { finishings: [3 as const, 4 as const] } };
  const { state, ask, fieldsOf } = panel('printed', stapler);
  const page = await ask(`/jobs/${id(1)}`);
  assert.match(page.text, 'name="finishings"');
  const action = `/panel/jobs/${id(1)}/print`;
  await ask(`/jobs/${id(1)}/print`, [
    ...fieldsOf(page.text, action),
    ['printer', 'floor-1'],
    ['finishings', '4'],
  ]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(state.wishes.map(({ options }) => decode(jobOptionsSchema, options)), [{ finishings: 4 }]);
  // one that does not fit is refused before it is claimed
  assert.equal(state.released.map(({ format }) => format), ['application/pdf']);
});

test('what was typed is still there when something of it was wrong', async () => {
  const { ask, fieldsOf } = panel();
  const page = await ask(`/jobs/${id(1)}`);
  const again = await ask(`/jobs/${id(1)}/print`, [
    ...fieldsOf(page.text, `/panel/jobs/${id(1)}/print`),
    ...Object.entries({
      printer: 'floor-1',
      copies: '3',
      sides: 'two-sided-long-edge',
      'page-ranges': '9-1',
    }),
  ]);
  assert.is(again.status, 400);
  assert.match(again.text, 'ascending order');
  assert.match(again.text, /<input id="copies"[^>]* value="3"/);
  assert.match(again.text, /<option value="two-sided-long-edge" selected/);
  assert.match(again.text, /<input id="ranges"[^>]* value="9-1"/);
});

test('a form that is shown again is for the printer that was chosen in it', async () => {
  const other: Printer = { ...plainPrinter, name: 'floor-2', options: { copies: 2 } };
  const { ask, fieldsOf } = panel('printed', plainPrinter, other);
  const chosen = /<option value="floor-2" selected/;
  const page = await ask(`/jobs/${id(1)}`);
  assert.not.match(page.text, chosen);
  const fields = fieldsOf(page.text, `/panel/jobs/${id(1)}/print`);
  const again = await ask(`/jobs/${id(1)}/print`, [...fields, ['printer', 'floor-2'], ['copies', 'x']]);
  assert.match(again.text, chosen);
  assert.match(again.text, 'max="2"');
  const none = await ask('/print', [
    ...fieldsOf((await ask('/jobs')).text, '/panel/print').filter(([name]) => name === 'token'),
    ['printer', 'floor-2'],
    ['which', 'selected'],
  ]);
  assert.match(none.text, 'Choose at least one');
  assert.match(none.text, chosen);
});

test('what a document was sent with and the printer cannot do is shown as that', async () => {
  const options = { 'page-ranges': false, finishings: [3 as const] };
  const { state, ask } = panel('printed', { ...plainPrinter, options });
  state.jobs = [held(1, { options: { 'page-ranges': [[2, 4]], finishings: 4 } })];
  const { text } = await ask(`/jobs/${id(1)}`);
  assert.match(text, '2-4: not at this printer');
  state.jobs = [held(1)];
  assert.not.match((await ask(`/jobs/${id(1)}`)).text, 'not at this printer');
  const plain = panel();
  plain.state.jobs = [held(1, { options: { finishings: 4 } })];
  assert.match((await plain.ask(`/jobs/${id(1)}`)).text, 'yes: not at this printer');
});

test.run();
