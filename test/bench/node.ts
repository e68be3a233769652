/**
 * An edge node whose process also does, when it is told to over HTTP on loopback, what a benchmark compares it with:
 * `node.ts --dir DIR`, other arguments are ignored. It says that it is ready as `inkmesh node --json` does.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { open, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, Socket } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { encode } from '../../mesh/codec.ts';
import { readConfig } from '../../src/config.ts';
import { files } from '../../src/datadir.ts';
import { startNode } from '../../src/node.ts';

/** how much of a document a front hands on at a time */
const pieceBytes = 64 * 1024;
/** how much a program that only copies has in hand */
const copyBytes = 1024 * 1024;

const dir = process.argv[process.argv.indexOf('--dir') + 1] ?? '';
const config = await readConfig({ file: files.config(dir) });
const meshPorts = new Set<number | undefined>([config.ports.mesh]);
let sentBytes = 0;
countMesh();

const node = await startNode(dir, config, (level, what, fields = {}) => {
  process.stderr.write(`${level} ${what} ${JSON.stringify(fields)}\n`);
});
const { acceptor } = node.mesh;
/** incompressible, and touched before any time is taken */
const noise = randomBytes(copyBytes);

/** Octets that this process hands to TCP on connections of the mesh: on its own port, or to one of `meshPorts`. */
function countMesh(): void {
  const { write } = Socket.prototype;
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>) {
    const [chunk] = args;
    const ours = meshPorts.has(this.localPort) || meshPorts.has(this.remotePort);
    if (ours && chunk instanceof Uint8Array) sentBytes += chunk.length;
    return write.apply(this, args);
  } as typeof write;
}

function* pieces(bytes: number, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += size) yield noise.subarray(0, Math.min(size, bytes - at));
}

async function* arriving(bytes: number): AsyncGenerator<Uint8Array> {
  yield* pieces(bytes, pieceBytes);
}

/** Has the mesh accept documents as the door of the fronts does, `abreast` at a time. */
async function store(owner: string, bytes: number, count: number, abreast: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => acceptor.newJobId());
  const ticket = encode({
    title: 'Quarterly figures of the north',
    format: 'application/pdf',
    options: { copies: 1 },
  });
  const left = [...ids];
  const worker = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      const { signal } = new AbortController();
      await acceptor.accept({ job: id, owner, submitter: null, ticket }, arriving(bytes), signal);
    }
  };
  await Promise.all(Array.from({ length: abreast }, worker));
  return ids;
}

/** Writes a file of so many octets, and waits until they are durable. */
async function writeDurably(parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
  const path = join(dir, 'envelopes', `${randomUUID()}.part`);
  const file = await open(path, 'wx');
  try {
    for await (const part of parts) await file.write(part);
    await file.sync();
  } finally {
    await file.close();
  }
  await rm(path);
}

const durable = 1;
/** Takes a document over TCP, written durably if its first octet says so; answers one octet. */
const copies = createTcpServer({ allowHalfOpen: true }, (socket) => {
  void (async () => {
    // the answer goes out by the socket that was read to its end
    const parts = socket.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Uint8Array>;
    const { value: first } = await parts.next() as { value: Uint8Array };
    const rest = (async function* () {
      yield first.subarray(1);
      yield* parts;
    })();
    if (first[0] === durable) await writeDurably(rest);
    else for await (const _part of rest);
    socket.end('1');
  })().catch((error: Error) => socket.destroy(error));
});

async function copy(bytes: number, port: number, isDurable: boolean): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const answered = once(socket, 'data');
  socket.write(new Uint8Array([isDurable ? durable : 0]));
  for (const part of pieces(bytes, copyBytes)) if (!socket.write(part)) await once(socket, 'drain');
  socket.end();
  await answered;
  socket.destroy();
}

interface Order {
  bytes: number;
  count: number;
  abreast: number;
  owner: string;
  /** ports of other nodes' `copies`, or of their meshes */
  to: number[];
  durable: boolean;
}

const orders: Record<string, (order: Order) => Promise<unknown>> = {
  store: ({ owner, bytes, count, abreast }) => store(owner, bytes, count, abreast),
  write: ({ bytes }) => writeDurably(pieces(bytes, copyBytes)),
  copy: ({ bytes, to, durable }) =>
    Promise.all([
      ...to.map((port) => copy(bytes, port, durable)),
      ...(durable ? [writeDurably(pieces(bytes, copyBytes))] : []),
    ]),
  collect: () => {
    const collect = (globalThis as { gc?: () => void }).gc;
    if (collect === undefined) throw new Error('start this process with --expose-gc');
    for (let i = 0; i < 3; i++) collect();
    const { heapUsed, external } = process.memoryUsage();
    return Promise.resolve(heapUsed + external);
  },
  known: () => Promise.resolve(node.mesh.ledger.all('job').length),
  sent: ({ to }) => {
    for (const port of to) meshPorts.add(port);
    return Promise.resolve(sentBytes);
  },
};

/** `POST /NAME` with an order in JSON: answered with what came of it, and the milliseconds that it took. */
const control = createHttpServer((request, response) => {
  void (async () => {
    let content = '';
    for await (const part of request.setEncoding('utf8')) content += String(part);
    const order = JSON.parse(content) as Order;
    const run = orders[request.url?.slice(1) ?? ''];
    if (run === undefined) throw new RangeError(`there is no order ${request.url}`);
    const start = performance.now();
    const result = await run(order);
    response.end(JSON.stringify({ took_ms: performance.now() - start, result: result ?? null }));
  })().catch((error: Error) => response.writeHead(500).end(error.stack));
});

for (const server of [copies, control]) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;
const ports = { ...node.run.ports, copies: portOf(copies), control: portOf(control) };
console.log(JSON.stringify({ ready: true, ...node.run, ports }));
process.on('SIGTERM', () => void node.stop().finally(() => process.exit(0)));
