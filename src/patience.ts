/**
 * What the clients of an HTTP server may cost: nobody keeps a connection by saying nothing, nobody has more requests
 * begun than are answered, and where there are too many connections the one that has rested longest makes room.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ListenLimits } from './limits.ts';

/** Takes over a connection on which a client asks for another protocol (RFC 9110 section 7.8), or refuses it. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Uint8Array) => void;

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
        if (this.#leaves(request.socket)) upgrade(request, socket, head);
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
      if (client.open.size === 0 && !request.socket.destroyed) this.#await(client);
    });
    return true;
  }
}

function drop(client: Client, end: () => void): void {
  client.dropped = true;
  end();
}
