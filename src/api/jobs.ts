/** API routes of users: print, list, show, release, cancel. */
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import * as v from 'valibot';
import { check, encode, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Fact, JobBody, Mesh } from '../../mesh/mod.ts';
import { jobId, printerName } from '../../mesh/names.ts';
import type { Directory } from '../directory.ts';
import { jobOptionsSchema, ticketSchema } from '../job.ts';
import type { Jobs } from '../release/jobs.ts';
import type { ReleaseDoor } from '../release/release.ts';
import type { SubmitDoor } from '../submit/submit.ts';
import { connectionOf, paced, release } from '../tls-server.ts';
import { type Api, type ApiEnv, signedJson } from './app.ts';

export interface JobDoors {
  mesh: Mesh;
  directory: Directory;
  jobs: Jobs;
  submit: SubmitDoor;
  release: ReleaseDoor;
}

const base64 = v.pipe(v.string(), v.maxLength(64 * 1024), v.base64());
const releaseRequest = v.strictObject({
  printer: printerName,
  options: jobOptionsSchema,
  /** base64 of the signed grant */
  grant: base64,
});
const cancelRequest = v.strictObject({ grant: base64 });
const heartbeat_ms = 15_000;
const proofHeader = 'inkmesh-view';
const ticketHeader = 'inkmesh-ticket';

export function jobRoutes(api: Api, doors: JobDoors): void {
  api.get('/v1/jobs', async (c) => c.json(await doors.jobs.of(c.var.by.user, proofOf(c))));
  api.get('/v1/jobs/:id', (c) => show(c, doors));
  api.post('/v1/jobs', (c) => print(c, doors));
  api.post('/v1/jobs/:id/release', (c) => releaseJob(c, doors));
  api.post('/v1/jobs/:id/cancel', async (c) => {
    const { grant } = check(cancelRequest, await signedJson(c));
    const fact = ownJob(c, doors);
    await doors.release.cancel(fact.subject, { grant: fromBase64(grant) });
    return c.json({ id: fact.subject, outcome: 'cancelled' });
  });
}

async function show(c: Context<ApiEnv>, doors: JobDoors): Promise<Response> {
  const fact = ownJob(c, doors);
  const [view] = (await doors.jobs.of(c.var.by.user, proofOf(c))).filter((job) => job.id === fact.subject);
  if (view === undefined) throw new InkmeshError('not-found', 'there is no such job of yours');
  return c.json({ ...view, trace: doors.jobs.trace(fact) });
}

async function print(c: Context<ApiEnv>, doors: JobDoors): Promise<Response> {
  const header = c.req.header(ticketHeader) ?? '';
  const ticket = check(
    ticketSchema,
    parseJson(Buffer.from(header.slice(0, 8192), 'base64url').toString('utf8')),
  );
  const { body } = c.req.raw;
  if (body === null) throw new InkmeshError('bad-request', 'the document is missing');
  const source = { user: c.var.by.user, token: null };
  const connection = connectionOf(c.env);
  try {
    const document = paced(connection, body);
    const fact = await doors.submit.submit(
      source,
      doors.submit.newJobId(),
      ticket,
      document,
      c.req.raw.signal,
    );
    const { holders, bytes } = fact.body as JobBody;
    return c.json({ id: fact.subject, bytes, holders: holders.map((peer) => doors.mesh.nameOf(peer)) });
  } finally {
    release(connection);
  }
}

/** Answers with a line of JSON for each step, the result last: the asker sees how far it is. */
async function releaseJob(c: Context<ApiEnv>, doors: JobDoors): Promise<Response> {
  const { printer: name, grant, options } = check(releaseRequest, await signedJson(c));
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
    onProgress: (sent, total) => say({ sent, total }),
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

function ownJob(c: Context<ApiEnv>, doors: JobDoors): Fact {
  const id = check(jobId, c.req.param('id') ?? '');
  const fact = doors.mesh.ledger.first('job', id);
  // a job of somebody else is not even known to be there
  if (fact === undefined || (fact.body as JobBody).owner !== c.var.by.user) {
    throw new InkmeshError('not-found', 'there is no such job of yours');
  }
  return fact;
}

function proofOf(c: Context<ApiEnv>): string {
  return check(text(32 * 1024), c.req.header(proofHeader) ?? '');
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw new InkmeshError('bad-request', `the header ${ticketHeader} is not JSON in base64url`, {}, {
      cause,
    });
  }
}

const fromBase64 = (encoded: string): Uint8Array => new Uint8Array(Buffer.from(encoded, 'base64'));
