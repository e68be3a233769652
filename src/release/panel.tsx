/**
 * The routes of panel pages: forms and redirects, no script. Who has shown badge or PIN has a session; its cookie is
 * strict, and each form shows a token that follows from it, so that no other page can send one.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import * as v from 'valibot';
import { check, encode, text } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import type { Permission } from '../../mesh/mod.ts';
import { jobId, printerName, userName } from '../../mesh/names.ts';
import type { Directory, Printer } from '../directory.ts';
import { httpStatus } from '../http-status.ts';
import { type JobOptions, jobOptionsSchema, type JobView } from '../job.ts';
import { pageLimits } from '../limits.ts';
import { addressOf } from '../tls-server.ts';
import { optionsOf } from './client/options.js';
import type { Jobs } from './jobs.ts';
import { Delete, Failed, List, Login, One, Still, tokenField } from './pages/panel.tsx';
import type { ReleaseDoor } from './release.ts';
import { Runs } from './runs.ts';
import { strings as s } from './strings.ts';

/** What a panel node vouches for. */
export interface Wish {
  job: string;
  /** empty to cancel */
  printer: string;
  /** CBOR */
  options: Uint8Array;
  /** claims that the user knows of */
  confirm: readonly string[];
}

/** Who stands at a panel, and what the node signs for them. */
export interface PanelSessions {
  /** @returns the session's secret @throws InkmeshError `unauthenticated`, `forbidden` or `busy` */
  login(shown: { name: string; pin: string } | { badge: string }, address: string): Promise<string>;
  /** Who has a session; undefined when it has ended, or is another panel's. It lasts on by what a person does. */
  visitor(session: string, address: string, by: 'person' | 'page'): { readonly user: string } | undefined;
  logout(session: string): void;
  /** what lets this node see the user's tickets */
  proof(session: string, address: string): Promise<string>;
  permission(session: string, address: string, wish: Wish): Promise<Permission>;
}

export interface PanelDoors {
  sessions: PanelSessions;
  jobs: Pick<Jobs, 'of'>;
  directory: Pick<Directory, 'printers' | 'printer'>;
  release: Pick<ReleaseDoor, 'release' | 'cancel'>;
  /** site of the node: its printers come first */
  site: string;
  trouble(printer: Printer): Promise<string | undefined>;
}

const sessionCookie = '__Host-panel';
const printerCookie = '__Host-printer';
const cookie = { path: '/', secure: true, httpOnly: true, sameSite: 'Strict' } as const;
/** a panel stays beside its printer */
const printerLife_s = 365 * 24 * 3600;

const secret = v.pipe(v.string(), v.minLength(1), v.maxLength(128));
const loginForm = v.union([
  v.strictObject({ badge: secret }),
  v.strictObject({ name: userName, pin: v.pipe(v.string(), v.minLength(1), v.maxLength(64)) }),
]);
/** how often a page has loaded itself again since somebody touched it */
const looksText = v.optional(v.pipe(v.string(), v.regex(/^\d{1,4}$/)));
const formFields = v.record(
  v.pipe(v.string(), v.maxLength(64)),
  v.union([
    text(16 * 1024),
    v.pipe(v.array(text(16 * 1024)), v.maxLength(pageLimits.maxJobsPerForm)),
  ]),
);
type Fields = v.InferOutput<typeof formFields>;

/** A request of somebody who is logged in. */
interface Visit {
  c: Context;
  doors: PanelDoors;
  runs: Runs;
  session: string;
  /** IP address of the panel */
  address: string;
  user: string;
  token: string;
}

export function panelRoutes(app: Hono, doors: PanelDoors): void {
  const panel = new Hono();
  const runs = new Runs();
  panel.use(async (c, next) => {
    await next();
    c.header('cache-control', 'no-store');
  });
  panel.use(bodyLimit({
    maxSize: pageLimits.maxFormBytes,
    onError: () => {
      throw new InkmeshError('too-large', 'this form is too long: choose fewer documents at a time');
    },
  }));
  panel.get('/', (c) => loginPage(c, doors));
  panel.post('/login', (c) => login(c, doors));
  const visited = (work: (visit: Visit) => Promise<Response> | Response) => (c: Context) => {
    const session = getCookie(c, sessionCookie) ?? '';
    const address = addressOf(c.env);
    const by = c.req.query('by') === 'page' ? 'page' : 'person';
    const visitor = session === '' ? undefined : doors.sessions.visitor(session, address, by);
    if (visitor === undefined) return c.redirect('/panel?idle=1', 303);
    return work({ c, doors, runs, session, address, user: visitor.user, token: tokenOf(session) });
  };
  panel.get('/jobs', visited((visit) => list(visit)));
  panel.get('/jobs/:id', visited((visit) => one(visit)));
  panel.get(
    '/still',
    visited(({ c }) => refreshed(c, pageLimits.panelAsk_s, '/panel?idle=1').html(<Still />)),
  );
  panel.post('/print', visited((visit) => printSeveral(visit)));
  panel.post('/jobs/:id/print', visited((visit) => printOne(visit)));
  panel.post('/jobs/:id/delete', visited((visit) => remove(visit)));
  panel.post(
    '/logout',
    visited(async (visit) => {
      await formOf(visit);
      return leave(visit.c, doors, '/panel');
    }),
  );
  panel.onError((thrown, c) => {
    const { message, code } = asInkmeshError(thrown);
    const text = code === 'internal' ? s.wentWrong : message;
    const session = getCookie(c, sessionCookie) ?? '';
    // who is logged in stays so, and is not shown a page that looks otherwise
    if (doors.sessions.visitor(session, addressOf(c.env), 'page') === undefined) {
      return c.html(<Login message={text} />, httpStatus[code]);
    }
    refreshed(c, pageLimits.panelIdle_s, '/panel/still?by=page');
    return c.html(<Failed message={text} />, httpStatus[code]);
  });
  app.route('/panel', panel);
}

