/**
 * A process of the relay's benchmark: the cloud node, or many edge nodes that do what the cloud sees of one: dial, say
 * hello, answer heartbeats, have themselves reached through it. One JSON request a line, one answer a line.
 */
import process from 'node:process';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { readTrust, verifyIdentity } from '../../mesh/certificate.ts';
import { importKeyPair } from '../../mesh/authority.ts';
import { createTransport, type Mesh, openMesh, policyOf, siteKind } from '../../mesh/mod.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import type { Link, Transport } from '../../mesh/ports.ts';
import { type Method, Rpc } from '../../mesh/rpc.ts';
import { systemClock } from '../../src/clock.ts';
import { openSpool } from '../../src/spool.ts';
import { State } from '../../src/state.ts';
import { storageLimits } from '../../src/limits.ts';
import { startDoor } from '../fakes/door.ts';
import { tempDir } from '../fakes/processes.ts';

/** base64, and PEM */
export interface NodeMaterial {
  hostKey: string;
  leaf: string;
  issuers: string[];
  key: string;
  sealKey: string;
}

export type Order =
  /** @returns {address, peer} */
  | { do: 'cloud'; node: NodeMaterial; root: string; sites: string[] }
  /** @returns a `Measure` */
  | { do: 'measure' }
  /** connects edge nodes, so many at a time; the first `listening` of them can be dialled directly */
  | { do: 'edges'; nodes: NodeMaterial[]; cloud: { address: string; peer: string }; listening: number }
  /** @returns [{peer, direct}] of those that listen */
  | { do: 'peers' }
  /** sends octets from an edge node each to one of these, at once. @returns milliseconds */
  | { do: 'send'; to: { peer: string; address: string }[]; bytes: number };

/** of the cloud's process: memory in octets, after garbage is collected */
export interface Measure {
  members: number;
  reservations: number;
  rss: number;
  heapUsed: number;
  cpu_ms: number;
}

const atOnce = 16;
const sink = '/bench/sink/1';
const piece = new Uint8Array(64 * 1024);
const edges: { transport: Transport; links: Map<string, Link> }[] = [];
let mesh: Mesh | undefined;

const method = (name: string): Method<v.UnknownSchema, v.UnknownSchema> => ({
  ...{ name, request: v.unknown(), reply: v.unknown(), admission: 'anyone' },
});
const octets = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
const soon = () => AbortSignal.timeout(60_000);

async function cloud({ node, root, sites }: Extract<Order, { do: 'cloud' }>) {
  // one address may not have so many
  let clients = 0;
  const { door } = await startDoor({ from: () => `10.0.${clients++ % 16}.1` });
  const [trust, { privateKey }] = [await readTrust(octets(root)), await importKeyPair(node.key)];
  const issuers = node.issuers.map(octets);
  const identity = await verifyIdentity(trust, octets(node.leaf), issuers, Date.now());
  if (identity.kind !== 'node') throw new TypeError('no node');
  const dir = tempDir();
  mesh = await openMesh({
    ...{ identity, issuers, key: privateKey, sealKey: node.sealKey, trust, peers: [], kinds: [] },
    transport: await createTransport({
      ...{
        key: octets(node.hostKey),
        listen: [],
        organisation: trust.fingerprint,
        mdns: false,
        relay: true,
        door,
      },
      clock: systemClock,
    }),
    ...{ storage: new State(dir), spool: await openSpool(dir, storageLimits), clock: systemClock },
    ...{ log: () => {}, authority: undefined },
    keeper: { certificates: () => Promise.resolve(), authority: () => Promise.resolve() },
    askLapsed: () => Promise.reject(new Error('a benchmark has no registrar')),
  });
  for (const site of sites) {
    const body = { ...policyOf(mesh.ledger, site), relay: true };
    await mesh.ledger.state(siteKind, () => directoryDoc, site, body);
  }
  return { address: mesh.addresses()[0], peer: identity.peerId };
}

async function edge(node: NodeMaterial, to: { address: string; peer: string }, listens: boolean) {
  const transport = await createTransport({
    ...{
      key: octets(node.hostKey),
      organisation: '0'.repeat(64),
      mdns: false,
      relay: false,
      clock: systemClock,
    },
    listen: listens ? ['/ip4/127.0.0.1/tcp/0'] : [],
  });
  const all = () => true;
  transport.relayBy({
    ...{ isMember: all, mayReserve: all, mayPass: all, trusts: all, carried: () => {} },
    registrars: () => [],
  });
  const rpc = new Rpc(transport, systemClock, () => {});
  await rpc.handle(method('beat'), () => Promise.resolve({ reply: { time_ms: Date.now() } }));
  await rpc.handle(method('digests'), () => Promise.resolve({ reply: { docs: [] } }));
  await rpc.handle(method('announce'), () => Promise.resolve({ reply: {} }));
  await transport.handle(sink, 4, async (channel) => {
    while (await channel.read(piece.length, 60_000).catch(() => undefined) !== undefined);
    await channel.write(new Uint8Array(1)).then(() => channel.end()).catch(() => {});
  });
  await transport.start();
  for (let tries = 1;; tries++) {
    try {
      const link = await transport.dial(to.peer, [to.address], soon());
      const hello = {
        leaf: octets(node.leaf),
        issuers: node.issuers.map(octets),
        time_ms: Date.now(),
        addresses: [],
      };
      await rpc.call(to.peer, method('hello'), hello, { link });
      await transport.reserveAt(link);
      break;
    } catch (error) {
      if (tries === 60) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 250 * tries));
    }
  }
  edges.push({ transport, links: new Map() });
}

async function send({ to, bytes }: Extract<Order, { do: 'send' }>): Promise<number> {
  const channels = await Promise.all(to.map(async ({ peer, address }, i) => {
    const { transport, links } = edges[i]!;
    const link = links.get(address) ?? await transport.dial(peer, [address], soon());
    links.set(address, link);
    return await transport.open(link, sink, soon());
  }));
  const start = performance.now();
  await Promise.all(channels.map(async (channel) => {
    for (let sent = 0; sent < bytes; sent += piece.length) await channel.write(piece);
    await channel.end();
    await channel.read(1, 60_000);
  }));
  const took_ms = performance.now() - start;
  // a link to the same peer would be used again, whichever way it goes
  for (const { links } of edges) for (const link of links.values()) link.close();
  for (const { links } of edges) links.clear();
  return took_ms;
}

function measure(): Measure {
  (globalThis as { gc?: () => void }).gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    ...{ members: mesh?.members().length ?? 0, reservations: mesh?.relayed().reservations ?? 0 },
    ...{ rss, heapUsed, cpu_ms: process.cpuUsage().user / 1000 },
  };
}

async function answer(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'cloud':
      return await cloud(order);
    case 'measure':
      return measure();
    case 'edges': {
      const waiting = order.nodes.map((node, i) => ({ node, listens: i < order.listening }));
      const worker = async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) {
          await edge(next.node, order.cloud, next.listens);
        }
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      return null;
    }
    case 'peers':
      return edges.flatMap(({ transport }) => {
        const direct = transport.addresses().find((address) => !address.includes('p2p-circuit'));
        return direct === undefined ? [] : [{ peer: transport.peer, direct }];
      });
    case 'send':
      return await send(order);
  }
}

createInterface({ input: process.stdin }).on('line', (text) => {
  answer(JSON.parse(text) as Order).then(
    (ok) => process.stdout.write(`${JSON.stringify({ ok })}\n`),
    (error: Error) => process.stdout.write(`${JSON.stringify({ error: error.stack })}\n`),
  );
}).on('close', () => process.exit(0));
