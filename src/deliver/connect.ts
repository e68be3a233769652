/** Connections to printers: bounded in time, and pinned to a certificate. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createHash } from 'node:crypto';
import { InkmeshError } from '../../mesh/errors.ts';

export interface Endpoint {
  host: string;
  port: number;
}

/** Host and port of a printer's URI. */
export function endpointOf(uri: URL, defaultPort: number): Endpoint {
  const host = decodeURIComponent(uri.hostname).replace(/^\[(.*)\]$/, '$1');
  return { host, port: uri.port === '' ? defaultPort : Number(uri.port) };
}

/** @throws InkmeshError `unavailable` */
export async function openTcp(endpoint: Endpoint, limit_ms: number): Promise<Socket> {
  const socket = connectTcp(endpoint);
  await opened(socket, 'connect', limit_ms);
  socket.setNoDelay(true);
  return socket;
}

export interface TlsConnection {
  socket: Socket;
  /** SHA-256 of the certificate (DER) that this very connection was made with, lower-case hexadecimal */
  fingerprint: string;
}

/**
 * Printers have certificates that no one has signed: whose it is, is for the caller to check, on `fingerprint`.
 * @throws InkmeshError `unavailable`
 */
export async function openTls(endpoint: Endpoint, limit_ms: number): Promise<TlsConnection> {
  const servername = isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {};
  const socket = connectTls({ ...endpoint, ...servername, rejectUnauthorized: false });
  await opened(socket, 'secureConnect', limit_ms);
  socket.setNoDelay(true);
  const { raw } = socket.getPeerCertificate();
  if (raw === undefined) {
    socket.destroy();
    throw new InkmeshError('unavailable', 'the printer showed no certificate');
  }
  return { socket, fingerprint: createHash('sha256').update(raw).digest('hex') };
}

export interface Pin {
  /** what people call the printer, where that is known */
  printer?: string;
  /** of the accepted certificate, hexadecimal, in any case and with or without colons */
  fingerprint: string | undefined;
}

export const plainFingerprint = (fingerprint: string): string =>
  fingerprint.replaceAll(':', '').toLowerCase();

/**
 * Closes the connection unless its certificate is the one that was accepted.
 * @throws InkmeshError `forbidden` with the detail `shown`: the fingerprint of the other one
 */
export function checkPin(
  { socket, fingerprint }: TlsConnection,
  { printer, fingerprint: accepted }: Pin,
): void {
  if (accepted !== undefined && plainFingerprint(accepted) === fingerprint) return;
  socket.destroy();
  const what = accepted === undefined ? 'was not accepted yet' : 'has changed';
  const message = `the certificate of this printer ${what}, so nothing was sent to it: ` +
    `if that is right, an administrator runs inkmesh printer accept ${printer}`;
  throw new InkmeshError('forbidden', message, { shown: fingerprint });
}

function opened(socket: Socket, event: 'connect' | 'secureConnect', limit_ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new InkmeshError('unavailable', `the printer cannot be reached: ${why}`));
    };
    const timer = setTimeout(() => fail('it does not answer'), limit_ms);
    // stays: an error that comes when nobody listens would end the process
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.once('close', () => fail('it closed the connection'));
    socket.once(event, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
