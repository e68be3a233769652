/**
 * From a tap to paper. First one held job at a time: from the request to release it to its first and last octet at a
 * RAW printer, beside Debian's cupsd, whose held job is released by Release-Job. Then many at once: to ten RAW
 * printers, to one, and to one IPP printer; each document is another one, and comes out exactly once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { Client } from '../../src/cli/client.ts';
import { startEvePrinter } from '../../src/cli/demo-printer.ts';
import { type Order, releaseOne } from '../../src/cli/release.ts';
import type { JobView } from '../../src/job.ts';
import { type Organisation, startOrganisation } from '../e2e/organisation.ts';
import { type Cups, startCups } from '../fakes/cups.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import { releaseJob } from './release-job.ts';
import type { Row, Table } from './run.ts';
import { type Contender, inTurn, rowsOf } from './samples.ts';
import { SubmitClient } from './submit-client.ts';
import { startTimedSink, type TimedSink } from './timed-sink.ts';

const user = 'ada';
const node = 'a1';
const format = 'application/pdf';
const sizes = [
  { name: '100 KB', bytes: 100_000, rounds: 20, budget_ms: 30_000 },
  { name: '1 MB', bytes: 1_000_000, rounds: 20, budget_ms: 30_000 },
  { name: '20 MB', bytes: 20_000_000, rounds: 6, budget_ms: 45_000 },
  { name: '100 MB', bytes: 100_000_000, rounds: 3, budget_ms: 60_000 },
];
/** of the second part; fewer are for trying it out */
const many = Number(process.env['BENCH_JOBS'] ?? 1000);
/** cupsd takes a second for each job to an IPP printer */
const cupsIppJobs = 10;
const smallBytes = 100_000;
const clients = 8;
const printers = 10;
/** releases at a time, of all printers together */
const abreast = 16;
const maxRefusals = 5;
const late_ms = 600_000;

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

interface Setting {
  organisation: Organisation;
  client: Client;
  /** cupsd with the queue `raw`, which leads to `sink`; undefined where it is not installed */
  cups: Cups | undefined;
  sink: TimedSink;
}

const orderOf = (client: Client, printer: string): Order => ({ client, printer, options: {}, confirm: [] });

async function submit(printer: string, document: Uint8Array): Promise<number> {
  const client = new SubmitClient({ printer, document, keepAlive: false, format });
  const { status, job } = await client.submit();
  if (job === undefined || !status.startsWith('successful')) throw new Error(`the answer is ${status}`);
  return job;
}

async function held(client: Client): Promise<string[]> {
  const jobs = await client.get<JobView[]>('/v1/jobs', { headers: await client.viewHeader() });
  return jobs.filter(({ state }) => state === 'held').map(({ id }) => id);
}

/** What could not be claimed is asked for again, as people do. @returns how often */
async function released(order: Order, id: string): Promise<number> {
  for (let refusals = 0;; refusals++) {
    const { outcome, reason } = await releaseOne(order, { id });
    if (outcome === 'sent' || outcome === 'printed') return refusals;
    if (outcome !== 'refused' || refusals === maxRefusals) throw new Error(`${outcome}: ${reason}`);
  }
}

function tapped({ organisation, client, cups, sink }: Setting, document: Uint8Array): Contender[] {
  const name = (who: string, what: string) => `${who}, ${what} octet`;
  const timed = (who: string, tap: () => Promise<unknown>) => async () => {
    const arrival = sink.next(document.length);
    const start_ms = performance.now();
    await Promise.all([tap(), arrival]);
    const { first_ms, last_ms } = await arrival;
    return { [name(who, 'first')]: first_ms - start_ms, [name(who, 'last')]: last_ms - start_ms };
  };
  const own: Contender = {
    name: 'inkmesh',
    run: async () => {
      await submit(organisation.user(user).print_uri, document);
      const [id = ''] = await held(client);
      return await timed('inkmesh', () => released(orderOf(client, 'timed'), id))();
    },
  };
  if (cups === undefined) return [own];
  const queue = `ipp://127.0.0.1:${cups.port}/printers/raw`;
  const peer: Contender = {
    name: 'cupsd',
    run: async () => {
      const job = await submit(queue, document);
      return await timed('cupsd', () => releaseJob(queue, job))();
    },
  };
  return [own, peer];
}

