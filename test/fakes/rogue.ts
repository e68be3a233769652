/** A libp2p peer that speaks the protocols of inkmesh by hand, with whatever certificate a test gives it, or none. */
import type { Connection, Stream } from '@libp2p/interface';
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';
import type { Libp2p } from 'libp2p';
import * as v from 'valibot';
import { asInkmeshError } from '../../mesh/errors.ts';
import { createHost } from '../../mesh/host.ts';
import { generateHostKey } from '../../mesh/mod.ts';
import { type Body, type Method, Rpc } from '../../mesh/rpc.ts';
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
  send(node: FakeNode, protocol: string, octets: Uint8Array): Promise<Buffer>;
  /** A stream on which nothing is framed and nothing is read. */
  stream(node: FakeNode, protocol: string): Promise<Stream>;
  stop(): Promise<void>;
}

/** A rogue with this host key, or a fresh one. It admits whoever calls its methods. */
export async function startRogue(options: { hostKey?: Uint8Array; listen?: boolean } = {}): Promise<Rogue> {
  const hostKey = options.hostKey ?? (await generateHostKey()).hostKey;
  const listen = options.listen === true ? ['/ip4/127.0.0.1/tcp/0'] : [];
  const host = await createHost({
    key: privateKeyFromProtobuf(hostKey),
    listen,
    organisation: '0'.repeat(64),
    mdns: false,
  });
  await host.start();
  const rpc = new Rpc(host, () => {});
  rpc.admitBy(() => Promise.resolve());
  const connect = (node: FakeNode) => host.dial(multiaddr(node.address));
  const call = async (node: FakeNode, method: string, request: unknown, body?: Body) => {
    const connection = await connect(node);
    const how = body === undefined ? { connection } : { connection, body };
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
      call(node, 'hello', { leaf: identity.der, issuers, time_ms, addresses: [], peers: [] }),
    protocols: async (node) => await listProtocols(await connect(node)),
    send: async (node, protocol, octets) => await sendRaw(await connect(node), protocol, octets),
    stream: async (node, protocol) => await (await connect(node)).newStream(protocol),
    stop: async () => await host.stop(),
  };
}

/** A member that its test can make do anything: it has said hello to all `nodes` with a certificate of theirs. */
export async function startInsider(keys: NodeKeys, nodes: readonly FakeNode[]): Promise<Rogue> {
  const rogue = await startRogue({ hostKey: keys.hostKey });
  // a member is expected to answer
  for (const name of ['sync', 'push']) {
    await rogue.rpc.handle(anyMethod(name), () => Promise.reject(new Error('not here')));
  }
  for (const node of nodes) await rogue.hello(node, keys);
  return rogue;
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
