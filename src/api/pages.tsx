/** API routes of the phone's pages: HTML for the user who signed the request, and word when it has changed. */
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { jobId, printerName } from '../../mesh/names.ts';
import type { Directory, Printer } from '../directory.ts';
import { conditionLimits, liveLimits } from '../limits.ts';
import type { Jobs } from '../release/jobs.ts';
import type { Live } from '../release/live.ts';
import { Job, Jobs as JobList, Printers, type PrinterView } from '../release/pages/fragments.tsx';
import type { Mesh } from '../../mesh/mod.ts';
import type { Api, ApiEnv } from './app.ts';
import type { Troubles } from './trouble.ts';
import { proofOf } from './submissions.ts';

export interface PageDoors {
  mesh: Mesh;
  directory: Directory;
  jobs: Jobs;
  live: Live;
  /** why printers cannot print now */
  troubles: Pick<Troubles, 'of'>;
}

const maxRecent = 3;
const query = v.strictObject({
  q: v.optional(text(63), ''),
  recent: v.optional(
    v.pipe(
      text(256),
      v.transform((list) => list === '' ? [] : list.split(',')),
      v.array(printerName),
      v.maxLength(maxRecent),
    ),
    '',
  ),
});

export function pageRoutes(api: Api, doors: PageDoors): void {
  const { jobs, directory, mesh } = doors;
  api.get('/app/jobs', async (c) => {
    const [list, printer] = await Promise.all([
      jobs.of(c.var.by.user, proofOf(c)),
      chosen(c, doors),
    ]);
    return c.html(<JobList jobs={list} printer={printer} />);
  });
  api.get('/app/jobs/:id', async (c) => {
    const id = check(jobId, c.req.param('id'));
    const [list, printer] = await Promise.all([jobs.of(c.var.by.user, proofOf(c)), chosen(c, doors)]);
    const job = list.find((one) => one.id === id);
    const fact = mesh.ledger.first('job', id);
    if (job === undefined || fact === undefined) {
      throw new InkmeshError('not-found', 'there is no such job of yours');
    }
    return c.html(<Job job={job} trace={jobs.trace(fact)} printer={printer} />);
  });
  api.get('/app/printers', async (c) => {
    const { q, recent } = check(query, c.req.query());
    // few are asked how they are: those that somebody goes to
    const printers = await Promise.all(
      directory.printers().map((printer) => recent.includes(printer.name) ? viewOf(doors, printer) : printer),
    );
    return c.html(<Printers printers={printers} recent={recent} query={q} site={mesh.self.site} />);
  });
  api.get('/app/live', (c) => live(c, doors));
}

async function viewOf(doors: PageDoors, printer: Printer, patience_ms?: number): Promise<PrinterView> {
  const trouble = await doors.troubles.of(printer, patience_ms);
  return trouble === undefined ? printer : { ...printer, trouble };
}

/** The printer that the phone has chosen; one that is gone is none. */
async function chosen(
  c: Context<ApiEnv>,
  doors: PageDoors,
  patience_ms?: number,
): Promise<PrinterView | undefined> {
  const name = c.req.query('printer');
  if (name === undefined || name === '') return undefined;
  const wanted = check(printerName, name);
  const printer = doors.directory.printers().find((one) => one.name === wanted);
  return printer === undefined ? undefined : await viewOf(doors, printer, patience_ms);
}

/**
 * Server-sent events (HTML, section 9.2): `changed` when the user's lists may have, or how the chosen printer is. They say
 * nothing else.
 */
function live(c: Context<ApiEnv>, doors: PageDoors): Response {
  let told = false;
  let wake: () => void = () => {};
  const tell = () => {
    told = true;
    wake();
  };
  const stop = doors.live.watch(c.var.by.user, tell);
  const { signal } = c.req.raw;
  const look = () => chosen(c, doors, conditionLimits.ask_ms).catch(() => undefined);
  let wakeAborted: () => void = () => {};
  signal.addEventListener('abort', () => {
    wake();
    wakeAborted();
  });
  const until_ms = performance.now() + liveLimits.watch_ms;
  c.header('content-type', 'text/event-stream');
  c.header('cache-control', 'no-store');
  return stream(c, async (out) => {
    const isOver = () => signal.aborted || out.aborted || performance.now() > until_ms;
    if ((c.req.query('printer') ?? '') !== '') void watchPrinter(look, tell, isOver);
    try {
      await out.write(': watching\n\n');
      while (!isOver()) {
        await woken(told ? 0 : liveLimits.heartbeat_ms, (now) => wake = now);
        const event = told ? 'event: changed\ndata:\n\n' : ':\n\n';
        const paced = told;
        told = false;
        await out.write(event);
        if (paced) await woken(liveLimits.pace_ms, (now) => wakeAborted = now);
      }
    } finally {
      stop();
    }
    // what is thrown here would end the node, and a page that is cut off asks again
  }, () => Promise.resolve());
}

/** Tells when a printer is not as it was. */
async function watchPrinter(
  look: () => Promise<PrinterView | undefined>,
  tell: () => void,
  isOver: () => boolean,
): Promise<void> {
  let before = (await look())?.trouble;
  while (!isOver()) {
    await new Promise((resolve) => setTimeout(resolve, liveLimits.printerLook_ms));
    const now = (await look())?.trouble;
    if (now !== before) tell();
    before = now;
  }
}

/** Resolves when it is woken, at the latest after so long. */
async function woken(limit_ms: number, onWake: (wake: () => void) => void): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limit_ms);
    onWake(resolve);
  });
  clearTimeout(timer);
}
