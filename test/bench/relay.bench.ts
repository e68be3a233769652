/**
 * One cloud node with 2,000 edge nodes on WebSockets: what a connection costs it, and how long all of them take to come
 * back after it was away; then octets through 1, 8 and 32 circuits at once beside direct connections of the same
 * processes. The cloud and the edge nodes run in processes of their own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { exportKey } from '../../mesh/authority.ts';
import { certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import type { Measure, NodeMaterial, Order } from './relay-child.ts';
import type { Row, Table } from './run.ts';

const edges = 2000;
const processes = 4;
const circuits = [1, 8, 32];
const totalBytes = 256 * 1024 * 1024;
const rounds = 3;

class Child {
  readonly #process: ChildProcess;
  readonly #waiting: ((line: string) => void)[] = [];

  constructor() {
    const file = fileURLToPath(new URL('./relay-child.ts', import.meta.url));
    const flags = process.versions['deno'] === undefined
      ? ['--expose-gc']
      : ['run', '--allow-all', '--v8-flags=--expose-gc'];
    this.#process = spawn(process.execPath, [...flags, file], { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#waiting.shift()?.(line));
  }

  async order<T>(order: Order): Promise<T> {
    const answered = new Promise<string>((resolve) => void this.#waiting.push(resolve));
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
    const { ok, error } = JSON.parse(await answered) as { ok: T; error?: string };
    if (error !== undefined) throw new Error(error);
    return ok;
  }

  stop(): void {
    this.#process.kill('SIGKILL');
  }
}

type Authority = Awaited<ReturnType<typeof fakeAuthority>>;

async function material(authority: Authority, name: string, roles: ('registrar' | 'relay')[] = []) {
  const { hostKey, identity, issuers, key, sealKey } = await certifiedNode(authority, {
    ...{ name, site: name.slice(0, 1), roles },
  });
  const text = (octets: Uint8Array) => Buffer.from(octets).toString('base64');
  return {
    ...{ hostKey: text(hostKey), leaf: text(identity.der), issuers: issuers.map(text) },
    ...{ key: await exportKey(key), sealKey },
  } satisfies NodeMaterial;
}

export async function bench(): Promise<Table[]> {
  const authority = await fakeAuthority('Benchmarks', Date.now());
  const nodes = await Promise.all(
    Array.from({ length: edges }, (_, i) => material(authority, `${i % 2 === 0 ? 'a' : 'b'}${i}`)),
  );
  const children = Array.from({ length: processes }, () => new Child());
  const cloud = new Child();
  try {
    const at = await cloud.order<{ address: string; peer: string }>({
      ...{ do: 'cloud', node: await material(authority, 'cloud', ['registrar', 'relay']), sites: ['a', 'b'] },
      root: Buffer.from(authority.trust.root).toString('base64'),
    });
    const measure = () => cloud.order<Measure>({ do: 'measure' });
    const before = await measure();
    const start_ms = performance.now();
    await Promise.all(children.map((child, i) =>
      child.order({
        ...{ do: 'edges', nodes: nodes.filter((_, j) => j % processes === i), cloud: at },
        listening: i < 2 ? Math.max(...circuits) : 0,
      })
    ));
    const took_s = (performance.now() - start_ms) / 1000;
    const after = await measure();
    return [
      {
        ...{ title: `${edges} edge nodes on one cloud node`, unit: '' },
        rows: [
          { name: 'admitted', value: after.members, ratios: {} },
          { name: 'reached through it', value: after.reservations, ratios: {} },
          { name: 'until all are, s', value: took_s, ratios: {} },
          {
            name: 'ms of the cloud’s processor each',
            value: (after.cpu_ms - before.cpu_ms) / edges,
            ratios: {},
          },
          { name: 'KB of its memory each', value: (after.rss - before.rss) / 1024 / edges, ratios: {} },
          {
            name: 'KB of its heap in use each',
            value: (after.heapUsed - before.heapUsed) / 1024 / edges,
            ratios: {},
          },
          { name: 'MB of its memory without them', value: before.rss / 1024 / 1024, ratios: {} },
        ],
        notes: ['edge nodes do as little as they can; they share this machine’s processors with the cloud'],
      },
      await throughput(children as [Child, Child], at),
    ];
  } finally {
    for (const child of [...children, cloud]) child.stop();
  }
}

async function throughput(
  [from, to]: readonly [Child, Child],
  cloud: { address: string; peer: string },
): Promise<Table> {
  const peers = await to.order<{ peer: string; direct: string }[]>({ do: 'peers' });
  const rows: Row[] = [];
  for (const count of circuits) {
    const took: Record<'direct' | 'relayed', number[]> = { direct: [], relayed: [] };
    for (let round = 0; round < rounds; round++) {
      for (const way of ['direct', 'relayed'] as const) {
        const chosen = peers.slice(0, count).map(({ peer, direct }) => ({
          peer,
          address: way === 'direct' ? direct : `${cloud.address}/p2p/${cloud.peer}/p2p-circuit`,
        }));
        took[way].push(await from.order<number>({ do: 'send', to: chosen, bytes: totalBytes / count }));
      }
    }
    const speed = (times: number[]) =>
      totalBytes / 1e3 / (times.toSorted((a, b) => a - b)[rounds >> 1] ?? NaN);
    const [direct, relayed] = [speed(took.direct), speed(took.relayed)];
    rows.push({ name: `direct, ${count} at once`, value: direct, ratios: { direct: 1 } });
    rows.push({ name: `relayed, ${count} at once`, value: relayed, ratios: { direct: relayed / direct } });
  }
  return { title: 'octets from edge node to edge node', unit: 'MB/s', rows };
}
