/** API routes of users: list, show, release, cancel. */
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import * as v from 'valibot';
import { check, encode, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Fact, JobBody, Mesh } from '../../mesh/mod.ts';
import { jobId, printerName } from '../../mesh/names.ts';
import type { Directory } from '../directory.ts';
import { jobOptionsSchema } from '../job.ts';
import type { Jobs } from '../release/jobs.ts';
import type { ReleaseDoor } from '../release/release.ts';
import { type Api, type ApiEnv, signedJson } from './app.ts';
import { proofOf } from './submissions.ts';

export interface JobDoors {
  mesh: Mesh;
  directory: Directory;
  jobs: Jobs;
  release: ReleaseDoor;
}

const base64 = v.pipe(v.string(), v.maxLength(64 * 1024), v.base64());
const releaseRequest = v.strictObject({
  printer: printerName,
  options: jobOptionsSchema,
  /** base64 of the signed grant */
  grant: base64,
  /** of the document, where the asker knows it: one that the printer does not take is refused at once */
  format: v.optional(text(127)),
});
const cancelRequest = v.strictObject({ grant: base64 });
const heartbeat_ms = 15_000;
/** between two lines on how far a document is: an octet of a line costs more than one of a document */
const progress_ms = 100;

/** What there is to see of jobs. */
export function jobViewRoutes(api: Api, doors: Pick<JobDoors, 'mesh' | 'jobs'>): void {
  api.get('/v1/jobs', async (c) => c.json(await doors.jobs.of(c.var.by.user, proofOf(c))));
  api.get('/v1/jobs/:id', (c) => show(c, doors));
}

export function jobRoutes(api: Api, doors: JobDoors): void {
  jobViewRoutes(api, doors);
  api.post('/v1/jobs/:id/release', (c) => releaseJob(c, doors));
  api.post('/v1/jobs/:id/cancel', async (c) => {
    const { grant } = check(cancelRequest, await signedJson(c));
    const fact = ownJob(c, doors);
    await doors.release.cancel(fact.subject, { grant: fromBase64(grant) });
    return c.json({ id: fact.subject, outcome: 'cancelled' });
  });
}

/** Whether a request is to print a job: the submission port takes that too, from clients whose own node cannot. */
export function isRelease({ method, url }: Pick<Request, 'method' | 'url'>): boolean {
  return method === 'POST' && /^\/v1\/jobs\/[0-9a-f-]{36}\/release$/.test(new URL(url).pathname);
}

async function show(c: Context<ApiEnv>, doors: Pick<JobDoors, 'mesh' | 'jobs'>): Promise<Response> {
  const fact = ownJob(c, doors);
  const [view] = (await doors.jobs.of(c.var.by.user, proofOf(c))).filter((job) => job.id === fact.subject);
  if (view === undefined) throw new InkmeshError('not-found', 'there is no such job of yours');
  return c.json({ ...view, trace: doors.jobs.trace(fact) });
}

/** Answers with a line of JSON for each step, the result last: the asker sees how far it is. */
async function releaseJob(c: Context<ApiEnv>, doors: JobDoors): Promise<Response> {
  const { printer: name, grant, options, format } = check(releaseRequest, await signedJson(c));
  const fact = ownJob(c, doors);
  const printer = doors.directory.printer(name);
  const said: string[] = [];
  let wake: () => void = () => {};
  const say = (line: unknown) => {
    said.push(JSON.stringify(line) + '\n');
    wake();
  };
  const done = doors.release.release({
    job: fact.subject,
    printer,
    permission: { grant: fromBase64(grant) },
    options: encode(options),
    ...(format === undefined ? {} : { format }),
    onProgress: inTurn((sent, total) => say({ sent, total })),
    onWaiting: (reason) => say({ waiting: reason }),
  }).then((result) => ({ result }), (error: Error) => ({ error: error.message }));
  let ended = false;
  // a printer may be busy for long after it has the whole document; a silent connection would be ended
  const heartbeat = setInterval(() => say({}), heartbeat_ms);
  void done.then((last) => {
    ended = true;
    clearInterval(heartbeat);
    say(last);
  });
  c.header('content-type', 'application/x-ndjson');
  return stream(c, async (out) => {
    for (;;) {
      const lines = said.splice(0);
      if (lines.length > 0) await out.write(lines.join(''));
      else if (ended) return;
      else await new Promise<void>((resolve) => wake = resolve);
    }
  });
}

/** Passes on the last step, and of the others one now and then. */
function inTurn(say: (sent: number, total: number) => void): (sent: number, total: number) => void {
  let next_ms = 0;
  return (sent, total) => {
    const now_ms = performance.now();
    if (now_ms < next_ms && sent < total) return;
    next_ms = now_ms + progress_ms;
    say(sent, total);
  };
}

/** @throws InkmeshError `not-found` */
export function ownJob(c: Context<ApiEnv>, doors: Pick<JobDoors, 'mesh'>): Fact {
  const id = check(jobId, c.req.param('id') ?? '');
  const fact = doors.mesh.ledger.first('job', id);
  // a job of somebody else is not even known to be there
  if (fact === undefined || (fact.body as JobBody).owner !== c.var.by.user) {
    throw new InkmeshError('not-found', 'there is no such job of yours');
  }
  return fact;
}

const fromBase64 = (encoded: string): Uint8Array => new Uint8Array(Buffer.from(encoded, 'base64'));
