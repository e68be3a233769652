/** A libp2p peer that speaks the protocols of inkmesh by hand, with whatever certificate a test gives it, or none. */
import { randomBytes } from 'node:crypto';
import { noise } from '@chainsafe/libp2p-noise';
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import type { Connection, Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import * as v from 'valibot';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { decodeVector, encodeVector } from '../../mesh/fact-protocol.ts';
import { directoryDoc, idOf, signFact } from '../../mesh/facts.ts';
import { Frames } from '../../mesh/frames.ts';
import { generateHostKey } from '../../mesh/mod.ts';
import type { Link, Transport } from '../../mesh/ports.ts';
import { type Body, type Method, Rpc } from '../../mesh/rpc.ts';
import { clientOf, encodeRun, newArrayName } from '../../mesh/update.ts';
import { systemClock } from '../../src/clock.ts';
import type { FakeNode, NodeKeys } from './mesh.ts';
import { waitFor } from './processes.ts';

const anyMaxBytes = 17 * 1024 * 1024;

/** A method of which nothing is known but its name. */
export const anyMethod = (name: string): Method<v.UnknownSchema, v.UnknownSchema> => ({
  name,
  request: v.unknown(),
  reply: v.unknown(),
  admission: 'anyone',
  maxBytes: anyMaxBytes,
});

export interface Rogue {
  readonly peer: string;
  readonly host: Libp2p;
  /** its own methods, for nodes that call it */
  readonly rpc: Rpc;
  /** multiaddr with its PeerId; undefined if it does not listen */
  readonly address: string | undefined;
  connect(node: FakeNode): Promise<Connection>;
  call(node: FakeNode, method: string, request: unknown, body?: Body): Promise<unknown>;
  /** Says hello with a node's certificate. */
  hello(node: FakeNode, keys: Pick<NodeKeys, 'identity' | 'issuers'>, time_ms?: number): Promise<unknown>;
  /** The names of all protocols that a node offers, as multistream-select lists them. */
  protocols(node: FakeNode): Promise<string[]>;
  /** Asks for a protocol and sends `octets` without waiting; all that the node sends back until it ends the stream. */
  send(node: Pick<FakeNode, 'address'>, protocol: string, octets: Uint8Array): Promise<Buffer>;
  /** A stream on which nothing is framed and nothing is read. */
  stream(node: FakeNode, protocol: string): Promise<Stream>;
  stop(): Promise<void>;
}

/** A rogue with this host key, or a fresh one; it listens if it is told to, `at` a multiaddr or anywhere. It admits whoever calls its methods. */
export async function startRogue(
  options: { hostKey?: Uint8Array; listen?: boolean; at?: string } = {},
): Promise<Rogue> {
  const hostKey = options.hostKey ?? (await generateHostKey()).hostKey;
  const listen = options.listen === true || options.at ? [options.at ?? '/ip4/127.0.0.1/tcp/0'] : [];
  const host = await createLibp2p({
    privateKey: privateKeyFromProtobuf(hostKey),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
  });
  const { transport, linkOf } = bareTransport(host);
  const rpc = new Rpc(transport, systemClock, () => {});
  rpc.admitBy(() => Promise.resolve());
  const connect = (node: Pick<FakeNode, 'address'>) => host.dial(multiaddr(node.address));
  const call = async (node: FakeNode, method: string, request: unknown, body?: Body) => {
    const connection = await connect(node);
    const link = linkOf(connection);
    const how = body === undefined ? { link } : { link, body };
    return (await rpc.call(node.peer, anyMethod(method), request, how)).reply;
  };
  return {
    peer: host.peerId.toString(),
    host,
    rpc,
    address: host.getMultiaddrs()[0]?.toString(),
    connect,
    call,
    hello: (node, { identity, issuers }, time_ms = Date.now()) =>
      call(node, 'hello', { leaf: identity.der, issuers, time_ms, addresses: [] }),
    protocols: async (node) => await listProtocols(await connect(node)),
    send: async (node, protocol, octets) => await sendRaw(await connect(node), protocol, octets),
    stream: async (node, protocol) => await (await connect(node)).newStream(protocol),
    stop: async () => await host.stop(),
  };
}

/** Of a transport what calls and methods need, and nothing that protects who uses it. */
function bareTransport(host: Libp2p): { transport: Transport; linkOf(connection: Connection): Link } {
  const links = new Map<Link, Connection>();
  const linkOf = (connection: Connection): Link => {
    for (const [link, other] of links) if (other === connection) return link;
    const link: Link = {
      peer: connection.remotePeer.toString(),
      direction: connection.direction,
      remote: connection.remoteAddr.toString(),
      relay: null,
      limited: false,
      opened_ms: systemClock.monotonic_ms(),
      channels: 0,
      close: () => connection.abort(new Error('closed')),
    };
    links.set(link, connection);
    return link;
  };
  const transport: Pick<Transport, 'open' | 'handle'> = {
    open: async (link, protocol, signal) => {
      try {
        return new Frames(await links.get(link)!.newStream(protocol, { signal }), systemClock);
      } catch (cause) {
        throw new InkmeshError('unavailable', 'the stream was refused', {}, { cause });
      }
    },
    handle: async (protocol, maxInboundStreams, serve) => {
      await host.handle(protocol, (stream, connection) => {
        serve(new Frames(stream, systemClock), linkOf(connection));
      }, { maxInboundStreams });
    },
  };
  return { transport: transport as Transport, linkOf };
}

/** A member that its test can make do anything. */
export interface Insider extends Rogue {
  /** Has a node ask for news, and answers with these updates, whatever they are. Resolves when they are sent. */
  feed(node: FakeNode, doc: string, updates: readonly Uint8Array[]): Promise<void>;
  /** Has a node ask for records in a fresh array of the insider's. */
  put(node: FakeNode, doc: string, records: readonly Uint8Array[]): Promise<void>;
  /** Resolves when each of the nodes has noticed that somebody breaks rules, the insider unless told otherwise. */
  named(nodes: readonly FakeNode[], peer?: string): Promise<void>;
}

/** An insider that has said hello to all `nodes` with a certificate of theirs, which they know. */
export async function startInsider(keys: NodeKeys, nodes: readonly FakeNode[]): Promise<Insider> {
  const rogue = await startRogue({ hostKey: keys.hostKey });
  // a member is expected to answer
  const beat = () => Promise.resolve({ reply: { time_ms: Date.now() } });
  await rogue.rpc.handle(anyMethod('beat'), beat);
  await rogue.rpc.handle(anyMethod('announce'), () => Promise.resolve({ reply: {} }));
  const insider = await feeding(rogue, await nodeRecord(keys));
  for (const node of nodes) await rogue.hello(node, keys);
  const known = () => nodes.every(({ mesh }) => mesh.ledger.identity(rogue.peer)) || undefined;
  await waitFor(known, { deadline_ms: 15_000, what: 'the nodes to know the certificate of the insider' });
  return insider;
}

/** Answers whoever compares facts that there is one, who it is; whoever asks for news gets what is fed. */
async function feeding(rogue: Rogue, record: Uint8Array): Promise<Insider> {
  const arrayOf = (records: readonly Uint8Array[]) => {
    const name = newArrayName(rogue.peer);
    return encodeRun({ client: clientOf(name), name, clock: 0, records: [...records] });
  };
  const docs = [[directoryDoc, 1, idOf(record)]];
  const introduction = arrayOf([record]);
  const fed = new Map<number, { updates: readonly Uint8Array[]; sent(): void }>();
  await rogue.rpc.handle(anyMethod('digests'), () => Promise.resolve({ reply: { docs } }));
  await rogue.rpc.handle(anyMethod('pull'), ({ request }) => {
    const [doc, vector, all] = request as [string, Uint8Array, boolean];
    const updates: Uint8Array[] = all && doc === directoryDoc ? [introduction] : [];
    for (const client of decodeVector(vector).keys()) {
      updates.push(...fed.get(client)?.updates ?? []);
      fed.get(client)?.sent();
    }
    return Promise.resolve({ reply: [updates, encodeVector(new Map())] });
  });
  const feed = async (node: FakeNode, doc: string, updates: readonly Uint8Array[]) => {
    const client = randomBytes(6).readUIntBE(0, 6);
    const sent = new Promise<void>((resolve) => fed.set(client, { updates, sent: resolve }));
    const vector = encodeVector(new Map([[client, 1]]));
    await rogue.call(node, 'announce', [doc, vector, new Uint8Array(0)]);
    await sent;
  };
  return {
    ...rogue,
    feed,
    put: (node, doc, records) => feed(node, doc, [arrayOf(records)]),
    named: async (nodes, peer = rogue.peer) => {
      const all = () => nodes.every(({ mesh }) => mesh.ledger.suspects().some((one) => one.peer === peer));
      await waitFor(() => all() || undefined, { deadline_ms: 15_000, what: 'a rogue to be named' });
    },
  };
}

/** A node's fact about itself, signed now. */
export async function nodeRecord({ identity, issuers, key }: NodeKeys): Promise<Uint8Array> {
  const { peerId: author, der: leaf } = identity;
  const [time_ms, seal] = [Date.now(), 'age1'];
  const body = { leaf, issuers, seal };
  return await signFact(key, {
    ...{ doc: directoryDoc, author, seq: time_ms, kind: 'node', subject: author, time_ms, body },
  });
}

/** Runs `body` with a rogue, which then stops. */
export async function withRogue(rogue: Rogue, body: (rogue: Rogue) => Promise<void>): Promise<void> {
  try {
    await body(rogue);
  } finally {
    await rogue.stop();
  }
}

/** `CODE: MESSAGE` with which a call was refused, `answered` if it was not. */
export async function answerTo(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'answered';
  } catch (thrown) {
    const { code, message } = asInkmeshError(thrown);
    return `${code}: ${message}`;
  }
}

