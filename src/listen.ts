/** HTTP and HTTPS servers of a node: started, counted, and closed in order. */
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { InkmeshError } from '../mesh/errors.ts';
import { createTlsServer } from './tls-server.ts';

export interface Listening {
  readonly port: number;
  /** Takes no new connection; resolves when the requests under way are answered. */
  close(): Promise<void>;
  /** Ends what is left. */
  kill(): void;
}

export interface ListenOptions {
  fetch: Parameters<typeof getRequestListener>[0];
  address: string;
  /** 0 for any */
  port: number;
  /** PEM; plain HTTP without it */
  tls?: { key: string; cert: string };
  /** what it is for, in errors */
  what: string;
}

/** A client has this long for its headers; bodies are bounded by whoever reads them. */
const headersTimeout_ms = 20_000;

/** @throws InkmeshError `unavailable` when the port is taken */
export async function listen(options: ListenOptions): Promise<Listening> {
  const listener = getRequestListener(options.fetch, { overrideGlobalObjects: false });
  const server = options.tls === undefined ? plainServer(listener) : tlsServer(options.tls, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: Error) => {
      reject(
        new InkmeshError(
          'unavailable',
          `port ${options.port} for ${options.what} cannot be opened: ${cause.message}; change it in the configuration`,
          {},
          { cause },
        ),
      );
    });
    server.listen(options.port, options.address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () => new Promise((resolve) => void server.close(() => resolve())),
    kill: () => server.closeAllConnections(),
  };
}

type Listener = ReturnType<typeof getRequestListener>;

function plainServer(listener: Listener) {
  const server = createHttpServer(listener);
  server.headersTimeout = headersTimeout_ms;
  // a large document over a slow line takes longer than any one request's usual time
  server.requestTimeout = 0;
  return server;
}

function tlsServer(tls: { key: string; cert: string }, listener: Listener) {
  const context = createSecureContext({ ...tls, minVersion: 'TLSv1.2' });
  return createTlsServer(() => context, listener);
}
