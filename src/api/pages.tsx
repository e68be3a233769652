/** API routes of the phone's pages: HTML for the user who signed the request, and word when it has changed. */
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { jobId, printerName } from '../../mesh/names.ts';
import type { Directory, Printer } from '../directory.ts';
import { liveLimits } from '../limits.ts';
import type { Jobs } from '../release/jobs.ts';
import type { Live } from '../release/live.ts';
import { Job, Jobs as JobList, Printers, type PrinterView } from '../release/pages/fragments.tsx';
import type { Mesh } from '../../mesh/mod.ts';
import type { Api, ApiEnv } from './app.ts';
import { proofOf } from './submissions.ts';

export interface PageDoors {
  mesh: Mesh;
  directory: Directory;
  jobs: Jobs;
  live: Live;
  /** why a printer cannot print now; undefined when nothing is known to be wrong */
  trouble(printer: Printer): Promise<string | undefined>;
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

async function viewOf(doors: PageDoors, printer: Printer): Promise<PrinterView> {
  const trouble = await doors.trouble(printer);
  return trouble === undefined ? printer : { ...printer, trouble };
}

/** The printer that the phone has chosen; one that is gone is none. */
async function chosen(c: Context<ApiEnv>, doors: PageDoors): Promise<PrinterView | undefined> {
  const name = c.req.query('printer');
  if (name === undefined || name === '') return undefined;
  const wanted = check(printerName, name);
  const printer = doors.directory.printers().find((one) => one.name === wanted);
  return printer === undefined ? undefined : await viewOf(doors, printer);
}

/**
 * Server-sent events (HTML, section 9.2): `changed` when the user's lists may have, or how the chosen printer is. They say
 * nothing else.
 */
async function live(c: Context<ApiEnv>, doors: PageDoors): Promise<Response> {
  let trouble = (await chosen(c, doors))?.trouble;
  let told = false;
  let wake: () => void = () => {};
  const stop = doors.live.watch(c.var.by.user, () => {
    told = true;
    wake();
  });
  const { signal } = c.req.raw;
  signal.addEventListener('abort', () => wake());
  const start_ms = performance.now();
  let said_ms = start_ms;
  c.header('content-type', 'text/event-stream');
  c.header('cache-control', 'no-store');
  return stream(c, async (out) => {
    const say = async (what: string) => {
      said_ms = performance.now();
      await out.write(what);
    };
    try {
      await say(': watching\n\n');
      while (!signal.aborted && !out.aborted && performance.now() < start_ms + liveLimits.watch_ms) {
        await woken(told ? 0 : liveLimits.printerLook_ms, (now) => wake = now);
        const now = (await chosen(c, doors))?.trouble;
        const changed = told || now !== trouble;
        [told, trouble] = [false, now];
        if (changed) await say('event: changed\ndata:\n\n');
        else if (performance.now() > said_ms + liveLimits.heartbeat_ms) await say(':\n\n');
      }
    } finally {
      stop();
    }
  }, (thrown) => {
    if (!signal.aborted) throw asInkmeshError(thrown);
    return Promise.resolve();
  });
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
