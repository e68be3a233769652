/**
 * Many documents at once, by IPP over TLS, at one node of three that are processes of their own; each is on the disks
 * of all three before its answer. First 200 clients at the same moment; then 1,000 documents by 8 clients, in turn with
 * Debian's cupsd, which keeps one copy, unencrypted: as it is installed it has nothing on disk when it answers; in its
 * durable setting (SyncOnClose Yes, DirtyCleanInterval 0) the nearest to it that it has. All clients are the same
 * program; every eighth keeps its connection, the others make one for each document, with a whole handshake.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { freePort } from '../../src/cli/children.ts';
import { runInside } from '../../src/cli/run.ts';
import { jobNumber } from '../../src/job.ts';
import { type Organisation, startOrganisation } from '../e2e/organisation.ts';
import { type Cups, startCups } from '../fakes/cups.ts';
import { requireTools } from '../fakes/require.ts';
import { heldOn } from '../fakes/held.ts';
import type { Row, Table } from './run.ts';
import { type Contender, inTurn, rowsOf, type Samples } from './samples.ts';
import { SubmitClient } from './submit-client.ts';

const accepting = 'a1';
const document = randomBytes(100_000);
const jobs = 1000;
const clients = 8;
const patience = { rounds: 3, budget_ms: 240_000 };
const atOnce = 200;
const devices = 25;
const busyRetries = 200;

const own = 'inkmesh, three copies';
const durable = 'cupsd, durable setting';
const default_ = 'cupsd, default';

const keepsAlive = (client: number) => client % 8 === 7;

/** @returns the IPP job-ids of `count` documents that `clients` clients have submitted to a printer */
async function submitAll(printer: string, count: number): Promise<number[]> {
  const accepted: number[] = [];
  let left = count;
  const work = async (client: SubmitClient) => {
    while (left-- > 0) {
      const { status, job } = await client.submit();
      if (job === undefined || !status.startsWith('successful')) throw new Error(`the answer is ${status}`);
      accepted.push(job);
    }
    client.close();
  };
  await Promise.all(Array.from({ length: clients }, (_, index) => {
    return work(new SubmitClient({ printer, document, keepAlive: keepsAlive(index) }));
  }));
  return accepted;
}

/** @throws Error unless every one of these jobs is whole on three nodes */
function checkHeld(organisation: Organisation, accepted: readonly number[]): void {
  const holders = new Map<number, number>();
  for (const { dir } of organisation.nodes) {
    for (const id of heldOn(dir)) holders.set(jobNumber(id), (holders.get(jobNumber(id)) ?? 0) + 1);
  }
  const lost = accepted.filter((job) => holders.get(job) !== 3);
  if (lost.length > 0) {
    throw new Error(`${lost.length} of ${accepted.length} accepted jobs are not on three nodes`);
  }
}

/** Submit-only tokens of so many devices of one user, as printer URIs. */
async function printersOf(organisation: Organisation): Promise<string[]> {
  const { dir, ports } = organisation.node(accepting);
  const printers: string[] = [];
  for (let device = 0; device < devices; device++) {
    const invite = await runInside<{ token: string }>(['user', 'invite', 'ada', '--dir', dir]);
    const credential = join(organisation.dir, `device-${device}.credential`);
    const made = await runInside<{ token: string }>(['login', invite.token, '--credential', credential]);
    printers.push(`ipps://127.0.0.1:${ports.https}/ipp/print/${made.token}`);
  }
  return printers;
}

/** All clients send at the same moment; who is told that the printer is busy asks again a little later. */
async function crowd(organisation: Organisation): Promise<Table> {
  const printers = await printersOf(organisation);
  const accepted: number[] = [];
  const taken_ms: number[] = [];
  let busy = 0;
  let atFirst = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: atOnce }, async (_, index) => {
    const printer = printers[index % printers.length] as string;
    const client = new SubmitClient({ printer, document, keepAlive: keepsAlive(index) });
    for (let attempt = 0;; attempt++) {
      const { status, job } = await client.submit();
      if (job !== undefined && status.startsWith('successful')) {
        if (attempt === 0) atFirst++;
        accepted.push(job);
        break;
      }
      if (status !== 'server-error-busy' || attempt === busyRetries) {
        throw new Error(`the answer is ${status}`);
      }
      busy++;
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400));
    }
    taken_ms.push(performance.now() - start);
    client.close();
  }));
  checkHeld(organisation, accepted);
  taken_ms.sort((a, b) => a - b);
  const row = (name: string, value: number): Row => ({ name, value, ratios: {} });
  return {
    title: `${atOnce} clients at once, 100 KB each over TLS`,
    unit: 'clients, ms',
    rows: [
      row('accepted at once', atFirst),
      row('answers server-error-busy', busy),
      row('accepted in the end', accepted.length),
      row('accepted and not on three nodes', 0),
      row('half of them answered, ms', taken_ms[taken_ms.length / 2] ?? NaN),
      row('all of them answered, ms', taken_ms.at(-1) ?? NaN),
    ],
    notes: [
      `${devices} devices, 8 clients of each; every accepted job was looked up in files and tables of all nodes`,
    ],
  };
}

interface Printer {
  uri: string;
  cups: Cups;
}

async function cupsPrinter(isDurable: boolean): Promise<Printer> {
  const port = await freePort();
  const cups = await startCups({
    cupsd: [
      'LogLevel warn',
      `SSLListen 127.0.0.1:${port}`,
      // the defaults refuse the 501st held job
      'MaxJobs 0',
      'MaxClients 200',
      ...(isDurable ? ['DirtyCleanInterval 0'] : []),
    ],
    files: ['FileDevice Yes', `SyncOnClose ${isDurable ? 'Yes' : 'No'}`],
  });
  await cups.client('lpadmin', '-p', 'raw', '-E', '-v', 'file:///dev/null', '-m', 'raw');
  return { uri: `ipps://127.0.0.1:${port}/printers/raw`, cups };
}

function perSecond(samples: Samples): Samples {
  return new Map([...samples].map(([name, values]) => [name, values.map((ms) => jobs * 1000 / ms)]));
}

async function throughput(organisation: Organisation): Promise<Table> {
  const timed = (name: string, printer: string, check: (accepted: number[]) => void): Contender => ({
    name,
    run: async () => {
      const start = performance.now();
      const accepted = await submitAll(printer, jobs);
      const took_ms = performance.now() - start;
      check(accepted);
      return took_ms;
    },
  });
  const contenders = [
    timed(own, organisation.user('ada').print_uri, (accepted) => checkHeld(organisation, accepted)),
  ];
  const peers = requireTools(['cupsd', 'lpadmin'])
    ? [{ name: durable, ...await cupsPrinter(true) }, { name: default_, ...await cupsPrinter(false) }]
    : [];
  for (const { name, uri } of peers) contenders.push(timed(name, uri, () => {}));
  try {
    const { first, warm } = await inTurn(contenders, patience);
    return {
      title: `${jobs} jobs of 100 KB by ${clients} clients over TLS`,
      unit: 'jobs/s',
      rows: rowsOf({ first: perSecond(first), warm: perSecond(warm) }, peers.map(({ name }) => name)),
      notes: [
        'medians of rounds taken in turn; clients, three nodes and cupsd share the cores of this machine',
        'every accepted job was looked up in files and tables of all three nodes, outside of the time taken',
      ],
    };
  } finally {
    for (const { cups } of peers) await cups.stop();
  }
}

export async function bench(): Promise<Table[]> {
  const organisation = await startOrganisation({ nodes: 3 });
  try {
    return [await crowd(organisation), await throughput(organisation)];
  } finally {
    await organisation.stop();
  }
}
