/** Connections to printers: bounded in time, and pinned to a certificate. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { createHash } from 'node:crypto';
import { InkmeshError } from '../../mesh/errors.ts';
import { deliverLimits } from '../limits.ts';

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
export async function openTcp(endpoint: Endpoint): Promise<Socket> {
  const socket = connectTcp(endpoint);
  await opened(socket, 'connect');
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
export async function openTls(endpoint: Endpoint): Promise<TlsConnection> {
  const servername = isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {};
  const socket = connectTls({ ...endpoint, ...servername, rejectUnauthorized: false });
  await opened(socket, 'secureConnect');
  socket.setNoDelay(true);
  const { raw } = socket.getPeerCertificate();
  if (raw === undefined) {
    socket.destroy();
    throw new InkmeshError('unavailable', 'the printer showed no certificate');
  }
  return { socket, fingerprint: createHash('sha256').update(raw).digest('hex') };
}

/** @throws InkmeshError `forbidden`, and closes the connection, unless its certificate is the one that was accepted */
export function checkPin({ socket, fingerprint }: TlsConnection, accepted: string | undefined): void {
  if (accepted?.replaceAll(':', '').toLowerCase() === fingerprint) return;
  socket.destroy();
  const message = accepted === undefined
    ? 'the certificate of this printer was not accepted yet'
    : 'the certificate of this printer has changed';
  throw new InkmeshError('forbidden', `${message}: check it, then run inkmesh printer accept`);
}

function opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new InkmeshError('unavailable', `the printer cannot be reached: ${why}`));
    };
    const timer = setTimeout(() => fail('it does not answer'), deliverLimits.connect_ms);
    // stays: an error that comes when nobody listens would end the process
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.once('close', () => fail('it closed the connection'));
    socket.once(event, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