/** Whoever comes to the login page is logged out: the next one must not find the last one's documents. */
function loginPage(c: Context, doors: PanelDoors): Response | Promise<Response> {
  const named = v.safeParse(printerName, c.req.query('printer'));
  if (named.success) setCookie(c, printerCookie, named.output, { ...cookie, maxAge: printerLife_s });
  const session = getCookie(c, sessionCookie);
  if (session !== undefined) {
    doors.sessions.logout(session);
    deleteCookie(c, sessionCookie, cookie);
  }
  return c.html(<Login message={c.req.query('idle') === undefined ? undefined : s.panel.idle} />);
}

async function login(c: Context, { sessions }: PanelDoors): Promise<Response> {
  ownPage(c);
  const shown = v.safeParse(loginForm, await c.req.parseBody());
  if (!shown.success) return c.html(<Login message={s.panel.refused} />, 401);
  try {
    const session = await sessions.login(shown.output, addressOf(c.env));
    setCookie(c, sessionCookie, session, cookie);
    return c.redirect('/panel/jobs', 303);
  } catch (thrown) {
    const { code, message } = asInkmeshError(thrown);
    if (code === 'internal') throw thrown;
    return c.html(<Login message={message} />, httpStatus[code]);
  }
}

function leave(c: Context, { sessions }: PanelDoors, to: string): Response {
  sessions.logout(getCookie(c, sessionCookie) ?? '');
  deleteCookie(c, sessionCookie, cookie);
  return c.redirect(to, 303);
}

/** What a form is shown again with. */
interface Complaint {
  message: string;
  /** that the form had */
  printer: Printer;
}

async function list(visit: Visit, complaint?: Complaint): Promise<Response> {
  const { c, runs, user, token } = visit;
  const jobs = (await jobsOf(visit)).map((job) => ({ job, run: runs.of(job.id) }));
  const { printers, chosen, trouble } = await printersOf(visit, complaint?.printer);
  const message = complaint?.message;
  const running = jobs.some(({ run }) => run !== undefined && run.outcome === undefined);
  // it is asked whether somebody is there while something is printed, too
  const before = v.safeParse(looksText, c.req.query('looks'));
  const looks = (before.success ? Number(before.output ?? 0) : 0) + 1;
  if (running && looks * pageLimits.panelLook_s < pageLimits.panelIdle_s) {
    refreshed(c, pageLimits.panelLook_s, `/panel/jobs?by=page&looks=${looks}`);
  } else if (running) refreshed(c, pageLimits.panelLook_s, '/panel/still?by=page');
  else refreshed(c, pageLimits.panelIdle_s, '/panel/still?by=page');
  return c.html(<List {...{ user, token, jobs, printers, chosen, trouble, message }} />);
}

async function one(
  visit: Visit,
  complaint?: Complaint,
  entered: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { c, user, token } = visit;
  const job = await jobOf(visit);
  const { printers, printer } = await printersOf(visit, complaint?.printer);
  const message = complaint?.message;
  refreshed(c, pageLimits.panelIdle_s, '/panel/still?by=page');
  return c.html(
    <One {...{ user, token, job, printers, printer, message, entered }} />,
    message === undefined ? 200 : 400,
  );
}

async function printSeveral(visit: Visit): Promise<Response> {
  const fields = await formOf(visit);
  const printer = chosenOf(visit, fields);
  const held = (await jobsOf(visit)).filter(({ state }) => state === 'held');
  const wanted = new Set([fields['job'] ?? []].flat());
  // of what has come since the page was made, nobody has seen anything
  const chosen = fields['which'] === 'all' ? shownIn(fields) : wanted;
  const jobs = held.filter(({ id }) => chosen.has(id));
  if (jobs.length === 0) return await list(visit, { message: s.script.nothingChosen, printer });
  for (const job of jobs.slice(0, pageLimits.maxJobsPerForm)) start(visit, job, printer, {}, []);
  return visit.c.redirect('/panel/jobs', 303);
}

