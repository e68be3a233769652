/** The cloud's HTTP(S) server without a cloud: whoever asks for a WebSocket comes to a door of the mesh. */
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

/**
 * @param tls false: plain HTTP, as behind a reverse proxy
 * @param from the address that a client is taken to have, where it is not that of its connection
 */
export async function startDoor(
  { tls = true, port = 0, from }: { tls?: boolean; port?: number; from?: () => string } = {},
): Promise<DoorServer> {
  const box: { door?: SocketDoor } = {};
  const server = await listen({
    fetch: () => new Response('a page\n'),
    ...{ address: '127.0.0.1', port, what: 'the cloud' },
    ...(tls ? { tls: selfSigned() } : {}),
    upgrade: {
      path: socketPath,
      take: (request, socket, head) => {
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