async function taps(setting: Setting): Promise<Table[]> {
  const tables: Table[] = [];
  for (const { name, bytes, ...patience } of sizes) {
    const taken = await inTurn(tapped(setting, randomBytes(bytes)), patience);
    const floors = setting.cups === undefined ? [] : ['cupsd, first octet', 'cupsd, last octet'];
    tables.push({
      title: `tap to RAW printer, ${name}`,
      unit: 'ms',
      rows: rowsOf(taken, floors),
      notes: [
        'medians of the runs, taken in turn; the request to release goes over TLS, with a grant signed for it; ' +
        'cupsd is told by plain IPP, and keeps the document unencrypted',
      ],
    });
  }
  return tables;
}

/** Different documents, held. @returns their digests */
async function fill(organisation: Organisation, count: number): Promise<Set<string>> {
  const digests = new Set<string>();
  let left = count;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (left-- > 0) {
      const document = randomBytes(smallBytes);
      digests.add(sha256(document));
      await submit(organisation.user(user).print_uri, document);
    }
  }));
  return digests;
}

/** @throws Error unless each document came out, and once */
function checkOnce(digests: ReadonlySet<string>, out: readonly string[]): void {
  const missing = [...digests].filter((digest) => !out.includes(digest)).length;
  const whole = out.filter((digest) => digests.has(digest)).length;
  if (missing > 0 || whole !== digests.size) {
    throw new Error(`${missing} of ${digests.size} did not come out, ${whole} came out`);
  }
}

interface Rate {
  /** jobs per second, from the first tap to the last answer */
  rate: number;
  /** releases that were refused, and asked for again */
  refusals: number;
}

async function releaseAll(client: Client, names: readonly string[]): Promise<Rate> {
  const ids = await held(client);
  let refusals = 0;
  const start_ms = performance.now();
  await Promise.all(names.map(async (name, i) => {
    const mine = ids.filter((_, at) => at % names.length === i);
    const work = async () => {
      for (let id = mine.shift(); id !== undefined; id = mine.shift()) {
        refusals += await released(orderOf(client, name), id);
      }
    };
    await Promise.all(Array.from({ length: Math.ceil(abreast / names.length) }, work));
  }));
  return { rate: ids.length * 1000 / (performance.now() - start_ms), refusals };
}

const digestsOf = (sinks: readonly Sink[]) =>
  sinks.flatMap(({ documents }) => documents.filter(({ bytes }) => bytes > 0).map(({ sha256 }) => sha256));

async function toSinks({ organisation, client }: Setting, count: number): Promise<Rate> {
  const sinks = await Promise.all(Array.from({ length: count }, () => startSink()));
  const names = sinks.map((_, i) => `sink-${count}-${i}`);
  try {
    for (const [i, { uri }] of sinks.entries()) await organisation.addPrinter(uri, names[i] ?? '');
    const digests = await fill(organisation, many);
    const rate = await releaseAll(client, names);
    checkOnce(digests, digestsOf(sinks));
    return rate;
  } finally {
    for (const sink of sinks) await sink.stop();
  }
}

async function cupsToSink(cups: Cups): Promise<number> {
  const sink = await startSink();
  const queue = `ipp://127.0.0.1:${cups.port}/printers/many`;
  await cups.client('lpadmin', '-p', 'many', '-E', '-v', sink.uri, '-m', 'raw');
  const document = randomBytes(smallBytes);
  const jobs: number[] = [];
  for (let i = 0; i < many; i++) jobs.push(await submit(queue, document));
  const start_ms = performance.now();
  for (const job of jobs) await releaseJob(queue, job);
  const all = () => digestsOf([sink]).length === many ? true : undefined;
  await waitFor(all, { deadline_ms: late_ms, what: 'all documents of cupsd' });
  const rate = many * 1000 / (performance.now() - start_ms);
  await sink.stop();
  return rate;
}

