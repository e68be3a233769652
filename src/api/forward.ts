/**
 * Releases for another node. A phone's page may ask nobody but the node that serves it; where another one reaches the
 * printer, the phone signs for that one, and this node passes the request and its answer on as they are. It can change
 * nothing in them, and is not trusted with more than the page that it serves.
 */
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { check } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { type Mesh, refuseRevoked, toPem, type Trust, verifyRequest } from '../../mesh/mod.ts';
import { jobId, peerId } from '../../mesh/names.ts';
import { httpStatus } from '../http-status.ts';
import { forwardLimits } from '../limits.ts';

export interface ForwardDoors {
  mesh: Pick<Mesh, 'members' | 'clientAddresses' | 'ledger' | 'now_ms'>;
  trust: Trust;
}

const scheme = 'Inkmesh ';

/** `POST /PEER/v1/jobs/ID/release`, signed for the node with that PeerId and without the first part of the path. */
export function forwardApp(doors: ForwardDoors): Hono {
  const app = new Hono();
  app.use(bodyLimit({
    maxSize: forwardLimits.maxBodyBytes,
    onError: () => {
      throw new InkmeshError('too-large', `a request has at most ${forwardLimits.maxBodyBytes} bytes`);
    },
  }));
  app.post('/:peer/v1/jobs/:id/release', (c) => forward(c, doors));
  app.onError((thrown, c) => {
    const { code, message, about: details } = asInkmeshError(thrown);
    return c.json({ error: { code, message, details } }, httpStatus[code]);
  });
  return app;
}

async function forward(c: Context, { mesh, trust }: ForwardDoors): Promise<Response> {
  const peer = check(peerId, c.req.param('peer'));
  const path = `/v1/jobs/${check(jobId, c.req.param('id'))}/release`;
  const authorization = c.req.header('authorization') ?? '';
  if (!authorization.startsWith(scheme)) {
    throw new InkmeshError('unauthenticated', 'sign the request with a credential');
  }
  const expected = { method: 'POST', path, audience: peer };
  const { by } = await verifyRequest(trust, authorization.slice(scheme.length), expected, mesh.now_ms());
  refuseRevoked(mesh.ledger, by);
  const member = mesh.members().find(({ identity }) => identity.peerId === peer)?.identity;
  if (member === undefined) {
    throw new InkmeshError('unavailable', 'the node that reaches the printer is away');
  }
  const body = new Uint8Array(await c.req.arrayBuffer());
  const servername = `${member.name}.${member.site}.inkmesh.internal`;
  const call = { path, authorization, body, servername, ca: toPem('CERTIFICATE', trust.root) };
  let failure: unknown;
  let connected = false;
  for (const address of mesh.clientAddresses(peer)) {
    // what it has been asked once it does, whatever becomes of its answer
    if (connected) break;
    try {
      const response = await exchange(address, call, () => connected = true);
      const type = response.headers['content-type'] ?? 'application/json';
      const headers = { 'content-type': type, 'cache-control': 'no-store' };
      return new Response(Readable.toWeb(response) as ReadableStream, {
        ...{ status: response.statusCode ?? 502, headers },
      });
    } catch (thrown) {
      failure = thrown;
    }
  }
  throw new InkmeshError('unavailable', `${member.name}, which reaches the printer, does not answer`, {}, {
    cause: failure,
  });
}

interface Call {
  path: string;
  authorization: string;
  body: Uint8Array;
  servername: string;
  /** PEM */
  ca: string;
}

/** @param address HOST:PORT */
function exchange(address: string, call: Call, onConnected: () => void): Promise<IncomingMessage> {
  const { hostname, port } = new URL(`https://${address}`);
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      ...{ host: hostname.replace(/^\[|\]$/g, ''), port, method: 'POST', path: call.path },
      // a connection of its own: how long it takes to be there is bounded
      agent: false,
      ...{ servername: call.servername, ca: call.ca, timeout: forwardLimits.silence_ms },
      headers: {
        authorization: call.authorization,
        'content-type': 'application/json',
        'content-length': call.body.length,
      },
    }, resolve);
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no answer came')));
    const late = setTimeout(
      () => request.destroy(new Error('it cannot be reached')),
      forwardLimits.connect_ms,
    );
    request.once('socket', (socket) =>
      socket.once('secureConnect', () => {
        clearTimeout(late);
        onConnected();
      }));
    request.once('close', () => clearTimeout(late));
    request.end(call.body);
  });
}
