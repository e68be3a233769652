/** How long the clients of an HTTP server may take: nobody keeps a connection by saying nothing. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ListenLimits } from './limits.ts';

interface Client {
  readonly drop: () => void;
  /** requests that are not answered yet */
  readonly open: Map<IncomingMessage, ServerResponse>;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Patience {
  readonly #clients = new WeakMap<object, Client>();
  readonly #limits: ListenLimits;

  constructor(server: Server, limits: ListenLimits) {
    this.#limits = limits;
    server.on('request', (request, response) => this.#asked(request, response));
  }

  /**
   * @param connection as requests name it
   * @param drop ends it
   */
  watch(connection: Duplex, drop: () => void): void {
    const client: Client = { drop, open: new Map(), timer: undefined };
    this.#clients.set(connection, client);
    this.#await(client);
    connection.once('close', () => clearTimeout(client.timer));
  }

  /** To be told when nothing has moved on a connection for `idle_ms`. Waiting for our own answer is no idleness. */
  idle(connection: object): void {
    const client = this.#clients.get(connection);
    if (client === undefined) return;
    const open = [...client.open];
    const ours = open.every(([request, response]) => request.complete && response.writableLength === 0);
    if (open.length === 0 || !ours) client.drop();
  }

  #await(client: Client): void {
    clearTimeout(client.timer);
    client.timer = setTimeout(client.drop, this.#limits.headers_ms);
  }

  #asked(request: IncomingMessage, response: ServerResponse): void {
    const client = this.#clients.get(request.socket);
    if (client === undefined) return;
    clearTimeout(client.timer);
    client.open.set(request, response);
    response.once('close', () => {
      client.open.delete(request);
      if (client.open.size === 0 && !request.socket.destroyed) this.#await(client);
    });
  }
}
