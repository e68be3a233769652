/** A cloud node's ports: one for the world, with the mesh at `/mesh`, and one for this machine's own commands. */
import type { SocketDoor } from '../mesh/mod.ts';
import { socketPath } from '../mesh/mod.ts';
import { listen, type Listening, type ListenOptions, type TlsKeys } from '../src/listen.ts';
import type { Bounds } from './bounds.ts';
import { behindProxy, type ClientAddress } from './proxy.ts';

export interface Served {
  fetch: ListenOptions['fetch'];
  door: Pick<SocketDoor, 'upgrade'>;
  /** where a request comes from */
  address: ClientAddress;
  bounds: Bounds;
  /** of the organisation */
  own: TlsKeys;
  /** of the public port; undefined: plain HTTP */
  tls: TlsKeys | undefined;
}

export interface Ports {
  public: Listening;
  own: Listening;
}

const loopback = '127.0.0.1';

/** @throws InkmeshError `unavailable` when the port is taken */
export async function openPorts(
  place: { address: string; port: number },
  { fetch, door, address, bounds, own, tls }: Served,
): Promise<Ports> {
  const common: Pick<ListenOptions, 'fetch' | 'what'> = {
    fetch: bounds.around((request, env) => fetch(request, behindProxy(env, address) as typeof env)),
    what: 'the cloud node',
  };
  return {
    public: await listen({
      ...{ ...common, ...place, ...(tls === undefined ? {} : { tls }) },
      upgrade: {
        path: socketPath,
        // an error that is thrown here would end the node
        take: (request, socket, head) => {
          try {
            door.upgrade(request, socket, head, address(request));
          } catch {
            socket.destroy();
          }
        },
      },
    }),
    // this machine's own commands, whatever the other one's certificate is
    own: await listen({ ...common, address: loopback, port: 0, tls: own }),
  };
}

/** Ends what is left at once. */
export function closePorts(ports: Ports): void {
  for (const server of [ports.public, ports.own]) {
    void server.close();
    server.kill();
  }
}
