/** A RAW printer (AppSocket): reads each connection to its end, and remembers a digest. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface Sunk {
  bytes: number;
  sha256: string;
}

export interface Sink {
  /** socket: */
  uri: string;
  /** connections that came to their end, in order */
  documents: Sunk[];
  /** connections that were made */
  connections: number;
  /** octets that were read, of all connections */
  received: number;
  /** Ends the stall of `stallAfter`, of these connections and all later ones until `stall`. */
  go(): void;
  stall(): void;
  stop(): Promise<void>;
}

export interface SinkOptions {
  /** octets after which the connection is reset instead of read on; negative: ended at once, as a busy port does */
  resetAfter?: number;
  /** octets after which a connection is not read any more, until `go`; 0 reads nothing */
  stallAfter?: number;
  /** any free one unless told */
  port?: number;
  /** 127.0.0.1 unless told */
  address?: string;
}

export async function startSink(options: SinkOptions = {}): Promise<Sink> {
  const open = new Set<Socket>();
  let stallAfter = options.stallAfter ?? Infinity;
  const server = createServer((socket) => {
    sink.connections += 1;
    open.add(socket);
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      sink.received += chunk.length;
      if (bytes >= stallAfter) socket.pause();
      if (options.resetAfter !== undefined && bytes > options.resetAfter) socket.resetAndDestroy();
    });
    socket.on('end', () => sink.documents.push({ bytes, sha256: hash.digest('hex') }));
    if (stallAfter === 0) socket.pause();
    if ((options.resetAfter ?? 0) < 0) socket.end();
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
  });
  const address = options.address ?? '127.0.0.1';
  server.listen(options.port ?? 0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sink: Sink = {
    uri: `socket://${address}:${port}`,
    documents: [],
    connections: 0,
    received: 0,
    go: () => {
      stallAfter = Infinity;
      for (const socket of open) socket.resume();
    },
    stall: () => {
      stallAfter = options.stallAfter ?? Infinity;
    },
    stop: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return sink;
}
