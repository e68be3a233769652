/** The IPP front (RFC 8010, RFC 8011): what stock print dialogs talk to. It knows HTTP and IPP, and hands jobs to a door. */
import { type Context, Hono } from 'hono';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import type { IppMessage } from '../ipp/message.ts';
import { readMessage, readPrefix, type Received } from '../ipp/stream.ts';
import type { JobView, Ticket } from '../job.ts';
import { OpenJobs } from './ipp-open.ts';
import { operationOf } from './ipp-operations.ts';
import { addressOf, connectionOf, paced, release } from '../tls-server.ts';
import { operations } from '../ipp/registry.ts';
import { traceOf } from '../trace.ts';
import { challenge, shownBy } from './authorization.ts';
import { pageRoutes } from './ipp-page.ts';
import { inTime } from './in-time.ts';
import { checkRequest, encodeReply, failure, isInternal } from './ipp-request.ts';
import { Subscriptions } from './ipp-subscriptions.ts';
import type { Client, Shown } from './source.ts';

/** What the IPP front needs of a node. Every method may throw InkmeshError. */
export interface IppDoor {
  /**
   * Whose a submit token is; undefined for one that is unknown, or another user's than is shown.
   * @throws InkmeshError `unauthenticated` when it was shut out or has expired, `busy` after many unknown ones
   */
  owner(shown: Shown): Promise<{ user: string } | undefined>;
  /** @throws InkmeshError when no job can be taken now */
  ready(): Promise<void>;
  /** A fresh job id whose IPP job-id is none of those taken. */
  newJobId(taken: ReadonlySet<number>): string;
  /**
   * Resolves when the job is accepted.
   * @param job its UUID, lower case
   * @param document read once, as fast as it is stored; throws InkmeshError when the client sends nonsense
   * @param signal aborted when the client goes away or cancels
   */
  submit(
    client: Client,
    job: string,
    ticket: Ticket,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  /** jobs that were submitted with this token and are still known, also recently ended ones; none without a token */
  jobs(token: string): Promise<JobView[]>;
  cancel(client: Client, job: string): Promise<void>;
  /** what the printer is called; `uuid` in lower case, without urn: */
  readonly queue: { readonly name: string; readonly uuid: string; readonly organisation: string };
  readonly maxDocumentBytes: number;
}

const mediaType = 'application/ipp';

/**
 * Serves `POST /ipp/print/TOKEN` and, for job URIs, `POST /ipp/print/TOKEN/NUMBER`; the same without a token for
 * clients that show user name and password by HTTP Basic. IPP failures are answered with HTTP status 200 (RFC 8010
 * section 3.4.3), but for the lack of a password. `GET` of the printer's URL is a page for people.
 * @param log gets what clients are not told, without their tokens
 */
export function ippApp(door: IppDoor, log: Log): Hono {
  const open = new OpenJobs((taken) => door.newJobId(taken));
  const subscriptions = new Subscriptions();
  const app = new Hono();
  pageRoutes(app, door.queue.name);
  const handle = (c: Context) => answer(c, { door, open, subscriptions, log });
  app.post('/ipp/print', handle);
  app.post('/ipp/print/:job{[0-9]{1,10}}', handle);
  app.post('/ipp/print/:token', handle);
  app.post('/ipp/print/:token/:job', handle);
  return app;
}

interface Front {
  door: IppDoor;
  open: OpenJobs;
  subscriptions: Subscriptions;
  log: Log;
}

async function answer(c: Context, front: Front): Promise<Response> {
  const { door, log } = front;
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== mediaType || c.req.raw.body === null) return c.text(`send ${mediaType}`, 415);
  const connection = connectionOf(c.env);
  const body = paced(connection, c.req.raw.body);
  const address = addressOf(c.env);
  const inPath = c.req.param('token');
  const shown = inPath === undefined
    ? shownBy(c.req.header('authorization'), address)
    : { token: inPath, user: null, address };
  const token = shown?.token ?? '';
  let request: Pick<IppMessage, 'version' | 'requestId'> = { version: 0x0101, requestId: 1 };
  try {
    const user = shown === undefined ? '' : await userOf(door, shown).catch(async (refused: unknown) => {
      // nothing but what it takes to answer is read of who is refused
      request = await inTime(readPrefix(body));
      throw refused;
    });
    const { message, document }: Received = await inTime(readMessage(body));
    request = message;
    if (shown === undefined && message.code !== operations['Get-Printer-Attributes']) {
      throw new InkmeshError('unauthenticated', 'this printer asks for your user name and submit password');
    }
    const operation = checkRequest(message);
    const reply = await operationOf(message.code)({
      ...front,
      token,
      address,
      user,
      printerUri: printerUri(c.req.url, inPath),
      message,
      operation,
      document,
      length: lengthOf(c),
      signal: c.req.raw.signal,
    });
    return ippResponse(encodeReply(request, reply));
  } catch (thrown) {
    if (inPath === undefined && thrown instanceof InkmeshError && thrown.code === 'unauthenticated') {
      return c.text(thrown.message, 401, { 'www-authenticate': challenge });
    }
    // one whose client has gone away ends with any error
    if (isInternal(thrown) && !c.req.raw.signal.aborted) {
      log('error', 'an IPP request failed', {
        error: token === '' ? traceOf(thrown) : traceOf(thrown).replaceAll(token, '[token]'),
      });
    }
    return ippResponse(encodeReply(request, failure(thrown)));
  } finally {
    release(connection);
  }
}

/** What the client says that its request has of octets, attributes and document together. */
function lengthOf(c: Context): number | undefined {
  const header = c.req.header('content-length');
  return header === undefined ? undefined : Number(header);
}

function ippResponse(bytes: Uint8Array): Response {
  return new Response(new Uint8Array(bytes), { headers: { 'content-type': mediaType } });
}

/** @throws InkmeshError for who is unknown */
async function userOf(door: IppDoor, shown: Shown): Promise<string> {
  const owner = await door.owner(shown);
  if (owner !== undefined) return owner.user;
  throw shown.user === null
    ? new InkmeshError('not-found', 'there is no such printer: add it again with a new address')
    : new InkmeshError('unauthenticated', 'user name or submit password are wrong');
}

/** The printer as this client calls it: its scheme, host and port. */
function printerUri(requestUrl: string, token: string | undefined): string {
  const url = new URL(requestUrl);
  const secure = url.protocol === 'https:';
  const port = url.port || (secure ? '443' : '80');
  return `${secure ? 'ipps' : 'ipp'}://${url.hostname}:${port}/ipp/print${
    token === undefined ? '' : `/${token}`
  }`;
}
