/**
 * Requests for another node. A page may ask nobody but the node that serves it; where another one is to act, as it reaches
 * the printer or is a registrar, the browser signs for that one, and this node passes the request and its answer on as
 * they are, over the mesh. It can change nothing in them, and is not trusted with more than the page that it serves.
 */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { check } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { type Mesh, refuseRevoked, type Trust, type UserIdentity, verifyRequest } from '../../mesh/mod.ts';
import { peerId } from '../../mesh/names.ts';
import { Attempts } from '../attempts.ts';
import type { Audit } from '../audit.ts';
import { httpStatus } from '../http-status.ts';
import { forwardLimits } from '../limits.ts';
import { type ApiEnv, noteRefused, requireAdmin } from './app.ts';
import { Nonces } from './nonces.ts';
import { isOperators, refuseUnpassable } from './passed.ts';

export interface ForwardDoors {
  mesh: Pick<Mesh, 'members' | 'passOn' | 'ledger' | 'now_ms'>;
  trust: Trust;
  /** gets what is refused here */
  audit: Pick<Audit, 'record'>;
  /** Told of each request that is passed on, just before. @returns what is told the status of its answer */
  passes?(by: UserIdentity, request: { method: string; path: string }): (status: number) => void;
}

const scheme = 'Inkmesh ';

/** `GET` or `POST /PEER/v1/…`, signed for the node with that PeerId and without the first part of the path. */
export function forwardApp(doors: ForwardDoors): Hono {
  const app = new Hono<ApiEnv>();
  const attempts = new Attempts();
  const checks = { seen: new Nonces(), underWay: new UnderWay() };
  app.use(bodyLimit({
    maxSize: forwardLimits.maxBodyBytes,
    onError: () => {
      throw new InkmeshError('too-large', `a request has at most ${forwardLimits.maxBodyBytes} bytes`);
    },
  }));
  app.on(['GET', 'POST'], '/:peer/v1/*', (c) => forward(c, doors, checks));
  app.onError((thrown, c) => {
    const error = asInkmeshError(thrown);
    noteRefused(c, doors.audit, attempts, error);
    const { code, message, about: details } = error;
    return c.json({ error: { code, message, details } }, httpStatus[code]);
  });
  return new Hono().route('/', app);
}

interface Checks {
  seen: Nonces;
  underWay: UnderWay;
}

async function forward(
  c: Context<ApiEnv>,
  doors: ForwardDoors,
  { seen, underWay }: Checks,
): Promise<Response> {
  const { mesh, trust } = doors;
  const peer = check(peerId, c.req.param('peer'));
  const { pathname, search } = new URL(c.req.url);
  const path = pathname.slice(pathname.indexOf(peer) + peer.length) + search;
  const method = c.req.method === 'GET' ? 'GET' : 'POST';
  refuseUnpassable({ method, path });
  const authorization = c.req.header('authorization') ?? '';
  if (!authorization.startsWith(scheme)) {
    throw new InkmeshError('unauthenticated', 'sign the request with a credential');
  }
  const signed = authorization.slice(scheme.length);
  const { by, nonce } = await verifyRequest(trust, signed, { method, path, audience: peer }, mesh.now_ms());
  c.set('by', by);
  refuseRevoked(mesh.ledger, by);
  if (isOperators(path)) requireAdmin(c);
  if (!seen.first(Buffer.from(nonce).toString('hex'), by.device, performance.now())) {
    throw new InkmeshError('unauthenticated', 'this request has been seen before: sign a new one');
  }
  if (!mesh.members().some(({ identity }) => identity.peerId === peer)) {
    throw new InkmeshError('unavailable', 'the node that is to do this is away');
  }
  const leave = underWay.enter(by.user);
  try {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const request = { method, path, authorization: signed, body } as const;
    const answered = doors.passes?.(by, request);
    const answer = await mesh.passOn.ask(peer, request, c.req.raw.signal);
    answered?.(answer.status);
    // as it comes: an answer has a line for each step
    return new Response(streamOf(answer.body, leave), {
      status: answer.status,
      headers: { 'content-type': answer.type, 'cache-control': 'no-store' },
    });
  } catch (thrown) {
    leave();
    throw thrown;
  }
}

/** Requests of each user that are passed on and not answered to their end: each holds a stream of the mesh. */
class UnderWay {
  readonly #counts = new Map<string, number>();

  /** @returns what is called when it is answered, once or more @throws InkmeshError `busy` */
  enter(user: string): () => void {
    const count = this.#counts.get(user) ?? 0;
    if (count >= forwardLimits.maxPerUser) {
      throw new InkmeshError('busy', 'too much of yours is under way by this node: wait for some of it');
    }
    this.#counts.set(user, count + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const rest = (this.#counts.get(user) ?? 0) - 1;
      if (rest > 0) this.#counts.set(user, rest);
      else this.#counts.delete(user);
    };
  }
}

/** @param ended called when it has been read to its end, or is not wanted any more */
function streamOf(
  body: AsyncIterable<Uint8Array>,
  ended: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks = body[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done !== true) return controller.enqueue(new Uint8Array(value));
        controller.close();
      } catch (thrown) {
        controller.error(thrown);
      }
      ended();
    },
    async cancel() {
      ended();
      await chunks.return?.();
    },
  }, { highWaterMark: 0 });
}
