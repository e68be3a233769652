/** The cloud's HTTP(S) server without a cloud: whoever asks for a WebSocket comes to a door of the mesh. */
import type { Duplex } from 'node:stream';
import { meshAddress, socketPath } from '../../mesh/address.ts';
import { SocketDoor } from '../../mesh/websocket.ts';
import { listen } from '../../src/listen.ts';
import { addressOf } from '../../src/tls-server.ts';
import { selfSigned } from './certificate.ts';

export interface DoorServer {
  readonly door: SocketDoor;
  readonly port: number;
  /** of the cloud, as edge nodes are told it */
  readonly url: string;
  stop(): Promise<void>;
}

interface DoorOptions {
  tls?: boolean;
  port?: number;
  from?: () => string;
  seen?: (socket: Duplex) => void;
}

/**
 * A page is never answered at `/never`.
 * @param tls false: plain HTTP, as behind a reverse proxy
 * @param seen told of the sockets that come to the door
 * @param from the address that a client is taken to have, where it is not that of its connection
 */
export async function startDoor(
  { tls = true, port = 0, from, seen }: DoorOptions = {},
): Promise<DoorServer> {
  const box: { door?: SocketDoor } = {};
  const server = await listen({
    fetch: ({ url }) =>
      new URL(url).pathname === '/never' ? new Promise<Response>(() => {}) : new Response('a page\n'),
    ...{ address: '127.0.0.1', port, what: 'the cloud' },
    ...(tls ? { tls: selfSigned() } : {}),
    upgrade: {
      path: socketPath,
      take: (request, socket, head) => {
        seen?.(socket);
        box.door?.upgrade(request, socket, head, from?.() ?? addressOf({ incoming: request }));
      },
    },
  });
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${server.port}`;
  box.door = new SocketDoor([meshAddress(url)]);
  return {
    ...{ door: box.door, port: server.port, url },
    stop: async () => {
      const closed = server.close();
      server.kill();
      await closed;
    },
  };
}
