/**
 * An HTTPS server whose clients cannot send faster than a request is read. Deno's own TLS sockets go on reading while
 * their reader waits, and keep what they have read in memory: a document of any size would pile up there. Here TLS
 * runs over a stream that stops the TCP socket itself.
 */
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { InkmeshError } from '../mesh/errors.ts';
import { type ListenLimits, listenLimits } from './limits.ts';
import { Patience, type Upgrade, upgradeOptions } from './patience.ts';

/** A TCP socket that reads nothing while it is held. */
class Valve extends Duplex {
  readonly #socket: Socket;
  #held = false;
  #wanted = false;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.pause();
    socket.on('data', (chunk) => {
      this.#wanted = this.push(chunk);
      this.#turn();
    });
    socket.once('end', () => this.push(null));
    socket.once('error', (error) => this.destroy(error));
    socket.once('close', () => this.destroy());
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  hold(held: boolean): void {
    this.#held = held;
    this.#turn();
  }

  override _read(): void {
    this.#wanted = true;
    this.#turn();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #turn(): void {
    if (this.#wanted && !this.#held) this.#socket.resume();
    else this.#socket.pause();
  }
}

const valves = new WeakMap<object, Valve>();

/** A server that listens like any other, and can drop its connections. */
export interface TlsServer extends Server {
  closeAllConnections(): void;
}

/**
 * A client that takes its time is dropped, from its first octet on.
 * @param context the key and certificate for the next connection, so that they can be renewed while it runs, by the
 * host name that the client asks for (RFC 6066 section 3), empty where it asks for none
 * @param listener of requests, whose bodies `paced` reads
 */
export function createTlsServer(
  context: (host: string) => SecureContext,
  listener: RequestListener,
  limits: ListenLimits = listenLimits,
  upgrade?: Upgrade,
): TlsServer {
  const http = createHttpServer(upgradeOptions(upgrade));
  const patience = new Patience(http, { listener, upgrade }, limits);
  const open = new Set<Valve>();
  const server = createTcpServer({ noDelay: true }, (socket) => {
    const valve = new Valve(socket);
    const secure = new TLSSocket(valve, {
      isServer: true,
      secureContext: context(''),
      SNICallback: (host, done) => done(null, context(host)),
      ALPNProtocols: ['http/1.1'],
    });
    valves.set(secure, valve);
    patience.watch(secure, () => valve.destroy());
    // a callback of setTimeout would be called once
    socket.setTimeout(limits.idle_ms).on('timeout', () => patience.idle(secure));
    open.add(valve);
    valve.once('close', () => {
      open.delete(valve);
      secure.destroy();
    });
    // clients come and go, and some speak something else than TLS
    for (const stream of [valve, secure]) stream.on('error', () => valve.destroy());
    http.emit('connection', secure);
  });
  // Deno closes the connections of a server that does not listen after one response
  Object.defineProperty(http, 'listening', { get: () => server.listening });
  const closeAllConnections = () => {
    for (const valve of open) valve.destroy();
  };
  return Object.assign(server, { closeAllConnections });
}

/** The socket that a request came by, out of what the HTTP adapter gives; undefined in tests without a server. */
export function connectionOf(env: unknown): object | undefined {
  const { incoming }: { incoming?: IncomingMessage } = env ?? {};
  return incoming?.socket;
}

/** The IP address that a request came from; empty in tests without a server. */
export function addressOf(env: unknown): string {
  const { incoming }: { incoming?: Pick<IncomingMessage, 'socket'> } = env ?? {};
  const valve = incoming === undefined ? undefined : valves.get(incoming.socket);
  return (valve ?? incoming?.socket)?.remoteAddress?.replace(/^::ffff:/, '') ?? '';
}

/**
 * A request's body that is read off the connection only while it is waited for, from now on; `release` must follow.
 * @throws InkmeshError (while it is read) `unavailable` when the client goes away
 */
export function paced(
  connection: object | undefined,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const valve = connection === undefined ? undefined : valves.get(connection);
  valve?.hold(true);
  return onDemand(valve, body);
}

async function* onDemand(
  valve: Valve | undefined,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  valve?.hold(false);
  try {
    for await (const chunk of body) {
      valve?.hold(true);
      yield chunk;
      valve?.hold(false);
    }
  } catch (cause) {
    throw new InkmeshError('unavailable', 'the connection was lost before the request was read', {}, {
      cause,
    });
  }
}

/** Lets a connection flow again when its request is answered, however much of it was read. */
export function release(connection: object | undefined): void {
  if (connection !== undefined) valves.get(connection)?.hold(false);
}
