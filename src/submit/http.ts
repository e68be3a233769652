/** The HTTP front for programs, and for what has no IPP: `docs/SUBMIT.md` tells how to use it. */
import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { check, printable, text } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import { httpStatus } from '../http-status.ts';
import { mediaSizes } from '../ipp/media.ts';
import { jobOptionsSchema, type Ticket } from '../job.ts';
import { addressOf, connectionOf, paced, release } from '../tls-server.ts';
import { traceOf } from '../trace.ts';
import { challenge, shownBy } from './authorization.ts';
import { type Form, readForm } from './http-form.ts';
import { inTime } from './in-time.ts';
import { documentBytes } from './ipp-document.ts';
import { interruption } from './ipp-jobs.ts';
import { documentFormats } from './ipp-ticket.ts';
import type { IppDoor } from './ipp.ts';
import type { Client } from './source.ts';

/** What the front needs of a node. */
export type HttpDoor = Pick<
  IppDoor,
  'owner' | 'newJobId' | 'submit' | 'jobs' | 'cancel' | 'maxDocumentBytes'
>;

const { sides, 'print-color-mode': colorMode, media } = jobOptionsSchema.entries;
/** of a query or a form */
const fieldsSchema = v.strictObject({
  title: v.optional(text(255)),
  copies: v.optional(v.pipe(v.string(), v.regex(/^\d{1,3}$/), v.transform(Number))),
  ...{ sides, 'print-color-mode': colorMode, media },
});

/** Serves `POST /print`, `GET /jobs` and `DELETE /jobs/ID`. @param log gets what clients are not told */
export function httpApp(door: HttpDoor, log: Log): Hono {
  const app = new Hono();
  app.post('/print', async (c) => await print(c, door, await clientOf(c, door)));
  app.get('/jobs', async (c) => c.json(await door.jobs((await clientOf(c, door)).token)));
  app.delete('/jobs/:id', async (c) => await cancel(c, door, await clientOf(c, door)));
  app.onError((thrown, c) => {
    const error = asInkmeshError(thrown);
    if (error.code === 'internal' && !c.req.raw.signal.aborted) {
      const { method, path } = c.req;
      log('error', 'an HTTP request failed', { method, path, error: traceOf(thrown) });
    }
    return failed(c, error);
  });
  return app;
}

function failed(c: Context, { code, message, about }: InkmeshError): Response {
  if (code === 'unauthenticated') c.header('www-authenticate', challenge);
  const { retry_s } = about;
  if (retry_s !== undefined) c.header('retry-after', retry_s);
  const said = code === 'internal' ? 'this node failed: look at its log' : message;
  const status = retry_s === undefined ? about['format'] === undefined ? httpStatus[code] : 415 : 429;
  return c.json({ error: { code, message: said } }, status);
}

/** Who asks, when the token that it shows is valid. @throws InkmeshError `unauthenticated`, `forbidden`, `busy` */
async function clientOf(c: Context, door: HttpDoor): Promise<Client> {
  // a browser shows a password that it has kept to any page that asks it to
  const origin = c.req.header('origin');
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== c.req.header('host'))) {
    throw new InkmeshError('forbidden', 'pages of other sites do not print here');
  }
  const shown = shownBy(c.req.header('authorization'), addressOf(c.env));
  if (shown === undefined) {
    throw new InkmeshError(
      'unauthenticated',
      'show a submit token: as bearer token, or with its user’s name',
    );
  }
  if (await door.owner(shown) !== undefined) return shown;
  throw new InkmeshError('unauthenticated', 'this submit token is not known, or not that user’s');
}

async function print(c: Context, door: HttpDoor, client: Client): Promise<Response> {
  const { body } = c.req.raw;
  if (body === null) throw new InkmeshError('bad-request', 'the document is missing');
  const type = c.req.header('content-type') ?? 'application/octet-stream';
  const fields = queryOf(c);
  const connection = connectionOf(c.env);
  let form: Form | undefined;
  try {
    let document: AsyncIterable<Uint8Array> = paced(connection, body);
    if (/^multipart\/form-data *;/i.test(type)) {
      form = await inTime(readForm(document, type));
      for (const [name, value] of form.fields) fields.set(name, value);
      document = form.file;
    } else if (Number(c.req.header('content-length') ?? 0) > door.maxDocumentBytes) {
      throw new InkmeshError('too-large', `the document is larger than ${door.maxDocumentBytes} octets`);
    }
    const ticket = ticketOf(fields, form?.type ?? type, form?.fileName ?? '');
    const job = door.newJobId(new Set());
    const octets = documentBytes(document, 'none', door.maxDocumentBytes);
    await door.submit(client, job, ticket, octets, c.req.raw.signal);
    return c.json({ id: job, state: 'held' }, 201, { location: `/jobs/${job}` });
  } finally {
    form?.close();
    release(connection);
  }
}

/** @throws InkmeshError for a field that is there twice */
function queryOf(c: Context): Map<string, string> {
  const { searchParams } = new URL(c.req.url);
  const fields = new Map(searchParams);
  if (fields.size === searchParams.size) return fields;
  throw new InkmeshError('bad-request', 'a field is there twice');
}

/** @throws InkmeshError for a field that there is not, or whose value is out of bounds */
function ticketOf(fields: ReadonlyMap<string, string>, type: string, fileName: string): Ticket {
  const { title, ...options } = check(fieldsSchema, Object.fromEntries(fields));
  const { media } = options;
  if (media !== undefined && !mediaSizes.some(({ name }) => name === media)) {
    const known = mediaSizes.map(({ name }) => name).join(', ');
    throw new InkmeshError('bad-request', `media: there is ${known}`);
  }
  const named = printable(fileName, 255);
  return {
    title: title ?? (named.trim() === '' ? 'Untitled' : named),
    format: formatOf(type),
    options: check(jobOptionsSchema, options),
  };
}

/** @throws InkmeshError for what no printer takes */
function formatOf(type: string): string {
  const [asked = ''] = type.toLowerCase().split(';');
  const format = documentFormats.find((known) => known === asked.trim());
  if (format !== undefined) return format;
  const message = `${asked} is not printed: send the document with one of ${documentFormats.join(', ')}`;
  throw new InkmeshError('bad-request', message, { format: asked.slice(0, 127) });
}

async function cancel(c: Context, door: HttpDoor, client: Client): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const view = (await door.jobs(client.token)).find((job) => job.id === id);
  if (view === undefined) throw new InkmeshError('not-found', 'this token has submitted no such job here');
  if (view.state === 'interrupted') throw new InkmeshError('conflict', interruption(view));
  await door.cancel(client, id);
  return c.json({ id, state: 'cancelled' });
}
