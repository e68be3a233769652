/**
 * What one held job costs in bytes beside its envelope: in the memory and on the disk of the node that accepted it, of
 * its other holders and of a node that only knows of it, and on the network between all of them.
 */
import { envelopeLength } from '../../mesh/envelope.ts';
import { runInside } from '../../src/cli/run.ts';
import { waitFor } from '../fakes/processes.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { databaseCopy } from '../fakes/held.ts';
import type { Row, Table } from './run.ts';

/** stored before anything is measured: code is compiled, tables and pools have grown */
const before = 200;
const jobs = 1000;
const documentBytes = 1000;
const abreast = 4;
const user = 'ada';
const accepting = 'a1';
const spread_ms = 30_000;
/** one round of anti-entropy and a little more */
const idle_ms = 31_000;

interface Cost {
  memory: number;
  disk: number;
  sent: number;
}

const minus = (a: Cost, b: Cost): Cost => ({
  memory: a.memory - b.memory,
  disk: a.disk - b.disk,
  sent: a.sent - b.sent,
});

/** Octets of a node's database, with what is still in its log. */
function databaseBytes(dir: string): number {
  const db = databaseCopy(dir);
  try {
    const pragma = (name: string) => Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  } finally {
    db.close();
  }
}

async function store(cluster: Cluster, count: number, known: number): Promise<void> {
  await cluster.order(accepting, 'store', { owner: user, bytes: documentBytes, count, abreast });
  for (const { name } of cluster.organisation.nodes) {
    await waitFor(async () => {
      const { result } = await cluster.order<number>(name, 'known');
      return result >= known ? true : undefined;
    }, { deadline_ms: spread_ms, what: `${name} to know of ${known} jobs` });
  }
}

async function costs(cluster: Cluster): Promise<Map<string, Cost>> {
  const { nodes } = cluster.organisation;
  const to = nodes.map(({ name }) => cluster.port(name, 'mesh'));
  const all = new Map<string, Cost>();
  for (const { name, dir } of nodes) {
    const { result: memory } = await cluster.order<number>(name, 'collect');
    const { result: sent } = await cluster.order<number>(name, 'sent', { to });
    all.set(name, { memory, disk: databaseBytes(dir), sent });
  }
  return all;
}

function differences(later: Map<string, Cost>, earlier: Map<string, Cost>): Map<string, Cost> {
  const none = { memory: 0, disk: 0, sent: 0 };
  return new Map([...later].map(([name, cost]) => [name, minus(cost, earlier.get(name) ?? none)]));
}

/** accepting node, other holder or neither: by what it says that it holds */
async function partOf({ organisation }: Cluster, name: string): Promise<string> {
  if (name === accepting) return 'accepting node';
  const { holding } = await runInside<{ holding: { jobs: number } }>([
    'status',
    ...organisation.as(user, name),
  ]);
  return `${holding.jobs > 0 ? 'holder' : 'other node'} ${name}`;
}

function row(name: string, value: number): Row {
  return { name, value, ratios: {} };
}

export async function bench(): Promise<Table> {
  const cluster = await startCluster(4);
  try {
    // from here on the connections of the mesh are counted
    await costs(cluster);
    await store(cluster, before, before);
    const start = await costs(cluster);
    await store(cluster, jobs, before + jobs);
    const end = await costs(cluster);
    await new Promise((resolve) => setTimeout(resolve, idle_ms));
    const idle = differences(await costs(cluster), end);
    const spent = differences(end, start);
    const rows: Row[] = [];
    for (const [name, { memory, disk, sent }] of spent) {
      const part = await partOf(cluster, name);
      rows.push(row(`${part}: memory`, memory / jobs), row(`${part}: disk`, disk / jobs));
      rows.push(row(`${part}: sent, with envelopes`, sent / jobs));
    }
    const all = [...spent.values()].reduce((sum, { sent }) => sum + sent, 0) / jobs;
    const idleBytes = [...idle.values()].reduce((sum, { sent }) => sum + sent, 0);
    return {
      title: `per held job, ${spent.size} nodes`,
      unit: 'bytes',
      rows: [
        ...rows,
        row('all nodes: sent, without envelopes', all - 2 * envelopeLength(documentBytes)),
        row(
          `idle, per node and second, ${before + jobs} jobs held`,
          idleBytes / spent.size / (idle_ms / 1000),
        ),
      ],
      notes: [
        `${jobs} jobs stored after ${before} others; memory: used heap and what lies outside it, after collection`,
        'disk: pages of the database in use; sent: octets handed to TCP by connections of the mesh',
      ],
    };
  } finally {
    await cluster.stop();
  }
}
