/**
 * What the clients of an HTTP server may cost: nobody keeps a connection by saying nothing, nobody has more requests
 * begun than are answered, and where there are too many connections the one that has rested longest makes room.
 */
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ListenLimits } from './limits.ts';

/** For clients that ask for WebSockets (RFC 6455 section 4.2.1) where there are any; other requests stay HTTP's. */
export interface Upgrade {
  path: string;
  /** takes over the connection, or refuses it */
  take(request: IncomingMessage, socket: Duplex, head: Uint8Array): void;
}

/** For an HTTP server: which requests to upgrade (RFC 9110 section 7.8), where all others may be ignored. */
export const upgradeOptions = (
  upgrade: Upgrade | undefined,
): Pick<ServerOptions, 'shouldUpgradeCallback'> => ({
  shouldUpgradeCallback: ({ url = '', headers }) =>
    upgrade !== undefined && headers.upgrade?.toLowerCase() === 'websocket' &&
    url.split('?', 1)[0] === upgrade.path,
});

interface Client {
  readonly drop: () => void;
  /** requests that are not answered yet */
  readonly open: Map<IncomingMessage, ServerResponse>;
  timer: ReturnType<typeof setTimeout> | undefined;
  dropped: boolean;
}

export class Patience {
  readonly #clients = new WeakMap<object, Client>();
  /** those that wait for a request, the one that has waited longest first */
  readonly #resting = new Set<Client>();
  readonly #limits: ListenLimits;
  #count = 0;

  /**
   * @param listener gets the requests of the server
   * @param upgrade gets what is no HTTP any more, whose time it keeps from then on
   */
  constructor(
    server: Server,
    { listener, upgrade }: { listener: RequestListener; upgrade: Upgrade | undefined },
    limits: ListenLimits,
  ) {
    this.#limits = limits;
    if (upgrade !== undefined) {
      server.on('upgrade', (request, socket, head) => {
        const client = this.#clients.get(request.socket);
        const isAnswered = ({ writableEnded }: ServerResponse) => writableEnded;
        // an answer that is still to be given has no place in another protocol
        if (client !== undefined && ![...client.open.values()].every(isAnswered)) client.drop();
        else if (this.#leaves(request.socket)) upgrade.take(request, socket, head);
      });
    }
    server.on('request', (request, response) => {
      if (this.#admits(request, response)) listener(request, response);
    });
  }

  /**
   * @param connection as requests name it
   * @param end ends it
   */
  watch(connection: Duplex, end: () => void): void {
    const client: Client = {
      drop: () => drop(client, end),
      open: new Map(),
      timer: undefined,
      dropped: false,
    };
    this.#clients.set(connection, client);
    this.#count++;
    connection.once('close', () => {
      this.#leaves(connection);
      client.dropped = true;
    });
    if (this.#count > this.#limits.maxConnections) {
      const [oldest = client] = this.#resting;
      this.#resting.delete(oldest);
      oldest.drop();
    }
    this.#await(client);
  }

  /** To be told when nothing has moved on a connection for `idle_ms`. Waiting for our own answer is no idleness. */
  idle(connection: object): void {
    const client = this.#clients.get(connection);
    if (client === undefined) return;
    const open = [...client.open];
    const ours = open.every(([request, response]) => request.complete && response.writableLength === 0);
    if (open.length === 0 || !ours) client.drop();
  }

  /** A connection is none of HTTP's any more. False for one that has been dropped. */
  #leaves(connection: object): boolean {
    const client = this.#clients.get(connection);
    if (client === undefined) return false;
    clearTimeout(client.timer);
    this.#clients.delete(connection);
    this.#resting.delete(client);
    this.#count--;
    return !client.dropped;
  }

  #await(client: Client): void {
    if (client.dropped) return;
    clearTimeout(client.timer);
    client.timer = setTimeout(client.drop, this.#limits.headers_ms);
    this.#resting.add(client);
  }

  /** False for a request that is not looked at: what a dropped connection had sent is still parsed to its end. */
  #admits(request: IncomingMessage, response: ServerResponse): boolean {
    const client = this.#clients.get(request.socket);
    if (client === undefined) return true;
    if (client.open.size >= this.#limits.maxOpenRequests) client.drop();
    if (client.dropped) return false;
    clearTimeout(client.timer);
    this.#resting.delete(client);
    client.open.set(request, response);
    response.once('close', () => {
      client.open.delete(request);
      if (this.#clients.get(request.socket) !== client) return;
      if (client.open.size === 0 && !request.socket.destroyed) this.#await(client);
    });
    return true;
  }
}

function drop(client: Client, end: () => void): void {
  client.dropped = true;
  end();
}
