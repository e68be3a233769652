/**
 * Storing a job on three nodes, each a process of its own, beside what the same octets cost without inkmesh: three
 * processes that write and fsync them at once; one that sends them to two others over loopback; and both together,
 * which is all that a copy on three disks needs. Then the same job by each of its ways in, so that the difference
 * of two rows is what a layer costs.
 */
import { randomBytes } from 'node:crypto';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { printJob } from './ipp-client.ts';
import type { Table } from './run.ts';
import { type Contender, inTurn, rowsOf } from './samples.ts';

const sizes = [
  { name: '100 KB', bytes: 100_000, rounds: 20, budget_ms: 20_000 },
  { name: '1 MB', bytes: 1_000_000, rounds: 20, budget_ms: 20_000 },
  { name: '20 MB', bytes: 20_000_000, rounds: 6, budget_ms: 30_000 },
  { name: '100 MB', bytes: 100_000_000, rounds: 3, budget_ms: 45_000 },
];

const largeBytes = 10_000_000;
const user = 'ada';
const accepting = 'a1';
const others = ['a2', 'a3'];
const writes = '3 write+fsync';
const copied = 'TCP to 2';
const floor = 'copy on 3, plain';

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function contenders(cluster: Cluster, document: Uint8Array): Contender[] {
  const bytes = document.length;
  const to = others.map((node) => cluster.port(node, 'copies'));
  const took = async (node: string, name: string, order: object) =>
    (await cluster.order(node, name, order)).took_ms;
  const { print_uri, print_uri_plain } = cluster.organisation.user(user);
  return [
    {
      name: writes,
      run: async () =>
        Math.max(...await Promise.all([accepting, ...others].map((node) => took(node, 'write', { bytes })))),
    },
    { name: copied, run: () => took(accepting, 'copy', { bytes, to, durable: false }) },
    { name: floor, run: () => took(accepting, 'copy', { bytes, to, durable: true }) },
    {
      name: 'accepted by the mesh',
      run: () => took(accepting, 'store', { bytes, owner: user, count: 1, abreast: 1 }),
    },
    { name: 'by IPP', run: () => timed(() => printJob(print_uri_plain, document)) },
    { name: 'by IPPS', run: () => timed(() => printJob(print_uri, document)) },
  ];
}

/** Erases the large ones of what was stored, or the disk would fill up. */
async function cancelLarge({ organisation }: Cluster): Promise<void> {
  const as = organisation.as(user, accepting);
  const jobs = await runInside<JobView[]>(['jobs', ...as]);
  const large = jobs.filter(({ state, bytes }) => state === 'held' && bytes >= largeBytes);
  await Promise.all(large.map(({ id }) => runInside(['cancel', id, ...as])));
}

export async function bench(): Promise<Table[]> {
  const cluster = await startCluster(1 + others.length);
  const tables: Table[] = [];
  try {
    for (const { name, bytes, ...patience } of sizes) {
      const document = randomBytes(bytes);
      const taken = await inTurn(contenders(cluster, document), patience);
      await cancelLarge(cluster);
      tables.push({
        title: `store on three, ${name}`,
        unit: 'ms',
        rows: rowsOf(taken, [writes, floor], bytes),
        notes: [
          'medians of the runs, taken in turn; "first" is the one before them, which touches memory anew',
        ],
      });
    }
  } finally {
    await cluster.stop();
  }
  return tables;
}
