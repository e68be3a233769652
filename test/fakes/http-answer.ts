/** Connections, and HTTP answers read off them (RFC 9112), for clients that are written octet by octet. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

/** Connects to where an http: or https: URL leads; the certificate is not checked. */
export async function connectTo(url: URL): Promise<Socket> {
  const where = { host: url.hostname, port: Number(url.port) };
  const secure = url.protocol === 'https:';
  const socket = secure ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where);
  await once(socket, secure ? 'secureConnect' : 'connect');
  // the server may break it off at any moment
  socket.on('error', () => {});
  return socket;
}

export interface HttpAnswer {
  status: number;
  body: Uint8Array;
}

/**
 * The next answer on a connection, or undefined when that ends before the answer is whole.
 * @throws Error for what is no answer
 */
export function readAnswer(socket: Duplex): Promise<HttpAnswer | undefined> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const stop = () => void socket.off('data', take).off('close', broken).off('end', broken);
    const settle = () => {
      const answer = answerIn(received);
      if (answer === undefined) return;
      stop();
      resolve(answer);
    };
    const broken = () => {
      stop();
      resolve(undefined);
    };
    const take = (data: Uint8Array) => {
      received = Buffer.concat([received, data]);
      try {
        settle();
      } catch (thrown) {
        stop();
        reject(thrown);
      }
    };
    socket.on('data', take).on('close', broken).on('end', broken);
    // whoever listens for close alone would be too late
    if (socket.destroyed) broken();
  });
}

/** @returns undefined while it is not whole */
function answerIn(received: Buffer): HttpAnswer | undefined {
  const text = received.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]);
  if (Number.isNaN(status)) throw new Error(`this is no answer: ${JSON.stringify(head.slice(0, 200))}`);
  // what comes before the answer itself (RFC 9110 section 15.2)
  if (status < 200) return answerIn(received.subarray(end + 4));
  const rest = received.subarray(end + 4);
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return unchunked(status, rest);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  return rest.length < length ? undefined : { status, body: rest.subarray(0, length) };
}

function unchunked(status: number, rest: Buffer): HttpAnswer | undefined {
  const parts: Uint8Array[] = [];
  for (let at = 0;;) {
    const line = rest.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(rest.toString('latin1', at, line), 16);
    const next = line + 2 + size + 2;
    if (next > rest.length) return undefined;
    if (size === 0) return { status, body: Buffer.concat(parts) };
    parts.push(rest.subarray(line + 2, line + 2 + size));
    at = next;
  }
}
