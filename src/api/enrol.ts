/**
 * How a browser becomes a user's device: it brings its invitation and a certification request to this node, which has a
 * registrar redeem it. Nobody has signed that, as there is no credential yet; what counts is the invitation.
 */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import * as v from 'valibot';
import { check } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { type Log, type Mesh, parseToken, type Trust } from '../../mesh/mod.ts';
import { uuid } from '../../mesh/names.ts';
import { Attempts } from '../attempts.ts';
import type { Audit } from '../audit.ts';
import { httpStatus } from '../http-status.ts';
import { enrolLimits } from '../limits.ts';
import { addressOf } from '../tls-server.ts';
import { traceOf } from '../trace.ts';

export interface EnrolDoors {
  mesh: Mesh;
  trust: Trust;
  audit: Audit;
  log: Log;
}

const path = '/v1/enrol';
const octets = (max: number) =>
  v.pipe(
    v.string(),
    v.maxLength(Math.ceil(max / 3) * 4),
    v.base64(),
    v.transform((text) => Uint8Array.fromBase64(text)),
  );
const enrolment = v.strictObject({
  /** as `inkmesh user invite` prints it */
  invite: v.pipe(v.string(), v.maxLength(enrolLimits.maxInviteChars)),
  device: uuid,
  /** base64 of a PKCS#10 request without names */
  request: octets(enrolLimits.maxRequestBytes),
  /** base64 of the SHA-256 of a submit token that the browser has made */
  tokenHash: octets(32),
});

/** Whether a request is for these routes. */
export const isEnrolment = (request: Request): boolean => new URL(request.url).pathname === path;

export function enrolApp(doors: EnrolDoors): Hono {
  const app = new Hono();
  const line: Line = { attempts: new Attempts(), underWay: new Set() };
  app.use(bodyLimit({
    maxSize: enrolLimits.maxBodyBytes,
    onError: () => {
      throw new InkmeshError('too-large', `a request has at most ${enrolLimits.maxBodyBytes} bytes`);
    },
  }));
  app.post(path, (c) => inLine(c, doors, line));
  app.onError((thrown, c) => {
    const error = asInkmeshError(thrown);
    if (error.code === 'internal' && !c.req.raw.signal.aborted) {
      doors.log('error', 'a browser could not be enrolled', { error: traceOf(thrown) });
    }
    const { code, message, about: details } = error;
    return c.json({ error: { code, message, details } }, httpStatus[code]);
  });
  app.notFound((c) =>
    c.json({ error: { code: 'not-found', message: 'a browser is enrolled by POST', details: {} } }, 404)
  );
  return app;
}

interface Line {
  attempts: Attempts;
  /** addresses of which one is looked at: many at once would not have been counted yet */
  underWay: Set<string>;
}

/** A wrong invitation costs every registrar a question: few are looked at, one of each address at a time. */
async function inLine(c: Context, doors: EnrolDoors, { attempts, underWay }: Line): Promise<Response> {
  const from = addressOf(c.env);
  refuseOtherPages(c);
  const limited_ms = attempts.limited_ms(from);
  if (limited_ms > 0) {
    throw new InkmeshError(
      'busy',
      `too many attempts that came to nothing: wait for ${Math.ceil(limited_ms / 1000)} s`,
    );
  }
  const asked = check(enrolment, await jsonOf(c));
  if (underWay.has(from) || underWay.size >= enrolLimits.maxUnderWay) {
    throw new InkmeshError('busy', 'other browsers are being enrolled at this moment: try again');
  }
  underWay.add(from);
  try {
    return await enrol(c, doors, asked, () => attempts.failed(from));
  } finally {
    underWay.delete(from);
  }
}

/** @param failed counts an attempt that came to nothing */
async function enrol(
  c: Context,
  { mesh, trust, audit }: EnrolDoors,
  { invite, device, request, tokenHash }: v.InferOutput<typeof enrolment>,
  failed: () => void,
): Promise<Response> {
  const from = addressOf(c.env);
  try {
    const { secret, root, kind } = parseToken(invite);
    if (kind !== 'user' || root.toHex() !== trust.fingerprint) {
      throw new InkmeshError('unauthenticated', 'this is no invitation to this organisation');
    }
    const origin = new URL(c.req.url).hostname;
    const given = await mesh.membership.enrolBrowser({ secret, request, device, tokenHash, origin });
    const { user, site, leaf, issuers, notAfter_ms } = given;
    audit.record({
      what: 'asked',
      who: user,
      from,
      detail: `a browser was enrolled at ${origin}: ${device}`,
    });
    return c.json(
      {
        ...{ user, site, device, organisation: trust.organisation },
        certificate: leaf.toBase64(),
        issuers: issuers.map((der) => der.toBase64()),
        expires: new Date(notAfter_ms).toISOString(),
      },
      200,
      { 'cache-control': 'no-store' },
    );
  } catch (thrown) {
    const { code, message } = asInkmeshError(thrown);
    // also what nobody could judge: it has cost as much
    failed();
    if (code === 'unauthenticated' || code === 'bad-request' || code === 'forbidden') {
      audit.record({ what: 'refused', who: null, from, detail: `POST ${path}: ${message}` });
    }
    throw thrown;
  }
}

/** @throws InkmeshError `forbidden` when a page of another origin has sent it */
function refuseOtherPages(c: Context): void {
  const origin = c.req.header('origin') ?? c.req.url;
  const isJson = c.req.header('content-type')?.startsWith('application/json') === true;
  // a page without an origin of its own says null
  if (isJson && URL.canParse(origin) && new URL(origin).host === new URL(c.req.url).host) return;
  throw new InkmeshError('forbidden', 'a browser is enrolled by the page of this node');
}

async function jsonOf(c: Context): Promise<unknown> {
  try {
    return await c.req.json();
  } catch (cause) {
    // a body that is too long says so itself
    if (cause instanceof InkmeshError) throw cause;
    throw new InkmeshError('bad-request', 'the request is not JSON', {}, { cause });
  }
}
