/** The IPP front (RFC 8010, RFC 8011): what stock print dialogs talk to. It knows HTTP and IPP, and hands jobs to a door. */
import { type Context, Hono } from 'hono';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import type { IppMessage } from '../ipp/message.ts';
import { readMessage, readPrefix, type Received } from '../ipp/stream.ts';
import type { JobView, Ticket } from '../job.ts';
import { submitLimits } from '../limits.ts';
import { OpenJobs } from './ipp-jobs.ts';
import { operationOf } from './ipp-operations.ts';
import { connectionOf, paced, release } from '../tls-server.ts';
import { traceOf } from '../trace.ts';
import { checkRequest, encodeReply, failure, isInternal } from './ipp-request.ts';

/** What the IPP front needs of a node. Every method may throw InkmeshError. */
export interface IppDoor {
  /** who a submit token belongs to, or undefined when it is not valid (any more) */
  owner(token: string): Promise<{ user: string } | undefined>;
  /** A fresh job id whose IPP job-id is none of those taken. */
  newJobId(taken: ReadonlySet<number>): string;
  /**
   * Resolves when the job is accepted.
   * @param job its UUID, lower case
   * @param document read once, as fast as it is stored; throws InkmeshError when the client sends nonsense
   * @param signal aborted when the client goes away or cancels
   */
  submit(
    token: string,
    job: string,
    ticket: Ticket,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  /** jobs that were submitted with this token and are still known, also recently ended ones */
  jobs(token: string): Promise<JobView[]>;
  cancel(token: string, job: string): Promise<void>;
  /** what the printer is called; `uuid` in lower case, without urn: */
  readonly queue: { readonly name: string; readonly uuid: string; readonly organisation: string };
  readonly maxDocumentBytes: number;
}

const mediaType = 'application/ipp';

/**
 * Serves `POST /ipp/print/TOKEN` and, for job URIs, `POST /ipp/print/TOKEN/NUMBER`. IPP failures are answered with
 * HTTP status 200 (RFC 8010 section 3.4.3).
 * @param log gets what clients are not told, without their tokens
 */
export function ippApp(door: IppDoor, log: Log): Hono {
  const open = new OpenJobs((taken) => door.newJobId(taken));
  const app = new Hono();
  const handle = (c: Context) => answer(c, { door, open, log });
  app.post('/ipp/print/:token', handle);
  app.post('/ipp/print/:token/:job', handle);
  return app;
}

interface Front {
  door: IppDoor;
  open: OpenJobs;
  log: Log;
}

async function answer(c: Context, { door, open, log }: Front): Promise<Response> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== mediaType || c.req.raw.body === null) return c.text(`send ${mediaType}`, 415);
  const connection = connectionOf(c.env);
  const body = paced(connection, c.req.raw.body);
  const token = c.req.param('token') ?? '';
  let request: Pick<IppMessage, 'version' | 'requestId'> = { version: 0x0101, requestId: 1 };
  try {
    const owner = isPossible(token) ? await door.owner(token) : undefined;
    if (owner === undefined) {
      // unknown, expired and revoked tokens look the same, and their requests are not read
      request = await inTime(readPrefix(body));
      throw new InkmeshError('not-found', 'there is no such printer: add it again with a new address');
    }
    const { message, document }: Received = await inTime(readMessage(body));
    request = message;
    const operation = checkRequest(message);
    const reply = await operationOf(message.code)({
      door,
      open,
      token,
      user: owner.user,
      printerUri: printerUri(c.req.url, token),
      message,
      operation,
      document,
      signal: c.req.raw.signal,
    });
    return ippResponse(encodeReply(request, reply));
  } catch (thrown) {
    // one whose client has gone away ends with any error
    if (isInternal(thrown) && !c.req.raw.signal.aborted) {
      log('error', 'an IPP request failed', { error: traceOf(thrown).replaceAll(token, '[token]') });
    }
    return ippResponse(encodeReply(request, failure(thrown)));
  } finally {
    release(connection);
  }
}

function ippResponse(bytes: Uint8Array): Response {
  return new Response(new Uint8Array(bytes), { headers: { 'content-type': mediaType } });
}

function isPossible(token: string): boolean {
  return token.length <= submitLimits.maxTokenLength && /^[\w.~-]+$/.test(token);
}

/** The printer as this client calls it: its scheme, host and port. */
function printerUri(requestUrl: string, token: string): string {
  const url = new URL(requestUrl);
  const secure = url.protocol === 'https:';
  const port = url.port || (secure ? '443' : '80');
  return `${secure ? 'ipps' : 'ipp'}://${url.hostname}:${port}/ipp/print/${token}`;
}

async function inTime<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = () => reject(new InkmeshError('timeout', 'the request came too slowly'));
    timer = setTimeout(error, submitLimits.readHeader_ms);
  });
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}
