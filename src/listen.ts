/** HTTP and HTTPS servers of a node: started, counted, and closed in order. */
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { InkmeshError } from '../mesh/errors.ts';
import { type ListenLimits, listenLimits } from './limits.ts';
import { Patience, type Upgrade, upgradeOptions } from './patience.ts';
import { createTlsServer } from './tls-server.ts';

/** PEM: a private key, and its certificate with that one's issuer. */
export interface TlsKeys {
  key: string;
  cert: string;
}

export interface Listening {
  readonly port: number;
  /** Serves TLS with these from the next connection on; nothing to do where there is no TLS. */
  renew(tls: TlsKeys): void;
  /** The same for clients that ask for one of these host names; undefined: like all others. */
  serveAs(hosts: readonly string[], tls: TlsKeys | undefined): void;
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
  /** plain HTTP without it */
  tls?: TlsKeys;
  /** what it is for, in errors */
  what: string;
  /** without it whoever asks for another protocol is answered as if he had not */
  upgrade?: Upgrade;
}

/**
 * @param limits what a client may cost; the length of a body is bounded by whoever reads it
 * @throws InkmeshError `unavailable` when the port is taken
 */
export async function listen(
  options: ListenOptions,
  limits: ListenLimits = listenLimits,
): Promise<Listening> {
  const { fetch, tls, upgrade } = options;
  const listener = getRequestListener(fetch, { overrideGlobalObjects: false });
  const current = tls === undefined ? undefined : { context: secureContext(tls) };
  const named = new Map<string, SecureContext>();
  const server = current === undefined
    ? plainServer(listener, limits, upgrade)
    : createTlsServer((host) => named.get(host.toLowerCase()) ?? current.context, listener, limits, upgrade);
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
    renew: (renewed) => {
      if (current !== undefined) current.context = secureContext(renewed);
    },
    serveAs: (hosts, keys) => {
      for (const host of hosts) {
        if (keys === undefined) named.delete(host);
        else named.set(host, secureContext(keys));
      }
    },
    close: () => new Promise((resolve) => void server.close(() => resolve())),
    kill: () => server.closeAllConnections(),
  };
}

type Listener = ReturnType<typeof getRequestListener>;

function plainServer(listener: Listener, limits: ListenLimits, upgrade: Upgrade | undefined) {
  const server = createHttpServer(upgradeOptions(upgrade));
  const patience = new Patience(server, { listener, upgrade }, limits);
  server.on('connection', (socket) => patience.watch(socket, () => socket.destroy()));
  server.setTimeout(limits.idle_ms, (socket) => patience.idle(socket));
  // a large document over a slow line takes longer than any one request's usual time
  server.requestTimeout = 0;
  return server;
}

function secureContext(tls: TlsKeys): SecureContext {
  // TLS 1.3 sends session tickets after the handshake, unasked and not to be turned off on Deno. CUPS clients that set
  // a time limit (libcups 2.4 with GnuTLS) take them for an answer that stays away, and connect again for ever
  return createSecureContext({ ...tls, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
}