async function printOne(visit: Visit): Promise<Response> {
  const fields = await formOf(visit);
  const printer = chosenOf(visit, fields);
  const job = await jobOf(visit);
  const { confirm = '', ...rest } = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, [value].flat()[0] ?? '']),
  );
  const read = optionsOf(rest);
  if ('wrong' in read) {
    const message = read.wrong === 'copies' ? s.script.wrongCopies : s.script.wrongRanges;
    return await one(visit, { message, printer }, rest);
  }
  if (job.state === 'interrupted' && confirm === '') {
    return await one(visit, { message: s.script.confirmFirst, printer }, rest);
  }
  start(visit, job, printer, check(jobOptionsSchema, read.options), confirm.split(' ').filter(Boolean));
  return visit.c.redirect('/panel/jobs', 303);
}

/** Asks first; what was begun since then was not agreed to. */
async function remove(visit: Visit): Promise<Response> {
  const { sure, claims = '' } = await formOf(visit);
  const job = await jobOf(visit);
  const { c, doors, session, address, user, token } = visit;
  if (sure === undefined) {
    refreshed(c, pageLimits.panelIdle_s, '/panel/still?by=page');
    return c.html(<Delete {...{ user, token, job }} />);
  }
  const confirm = [claims].flat().join(' ').split(' ').filter(Boolean);
  const wish = { job: job.id, printer: '', options: new Uint8Array(0), confirm };
  await doors.release.cancel(job.id, await doors.sessions.permission(session, address, wish));
  return c.redirect('/panel/jobs', 303);
}

/** The jobs that a form has shown. */
const shownIn = (fields: Fields): Set<string> => new Set([fields['shown'] ?? []].flat());

function start(
  { doors, runs, session, address }: Visit,
  { id: job, format }: JobView,
  printer: Printer,
  options: JobOptions,
  confirm: readonly string[],
): void {
  const encoded = encode(options);
  runs.start(job, async (steps) => {
    const wish = { job, printer: printer.name, options: encoded, confirm };
    const permission = await doors.sessions.permission(session, address, wish);
    const known = format === null ? {} : { format };
    return await doors.release.release({ job, printer, permission, options: encoded, ...known, ...steps });
  });
}

async function jobsOf({ doors, session, address, user }: Visit): Promise<JobView[]> {
  return await doors.jobs.of(user, await doors.sessions.proof(session, address));
}

/** @throws InkmeshError `not-found` also for a job of somebody else */
async function jobOf(visit: Visit): Promise<JobView> {
  const id = check(jobId, visit.c.req.param('id') ?? '');
  const job = (await jobsOf(visit)).find((one) => one.id === id);
  if (job === undefined) throw new InkmeshError('not-found', 'there is no such job of yours');
  return job;
}

/** The names of the printers, this site's first, and the one that is chosen, else the one that this panel stands beside. */
async function printersOf({ c, doors }: Visit, wanted?: Printer) {
  const all = doors.directory.printers();
  const own = (printer: Printer) => printer.site === doors.site ? 0 : 1;
  const sorted = all.toSorted((a, b) => own(a) - own(b) || a.name.localeCompare(b.name));
  const chosen = sorted.find(({ name }) => name === (wanted?.name ?? getCookie(c, printerCookie))) ??
    sorted[0];
  return {
    printers: sorted.map(({ name }) => name),
    printer: chosen,
    chosen: chosen?.name ?? '',
    trouble: chosen === undefined ? undefined : await doors.trouble(chosen),
  };
}

function chosenOf({ c, doors }: Visit, fields: Fields): Printer {
  const printer = doors.directory.printer(check(printerName, fields['printer']));
  setCookie(c, printerCookie, printer.name, { ...cookie, maxAge: printerLife_s });
  return printer;
}

/** Has the browser go on by itself, without script: a header that all browsers know, and no standard describes. */
function refreshed(c: Context, after_s: number, to: string): Context {
  c.header('refresh', `${after_s};url=${to}`);
  return c;
}

/** The fields of a form that a page of ours has sent. @throws InkmeshError `forbidden` for any other */
async function formOf({ c, token }: Visit): Promise<Fields> {
  ownPage(c);
  const { [tokenField]: shown, ...fields } = check(formFields, await c.req.parseBody({ all: true }));
  const [given, expected] = [Buffer.from(String(shown)), Buffer.from(token)];
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new InkmeshError('forbidden', s.panel.stale);
  }
  return fields;
}

/** Browsers say since some years which site a request comes from (Fetch Metadata, Origin): another one is refused. */
function ownPage(c: Context): void {
  const from = c.req.header('sec-fetch-site');
  const origin = c.req.header('origin');
  const same = origin === undefined || originHost(origin) === c.req.header('host');
  if (!same || (from !== undefined && from !== 'same-origin')) {
    throw new InkmeshError('forbidden', s.panel.stale);
  }
}

const originHost = (origin: string) => URL.canParse(origin) ? new URL(origin).host : undefined;

/** What a form must show: nobody gets from it to the session. */
function tokenOf(session: string): string {
  return createHash('sha256').update(`inkmesh form ${session}`).digest('base64url');
}
