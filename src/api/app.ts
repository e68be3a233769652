/**
 * A node's own HTTP API on the release port: what the command line (and later pages and panels) talk to. Every
 * request is signed with a user's credential for this node, method and path; nobody acts for another user.
 */
import { createHash } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import {
  type KnownFacts,
  type Log,
  refuseCloud,
  refuseRevoked,
  type Trust,
  type UserIdentity,
  verifyRequest,
} from '../../mesh/mod.ts';
import { Attempts } from '../attempts.ts';
import type { Audit } from '../audit.ts';
import { httpStatus } from '../http-status.ts';
import { addressOf } from '../tls-server.ts';
import { traceOf } from '../trace.ts';
import { Nonces } from './nonces.ts';

export interface ApiEnv {
  Variables: {
    by: UserIdentity;
    /** whether the signature covers the body */
    covered: boolean;
  };
}

export type Api = Hono<ApiEnv>;

export interface ApiOptions {
  trust: Trust;
  /** PeerId of this node */
  audience: string;
  now_ms(): number;
  /** where revocations are looked up */
  known: KnownFacts;
  log: Log;
  audit: Pick<Audit, 'record'>;
  /** of this node: what it has decided of credentials that were made at a cloud node holds here */
  site: string;
}

const scheme = 'Inkmesh ';
const maxJsonBytes = 64 * 1024;

/** An API without routes: authentication and errors. */
export function createApi(options: ApiOptions): Api {
  const app: Api = new Hono<ApiEnv>();
  const seen = new Nonces();
  const attempts = new Attempts();
  app.use(async (c, next) => {
    c.header('x-content-type-options', 'nosniff');
    const header = c.req.header('authorization') ?? '';
    if (!header.startsWith(scheme)) {
      throw new InkmeshError('unauthenticated', 'sign the request with a credential');
    }
    const url = new URL(c.req.url);
    const expected = { method: c.req.method, path: url.pathname + url.search, audience: options.audience };
    const { by, nonce, bodyHash } = await verifyRequest(
      options.trust,
      header.slice(scheme.length),
      expected,
      options.now_ms(),
    );
    refuseRevoked(options.known, by);
    refuseCloud(options.known, options.site, by);
    if (!seen.first(Buffer.from(nonce).toString('hex'), by.device, performance.now())) {
      throw new InkmeshError('unauthenticated', 'this request has been seen before: sign a new one');
    }
    if (bodyHash !== null) await checkBody(c, bodyHash);
    c.set('by', by);
    c.set('covered', bodyHash !== null);
    await next();
    // what is somebody's is kept nowhere on the way
    if (c.res.headers.get('cache-control') === null) c.header('cache-control', 'no-store');
    noteAsked(c, options.audit);
  });
  app.onError((thrown, c) => {
    const error = asInkmeshError(thrown);
    noteRefused(c, options.audit, attempts, error);
    if (error.code === 'internal' && !c.req.raw.signal.aborted) {
      const { method, path } = c.req;
      options.log('error', 'an API request failed', { method, path, error: traceOf(thrown) });
    }
    return c.json(
      { error: { code: error.code, message: error.message, details: error.about } },
      httpStatus[error.code],
    );
  });
  app.notFound((c) =>
    c.json({ error: { code: 'not-found', message: 'there is no such address', details: {} } }, 404)
  );
  return app;
}

/** What changes nothing is not noted, nor what there is not. */
function noteAsked(c: Context<ApiEnv>, audit: Pick<Audit, 'record'>): void {
  const { method, path } = c.req;
  if (method === 'GET' || c.res.status >= 400) return;
  const detail = `${method} ${path}`;
  audit.record({ what: 'asked', who: c.var.by.user, from: addressOf(c.env), detail });
}

/** Notes that a request was refused; of an address that is refused often only the first are. */
export function noteRefused(
  c: Context<ApiEnv>,
  audit: Pick<Audit, 'record'>,
  attempts: Attempts,
  { code, message }: InkmeshError,
): void {
  const from = addressOf(c.env);
  if ((code !== 'unauthenticated' && code !== 'forbidden') || attempts.limited_ms(from) > 0) return;
  attempts.failed(from);
  const { method, path } = c.req;
  // before the signature is checked nobody is certain
  const by: UserIdentity | undefined = c.var.by;
  const detail = `${method} ${path}: ${message}`;
  audit.record({ what: 'refused', who: by?.user ?? null, from, detail });
}

/** Answers with an error unless the asker is an administrator. @throws InkmeshError `forbidden` */
export function requireAdmin(c: Context<ApiEnv>): void {
  if (!c.var.by.roles.includes('admin')) {
    throw new InkmeshError('forbidden', 'this needs an administrator: use --credential FILE of one');
  }
}

/** The request's JSON, which its signature must cover. @throws InkmeshError `bad-request`, `unauthenticated` */
export async function signedJson(c: Context<ApiEnv>): Promise<unknown> {
  if (!c.var.covered) throw new InkmeshError('unauthenticated', 'sign the request with its body');
  try {
    return await c.req.json();
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the request is not JSON', {}, { cause });
  }
}

async function checkBody(c: Context<ApiEnv>, expected: Uint8Array): Promise<void> {
  if (Number(c.req.header('content-length') ?? Infinity) > maxJsonBytes) {
    throw new InkmeshError('too-large', `a request has at most ${maxJsonBytes} bytes`);
  }
  const body = new Uint8Array(await c.req.arrayBuffer());
  if (!createHash('sha256').update(body).digest().equals(expected)) {
    throw new InkmeshError('unauthenticated', 'the request was changed on its way');
  }
}