interface IppRates {
  own: Rate;
  cups: number | undefined;
}

async function toIppPrinter({ organisation, client, cups }: Setting): Promise<IppRates> {
  const printer = await startEvePrinter({ dir: tempDir() });
  if (printer === undefined) throw new Error('ippeveprinter is gone');
  const kept = () => readdirSync(printer.kept).map((name) => sha256(readFileSync(join(printer.kept, name))));
  try {
    await organisation.addPrinter(printer.uri, 'eve');
    const digests = await fill(organisation, many);
    const own = await releaseAll(client, ['eve']);
    checkOnce(digests, kept());
    if (cups === undefined) return { own, cups };
    await cups.client('lpadmin', '-p', 'eve', '-E', '-v', printer.uri, '-m', 'raw');
    const queue = `ipp://127.0.0.1:${cups.port}/printers/eve`;
    const jobs: number[] = [];
    for (let i = 0; i < cupsIppJobs; i++) jobs.push(await submit(queue, randomBytes(smallBytes)));
    const before = readdirSync(printer.kept).length;
    const start_ms = performance.now();
    for (const job of jobs) await releaseJob(queue, job);
    const all = () => readdirSync(printer.kept).length === before + cupsIppJobs ? true : undefined;
    await waitFor(all, { deadline_ms: late_ms, what: 'all documents of cupsd' });
    return { own, cups: cupsIppJobs * 1000 / (performance.now() - start_ms) };
  } finally {
    await printer.stop();
  }
}

async function throughput(setting: Setting): Promise<Table> {
  const { cups } = setting;
  const row = (name: string, value: number): Row => ({ name, value, ratios: {} });
  const own = (name: string, { rate, refusals }: Rate, peer?: number): Row => ({
    name,
    value: rate,
    more: { 'asked again': refusals },
    ratios: peer === undefined ? {} : { 'cupsd': rate / peer },
  });
  const rows = [own(`inkmesh to ${printers} RAW printers`, await toSinks(setting, printers))];
  const cupsRaw = cups === undefined ? undefined : await cupsToSink(cups);
  rows.push(own('inkmesh to one RAW printer', await toSinks(setting, 1), cupsRaw));
  if (cupsRaw !== undefined) rows.push(row('cupsd to one RAW printer', cupsRaw));
  if (requireTools(['ippeveprinter', 'dbus-daemon'])) {
    const { own: rate, cups: peer } = await toIppPrinter(setting);
    rows.push(own('inkmesh to ippeveprinter', rate, peer));
    if (peer !== undefined) rows.push(row(`cupsd to ippeveprinter, ${cupsIppJobs} jobs`, peer));
  }
  return {
    title: `${many} held jobs of 100 KB released, ${abreast} at a time`,
    unit: 'jobs/s',
    rows,
    notes: ['every document was looked up by its digest where it came out: each was there once'],
  };
}

export async function bench(): Promise<Table[]> {
  const organisation = await startOrganisation({ nodes: 3 });
  const sink = await startTimedSink();
  const cups = requireTools(['cupsd', 'lpadmin'])
    ? await startCups({ cupsd: ['LogLevel warn', 'MaxJobs 0', 'MaxClients 200'] })
    : undefined;
  try {
    await organisation.connected();
    await organisation.addPrinter(sink.uri, 'timed');
    await cups?.client('lpadmin', '-p', 'raw', '-E', '-v', sink.uri, '-m', 'raw');
    const client = await Client.open(organisation.node(node).dir, organisation.user(user).credential);
    const setting = { organisation, client, cups, sink };
    return [...await taps(setting), await throughput(setting)];
  } finally {
    await cups?.stop();
    await sink.stop();
    await organisation.stop();
  }
}
