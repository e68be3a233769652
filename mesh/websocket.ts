/**
 * The mesh over WebSocket: a node dials out to the cloud's one HTTPS port, and the cloud's HTTP server hands what comes
 * to `/mesh` there to a `SocketDoor`. What runs over it is what runs over TCP.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type ComponentLogger,
  type Connection,
  type Listener,
  type Logger,
  type Transport,
  transportSymbol,
  type Upgrader,
} from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { WebSocket, WebSocketServer } from 'ws';
import { socketPath, socketTarget } from './address.ts';
import { maxSockets, maxSocketsPerAddress, refusal_ms } from './limits.ts';
import { type OpenSocket, SocketConnection, socketOptions } from './socket-connection.ts';
import { authority, openTunnel } from './tunnel.ts';

type Dialling = Parameters<Transport['dial']>[1];

interface Components {
  upgrader: Upgrader;
  logger: ComponentLogger;
}

/** Dials WebSockets, and takes those that come through a door. */
export function webSockets(door: SocketDoor | undefined): (components: Components) => Transport {
  return ({ upgrader, logger }) => {
    const log = logger.forComponent('inkmesh:websocket');
    door?.attach(upgrader, log);
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: 'inkmesh/websocket',
      dial: (address, options) => dial(address, options, log),
      // what there is to listen on is the HTTP server's
      listenFilter: () => [],
      createListener: (): Listener => {
        throw new TypeError('a WebSocket comes through a door');
      },
      dialFilter: (addresses) =>
        addresses.filter((address) => socketTarget(address.toString()) !== undefined),
    };
  };
}

async function dial(address: Multiaddr, options: Dialling, log: Logger): Promise<Connection> {
  const { signal, upgrader } = options;
  const target = socketTarget(address.toString());
  if (target === undefined) throw new TypeError(`${address} is no address of a WebSocket`);
  const tunnel = await openTunnel(target, signal);
  const connection = await opened(
    new WebSocket(`ws://${authority(target)}${socketPath}`, {
      ...socketOptions,
      createConnection: () => tunnel,
    }),
    signal,
    (socket) => new SocketConnection({ socket, remoteAddr: address, direction: 'outbound', log }),
  ).catch((error: Error) => {
    tunnel.destroy();
    throw error;
  });
  try {
    return await upgrader.upgradeOutbound(connection, options);
  } catch (error) {
    connection.abort(error instanceof Error ? error : new TypeError(String(error)));
    throw error;
  }
}

/** @param wrap called before the socket can have said anything */
function opened<T>(socket: WebSocket, signal: AbortSignal, wrap: (socket: WebSocket) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(signal.reason);
      socket.terminate();
    };
    const failed = (error: Error) => {
      signal.removeEventListener('abort', stop);
      reject(error);
    };
    // one that is ended before it is open says so as an error
    socket.on('error', failed);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    socket.once('open', () => {
      signal.removeEventListener('abort', stop);
      resolve(wrap(socket));
      socket.off('error', failed);
    });
  });
}

/** Why a WebSocket was not let in: the door is not open yet or any more, is full, or is for that address. */
export type Turned = 'closed' | 'full' | 'address' | 'handshake';

/** Where an HTTP server hands over the requests that ask for a WebSocket of the mesh. */
export class SocketDoor {
  /** multiaddrs where others reach it */
  readonly addresses: readonly string[];
  readonly #server = new WebSocketServer({ ...socketOptions, noServer: true, clientTracking: false });
  readonly #open = new Map<string, number>();
  readonly #turned = new Map<Turned, number>();
  readonly #closed = new AbortController();
  #take: ((socket: Omit<OpenSocket, 'log'>) => void) | undefined;
  #sockets = 0;

  constructor(addresses: readonly string[]) {
    this.addresses = addresses;
    this.#server.on(
      'wsClientError',
      (_error, socket) => this.#refuse(socket, 'handshake', '400 Bad Request'),
    );
  }

  /** How many WebSockets are open, and how many were turned away, by why. */
  get counts(): { open: number; turned: Record<string, number> } {
    return { open: this.#sockets, turned: Object.fromEntries(this.#turned) };
  }

  /** The transport is there that takes what comes. */
  attach(upgrader: Upgrader, log: Logger): void {
    this.#take = (opened) => {
      const connection = new SocketConnection({ ...opened, log });
      upgrader.upgradeInbound(connection, { signal: this.#closed.signal })
        .catch((error: Error) => {
          this.#turn('handshake');
          connection.abort(error);
        });
    };
  }

  /** Turns away whoever comes from now on. */
  close(): void {
    this.#closed.abort();
    this.#take = undefined;
  }

  /**
   * Takes over a request for a WebSocket, of an HTTP server's event `upgrade`, or refuses it with a proper answer.
   * @param remoteAddress IP address of the client: limits go by it
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array, remoteAddress: string): void {
    socket.on('error', () => socket.destroy());
    const take = this.#take;
    // a zone (RFC 4007 section 11) is no part of a multiaddr's address
    const from = remoteAddress.replace(/^::ffff:/, '').replace(/%.*$/, '');
    const family = isIP(from);
    if (take === undefined || family === 0) return this.#refuse(socket, 'closed', '503 Service Unavailable');
    if (this.#sockets >= maxSockets) return this.#refuse(socket, 'full', '503 Service Unavailable');
    if ((this.#open.get(from) ?? 0) >= maxSocketsPerAddress) {
      return this.#refuse(socket, 'address', '429 Too Many Requests');
    }
    this.#count(from, 1);
    socket.once('close', () => this.#count(from, -1));
    const port = request.socket.remotePort ?? 0;
    this.#server.handleUpgrade(request, socket, Buffer.from(head), (webSocket) => {
      const remoteAddr = multiaddr(`/ip${family}/${from}/tcp/${port}/ws`);
      take({ socket: webSocket, remoteAddr, direction: 'inbound' });
    });
  }

  #refuse(socket: Duplex, why: Turned, status: string): void {
    this.#turn(why);
    const end = () => socket.destroy();
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, end);
    // of one who does not read his answer
    const late = AbortSignal.timeout(refusal_ms);
    late.addEventListener('abort', end);
    socket.once('close', () => late.removeEventListener('abort', end));
  }

  #turn(why: Turned): void {
    this.#turned.set(why, (this.#turned.get(why) ?? 0) + 1);
  }

  #count(from: string, change: 1 | -1): void {
    this.#sockets += change;
    const open = (this.#open.get(from) ?? 0) + change;
    if (open === 0) this.#open.delete(from);
    else this.#open.set(from, open);
  }
}