interface RawConnection {
  muxer: { createStream(options: object): Promise<Stream> };
}

const multistream = '/multistream/1.0.0';
const line = (text: string) => Buffer.concat([Buffer.of(text.length + 1), Buffer.from(`${text}\n`)]);

/** A stream on which no protocol has been agreed yet, and what has arrived on it. */
async function rawStream(connection: Connection): Promise<{ stream: Stream; received: () => Buffer }> {
  const stream = await (connection as unknown as RawConnection).muxer.createStream({});
  const parts: Uint8Array[] = [];
  stream.addEventListener('message', (event) => void parts.push(event.data.slice()));
  return { stream, received: () => Buffer.concat(parts) };
}

/** The `ls` of multistream-select 1.0: what a peer would serve, were it asked. */
async function listProtocols(connection: Connection): Promise<string[]> {
  const { stream, received } = await rawStream(connection);
  stream.send(Buffer.concat([line(multistream), line('ls')]));
  // the list ends with an empty line
  const list = await waitFor(() => {
    const text = received().toString('latin1');
    return text.endsWith('\n\n') ? text : undefined;
  }, { deadline_ms: 5000, what: 'the list of protocols' });
  stream.abort(new Error('done'));
  return [...list.matchAll(/(\/[\x21-\x7e]+)\n/g)].map(([, name = '']) => name).filter((name) =>
    name !== multistream
  );
}

async function sendRaw(connection: Connection, protocol: string, octets: Uint8Array): Promise<Buffer> {
  const { stream, received } = await rawStream(connection);
  stream.send(Buffer.concat([line(multistream), line(protocol), octets]));
  const ended = () => stream.status !== 'open' || stream.remoteWriteStatus !== 'writable';
  await waitFor(() => ended() || undefined, { deadline_ms: 15_000, what: `the node to end ${protocol}` });
  stream.abort(new Error('done'));
  const echo = line(multistream).length + line(protocol).length;
  return received().subarray(echo);
}
