/** A RAW printer (AppSocket): reads each connection to its end, and remembers a digest. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface Sunk {
  bytes: number;
  sha256: string;
}

export interface Sink {
  /** socket: of 127.0.0.1 */
  uri: string;
  /** connections that came to their end, in order */
  documents: Sunk[];
  /** connections that were made */
  connections: number;
  stop(): Promise<void>;
}

/** @param resetAfter octets after which the connection is reset instead of read on */
export async function startSink(options: { resetAfter?: number } = {}): Promise<Sink> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    sink.connections += 1;
    open.add(socket);
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (options.resetAfter !== undefined && bytes > options.resetAfter) socket.resetAndDestroy();
    });
    socket.on('end', () => sink.documents.push({ bytes, sha256: hash.digest('hex') }));
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sink: Sink = {
    uri: `socket://127.0.0.1:${port}`,
    documents: [],
    connections: 0,
    stop: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return sink;
}
