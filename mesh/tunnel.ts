/**
 * The way to a WebSocket's server: TCP or TLS, through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6) where the
 * environment names one (`HTTPS_PROXY`, `NO_PROXY`). Who answers is not judged by its TLS certificate: Noise proves it
 * inside, whatever is in between, and a lapsed certificate is no reason for two sites to part.
 */
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { getProxyForUrl } from 'proxy-from-env';
import { InkmeshError } from './errors.ts';
import { maxProxyAnswerBytes } from './limits.ts';

export interface Endpoint {
  /** IP address or name */
  host: string;
  port: number;
  tls: boolean;
}

/** HOST:PORT, an IPv6 address in brackets. */
export const authority = ({ host, port }: Pick<Endpoint, 'host' | 'port'>): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;

/**
 * A connection that is ready to carry a WebSocket's handshake.
 * @throws InkmeshError `unavailable`; whatever the system says when nobody answers
 */
export async function openTunnel(to: Endpoint, signal: AbortSignal): Promise<Socket> {
  const proxy = getProxyForUrl(`${to.tls ? 'https' : 'http'}://${authority(to)}`);
  const socket = proxy === '' ? await opened(to, signal) : await throughProxy(new URL(proxy), to, signal);
  // it was held to keep what follows a proxy's answer; who is asked for a WebSocket speaks when he has been asked
  return to.tls ? await secured(socket, to.host, signal) : socket.resume();
}

function opened({ host, port }: Pick<Endpoint, 'host' | 'port'>, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true, keepAlive: true });
  return ready(socket, 'connect', signal);
}

function secured(socket: Socket, host: string, signal: AbortSignal): Promise<Socket> {
  const name = isIP(host) === 0 ? { servername: host } : {};
  const secure = connectTls({ socket, ...name, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  socket.on('error', (error) => secure.destroy(error));
  return ready(secure, 'secureConnect', signal);
}

async function throughProxy(proxy: URL, to: Endpoint, signal: AbortSignal): Promise<Socket> {
  if (proxy.protocol !== 'http:') {
    throw new InkmeshError(
      'unavailable',
      `the proxy ${proxy.host} is none that can be used: give http://HOST`,
    );
  }
  const host = proxy.hostname.replace(/^\[|\]$/g, '');
  const user = `${decoded(proxy.username)}:${decoded(proxy.password)}`;
  const head = [
    `CONNECT ${authority(to)} HTTP/1.1`,
    `Host: ${authority(to)}`,
    ...(user === ':' ? [] : [`Proxy-Authorization: Basic ${Buffer.from(user).toString('base64')}`]),
  ];
  const socket = await opened({ host, port: Number(proxy.port || 80) }, signal);
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  const status = await answered(socket, signal);
  if (status >= 200 && status < 300) return socket;
  socket.destroy();
  throw new InkmeshError('unavailable', `the proxy ${proxy.host} answers ${status} for ${authority(to)}`);
}

/** A part of a URL as it was meant: a `%` that encodes nothing stands for itself. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The status of a proxy's answer, whose last octet is the last that has been taken off the connection. */
function answered(socket: Socket, signal: AbortSignal): Promise<number> {
  let text = '';
  return new Promise((resolve, reject) => {
    const done = (end: () => void) => {
      socket.off('data', take).off('error', failed).off('close', failed);
      signal.removeEventListener('abort', failed);
      end();
    };
    const failed = () => {
      socket.destroy();
      done(() => reject(new InkmeshError('unavailable', 'the proxy gave no answer')));
    };
    const take = (chunk: Uint8Array) => {
      text += Buffer.from(chunk).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0 && text.length < maxProxyAnswerBytes) return;
      const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(text) ?? [];
      if (end < 0 || status === undefined) return failed();
      socket.pause();
      // the other end speaks when it is spoken to; a proxy that says more is none
      if (end + 4 < text.length) return failed();
      done(() => resolve(Number(status)));
    };
    socket.on('data', take).once('error', failed).once('close', failed);
    signal.addEventListener('abort', failed, { once: true });
  });
}

function ready<S extends Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    const done = (end: () => void) => {
      socket.off(event, open).off('error', failed).off('close', failed);
      signal.removeEventListener('abort', stop);
      end();
    };
    const open = () => done(() => resolve(socket));
    const failed = (cause?: unknown) => {
      socket.destroy();
      done(() => reject(cause instanceof Error ? cause : new InkmeshError('unavailable', 'nobody answers')));
    };
    const stop = () => failed(signal.reason);
    if (signal.aborted) return stop();
    // who takes it over may not listen yet when it breaks
    socket.on('error', () => socket.destroy());
    socket.once(event, open).once('error', failed).once('close', failed);
    signal.addEventListener('abort', stop, { once: true });
  });
}
