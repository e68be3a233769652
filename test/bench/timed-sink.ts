/** A RAW printer that notes when the octets of a document come. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface Arrival {
  /** performance.now() of the first octet, and of the last */
  first_ms: number;
  last_ms: number;
}

export interface TimedSink {
  /** socket: */
  readonly uri: string;
  /** The next document, of so many octets. */
  next(bytes: number): Promise<Arrival>;
  stop(): Promise<void>;
}

export async function startTimedSink(): Promise<TimedSink> {
  const open = new Set<Socket>();
  let expected = { bytes: 0, arrived: (_: Arrival) => {} };
  const server = createServer((socket) => {
    open.add(socket);
    let bytes = 0;
    let first_ms = 0;
    socket.on('data', (part) => {
      if (bytes === 0) first_ms = performance.now();
      bytes += part.length;
      if (bytes === expected.bytes) expected.arrived({ first_ms, last_ms: performance.now() });
    });
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    uri: `socket://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: (bytes) => new Promise((arrived) => expected = { bytes, arrived }),
    stop: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
