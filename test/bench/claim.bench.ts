/**
 * Releasing a held job to a RAW printer: how long until the claim has its votes, until the printer has the first
 * octet and the last one, and until the owner is told, at a node that holds the job and at one that does not. All
 * from the moment when the owner's program asks, but for "claimed", which is the node's own word.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { ink } from '../e2e/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { type Cluster, startCluster } from './cluster.ts';
import type { Table } from './run.ts';
import { type Contender, inTurn, rowsOf } from './samples.ts';

const sizes = [
  { name: '100 KB', bytes: 100_000, rounds: 15, budget_ms: 25_000, command: true },
  { name: '1 MB', bytes: 1_000_000, rounds: 15, budget_ms: 20_000, command: false },
  { name: '20 MB', bytes: 20_000_000, rounds: 6, budget_ms: 25_000, command: false },
  { name: '100 MB', bytes: 100_000_000, rounds: 3, budget_ms: 40_000, command: false },
];

const user = 'ada';
const accepting = 'a1';
const printerName = 'sink';
const patience_ms = 10_000;
const floor = 'TCP to 1';

/** When a printer had the first and the last octet of what came last; performance.now(). */
interface Printer {
  uri: string;
  first_ms: number;
  last_ms: number;
  received: number;
  close(): void;
}

async function startPrinter(): Promise<Printer> {
  const server = createServer((socket) => {
    printer.received = 0;
    socket.on('data', (part) => {
      const now = performance.now();
      if (printer.received === 0) printer.first_ms = now;
      printer.received += part.length;
      printer.last_ms = now;
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const printer: Printer = {
    ...{ uri: `socket://127.0.0.1:${port}`, first_ms: 0, last_ms: 0, received: 0 },
    close: () => void server.close(),
  };
  return printer;
}

/** Has a job stored, and waits until every node lists it. */
async function held({ organisation, order }: Cluster, bytes: number): Promise<JobView> {
  const { result } = await order<string[]>(accepting, 'store', { owner: user, bytes, count: 1, abreast: 1 });
  const [id = ''] = result;
  const lists = await Promise.all(organisation.nodes.map(({ name }) =>
    waitFor(
      async () =>
        (await runInside<JobView[]>(['jobs', ...organisation.as(user, name)])).find((job) => job.id === id),
      { deadline_ms: patience_ms, what: `${name} to know of the job` },
    )
  ));
  return lists[0] as JobView;
}

/** The name of a node that holds the job and has not accepted it, or of one that holds nothing of it. */
function nodeOf({ organisation }: Cluster, job: JobView, where: 'holder' | 'other'): string {
  const found = organisation.nodes.find(({ name }) =>
    name !== accepting && job.holders.includes(name) === (where === 'holder')
  );
  if (found === undefined) throw new RangeError(`there is no ${where}`);
  return found.name;
}

function releaseAt(cluster: Cluster, printer: Printer, bytes: number, where: 'holder' | 'other'): Contender {
  return {
    name: where,
    run: async () => {
      const job = await held(cluster, bytes);
      const as = cluster.organisation.as(user, nodeOf(cluster, job, where));
      const start_ms = performance.now();
      const released = await runInside<Released>(['release', job.id, '--printer', printerName, ...as]);
      const done_ms = performance.now();
      if (released.outcome !== 'sent' || printer.received !== bytes) {
        throw new Error(`${released.outcome} ${released.reason ?? ''}, ${printer.received} of ${bytes}`);
      }
      return {
        [`${where}: claimed`]: released.claimed_ms ?? NaN,
        [`${where}: first octet`]: printer.first_ms - start_ms,
        [`${where}: last octet`]: printer.last_ms - start_ms,
        [`${where}: owner told`]: done_ms - start_ms,
      };
    },
  };
}

function contenders(cluster: Cluster, printer: Printer, { bytes, command }: typeof sizes[number]) {
  const { organisation } = cluster;
  const to = [cluster.port('a2', 'copies')];
  const copy: Contender = {
    name: floor,
    run: async () => (await cluster.order(accepting, 'copy', { bytes, to, durable: false })).took_ms,
  };
  const asked: Contender = {
    name: 'signed request, nothing else',
    run: async () => {
      const start = performance.now();
      await runInside(['status', ...organisation.as(user, accepting)]);
      return performance.now() - start;
    },
  };
  const byCommand: Contender = {
    name: 'inkmesh release, the whole command',
    run: async () => {
      const job = await held(cluster, bytes);
      const as = organisation.as(user, nodeOf(cluster, job, 'holder'));
      const start = performance.now();
      await ink(['release', job.id, '--printer', printerName, ...as]);
      return performance.now() - start;
    },
  };
  return [
    copy,
    asked,
    releaseAt(cluster, printer, bytes, 'holder'),
    releaseAt(cluster, printer, bytes, 'other'),
    ...(command ? [byCommand] : []),
  ];
}

export async function bench(): Promise<Table[]> {
  const cluster = await startCluster(4);
  const printer = await startPrinter();
  const tables: Table[] = [];
  try {
    await cluster.organisation.addPrinter(printer.uri, printerName);
    for (const size of sizes) {
      const taken = await inTurn(contenders(cluster, printer, size), size);
      tables.push({
        title: `release, ${size.name}`,
        unit: 'ms',
        rows: rowsOf(taken, [floor]),
        notes: [
          'medians of the runs, taken in turn; "first" is the one before them, which touches memory anew',
        ],
      });
    }
  } finally {
    printer.close();
    await cluster.stop();
  }
  return tables;
}
