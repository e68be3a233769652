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
import { httpStatus } from '../http-status.ts';
import { forwardLimits } from '../limits.ts';
import { refuseUnpassable } from './passed.ts';

export interface ForwardDoors {
  mesh: Pick<Mesh, 'members' | 'passOn' | 'ledger' | 'now_ms'>;
  trust: Trust;
  /** told of each request that has been passed on, with the status of its answer */
  passed?(by: UserIdentity, request: { method: string; path: string }, status: number): void;
}

const scheme = 'Inkmesh ';

/** `GET` or `POST /PEER/v1/…`, signed for the node with that PeerId and without the first part of the path. */
export function forwardApp(doors: ForwardDoors): Hono {
  const app = new Hono();
  app.use(bodyLimit({
    maxSize: forwardLimits.maxBodyBytes,
    onError: () => {
      throw new InkmeshError('too-large', `a request has at most ${forwardLimits.maxBodyBytes} bytes`);
    },
  }));
  app.on(['GET', 'POST'], '/:peer/v1/*', (c) => forward(c, doors));
  app.onError((thrown, c) => {
    const { code, message, about: details } = asInkmeshError(thrown);
    return c.json({ error: { code, message, details } }, httpStatus[code]);
  });
  return app;
}

async function forward(c: Context, doors: ForwardDoors): Promise<Response> {
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
  const { by } = await verifyRequest(trust, signed, { method, path, audience: peer }, mesh.now_ms());
  refuseRevoked(mesh.ledger, by);
  if (!mesh.members().some(({ identity }) => identity.peerId === peer)) {
    throw new InkmeshError('unavailable', 'the node that is to do this is away');
  }
  const body = new Uint8Array(await c.req.arrayBuffer());
  const request = { method, path, authorization: signed, body } as const;
  const answer = await mesh.passOn.ask(peer, request);
  doors.passed?.(by, request, answer.status);
  const headers = { 'content-type': answer.type, 'cache-control': 'no-store' };
  // as it comes: an answer has a line for each step
  return new Response(ReadableStream.from(answer.body) as ReadableStream<Uint8Array<ArrayBuffer>>, {
    status: answer.status,
    headers,
  });
}
