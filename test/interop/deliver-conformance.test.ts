/** What holds for printers of every scheme: the same cases, each on a printer that is there. */
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import { type KeepingPrinter, startEvePrinter } from '../../src/cli/demo-printer.ts';
import { Deliverer, type Delivery, type Outcome, probe } from '../../src/deliver/deliver.ts';
import { IppPool } from '../../src/deliver/ipp-pool.ts';
import { deliverSpooler } from '../../src/deliver/queue.ts';
import { Waiting } from '../../src/deliver/waiting.ts';
import { deliverLimits } from '../../src/limits.ts';
import { startCups } from '../fakes/cups.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import { startSpooler } from '../fakes/spooler.ts';

const content = randomBytes(3 * 1024 * 1024 + 17);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

interface Subject {
  printer: Delivery['printer'];
  /** what came out whole, SHA-256 */
  printed(): string[];
  deliver(delivery: Delivery): Promise<Outcome>;
  stop(): Promise<void>;
}

interface Scheme {
  name: string;
  /** undefined where its tools are not there */
  start: (() => Promise<Subject>) | undefined;
  /** a printer where nobody is */
  off: () => Promise<Delivery['printer']>;
}

async function eve(scheme: 'ipp' | 'ipps'): Promise<Subject> {
  const printer = await startEvePrinter({ dir: tempDir() }) as KeepingPrinter;
  const uri = printer.uri.replace('ipp:', `${scheme}:`);
  const { fingerprint } = await probe(uri);
  const printed = () =>
    readdirSync(printer.kept).map((name) => sha256(readFileSync(join(printer.kept, name))));
  return withDeliverer({ printer: { name: 'p', uri, fingerprint }, printed, stop: printer.stop });
}

/** A connection on which nothing came is no document. */
const digests = ({ documents }: Sink) =>
  documents.filter(({ bytes }) => bytes > 0).map(({ sha256 }) => sha256);

async function raw(): Promise<Subject> {
  const sink = await startSink();
  return withDeliverer({
    printer: { name: 'p', uri: sink.uri, formats: ['application/pdf'] },
    printed: () => digests(sink),
    stop: sink.stop,
  });
}

/** A queue of CUPS that hands on what it gets as it is. */
async function cupsQueue(): Promise<Subject> {
  const sink = await startSink();
  const cups = await startCups();
  await cups.client('lpadmin', '-p', 'office', '-E', '-v', sink.uri, '-m', 'raw');
  const before = process.env['CUPS_SERVER'];
  process.env['CUPS_SERVER'] = `127.0.0.1:${cups.port}`;
  return withDeliverer({
    printer: { name: 'p', uri: 'system:office' },
    printed: () => digests(sink),
    stop: async () => {
      if (before === undefined) delete process.env['CUPS_SERVER'];
      else process.env['CUPS_SERVER'] = before;
      await cups.stop();
      await sink.stop();
    },
  });
}

function withDeliverer(subject: Omit<Subject, 'deliver'>): Subject {
  const deliverer = new Deliverer({ systemQueues: true });
  return {
    ...subject,
    deliver: (delivery) => deliverer.deliver(delivery),
    stop: async () => {
      deliverer.close();
      await subject.stop();
    },
  };
}

/** The spooler of Windows as far as it is ours: a stand-in takes what its program would. */
function spooler(): Promise<Subject> {
  const fake = startSpooler();
  const limits = deliverLimits;
  return Promise.resolve({
    printer: { name: 'p', uri: 'system:Office' },
    printed: () => fake.documents().map(sha256),
    deliver: (delivery) =>
      deliverSpooler({
        ...{ ...delivery, target: new URL(delivery.printer.uri), limits, countsSheets: true },
        ...{ waiting: new Waiting({ ...delivery, limits }), pool: new IppPool(limits) },
      }),
    stop: fake.stop,
  });
}

const hasEve = requireTools(['ippeveprinter', 'dbus-daemon']);
const hasCups = requireTools(['cupsd', 'lpadmin']);
const at = (scheme: string) => async () => ({
  name: 'p',
  uri: `${scheme}://127.0.0.1:${await freePort()}/x`,
});
const schemes: Scheme[] = [
  { name: 'ipp', start: hasEve ? () => eve('ipp') : undefined, off: at('ipp') },
  { name: 'ipps', start: hasEve ? () => eve('ipps') : undefined, off: at('ipps') },
  { name: 'socket', start: raw, off: at('socket') },
  {
    name: 'system (CUPS)',
    start: hasCups ? cupsQueue : undefined,
    off: () => Promise.resolve({ name: 'p', uri: 'system:nobody' }),
  },
  {
    name: 'system (Windows)',
    start: spooler,
    off: () => Promise.resolve({ name: 'p', uri: 'system:nobody' }),
  },
];

/** A delivery of `content`, and what happened to it. */
function delivery(printer: Delivery['printer'], changes: Partial<Delivery> = {}) {
  const seen = { begun: 0, read: 0, progress: 0 };
  const parts = changes.document ?? pieces(content);
  const made: Delivery = {
    ticket: { title: 'Quarterly figures', format: 'application/pdf', options: {} },
    user: 'ada',
    bytes: content.length,
    begin: () => {
      seen.begun += 1;
      return Promise.resolve();
    },
    signal: new AbortController().signal,
    onProgress: (bytes) => seen.progress = bytes,
    ...changes,
    printer,
    document: (async function* () {
      for await (const part of parts) {
        seen.read += part.length;
        yield part;
      }
    })(),
  };
  return { made, seen };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 65536) yield bytes.subarray(start, start + 65536);
}

const isOut = ({ outcome }: Outcome) => outcome === 'printed' || outcome === 'sent';

async function printedOnce(subject: Subject, times = 1): Promise<void> {
  await waitFor(() => subject.printed().length >= times ? true : undefined, {
    deadline_ms: 20_000,
    what: `document ${times} to come out`,
  });
  assert.equal(subject.printed(), Array(times).fill(sha256(content)));
}

const cases: Record<string, (subject: Subject) => Promise<void>> = {
  'a document comes out octet for octet, once': async (subject) => {
    const { made, seen } = delivery(subject.printer);
    const outcome = await subject.deliver(made);
    assert.ok(isOut(outcome), JSON.stringify(outcome));
    assert.equal(seen, { begun: 1, read: content.length, progress: content.length });
    assert.ok((outcome.firstByte_ms ?? NaN) <= (outcome.lastByte_ms ?? NaN));
    await printedOnce(subject);
  },
  'three at the same time come out, each once': async (subject) => {
    const outcomes = await Promise.all([1, 2, 3].map(() => subject.deliver(delivery(subject.printer).made)));
    assert.ok(outcomes.every(isOut), JSON.stringify(outcomes));
    await printedOnce(subject, 3);
  },
  'when begin throws nothing is read, and nothing comes out': async (subject) => {
    const begin = () => Promise.reject(new Error('no quorum'));
    const { made, seen } = delivery(subject.printer, { begin });
    assert.match(String(await subject.deliver(made).catch((error: unknown) => error)), 'no quorum');
    assert.is(seen.read, 0);
    assert.ok(isOut(await subject.deliver(delivery(subject.printer).made)));
    await printedOnce(subject);
  },
  'a document that breaks off does not count as printed, and the next one comes out': async (subject) => {
    const document = (async function* () {
      yield content.subarray(0, 1024 * 1024);
      throw new Error('the holder is gone');
    })();
    const outcome = await subject.deliver(delivery(subject.printer, { document }).made);
    assert.ok(['failed', 'interrupted'].includes(outcome.outcome), outcome.outcome);
    assert.match(outcome.reason ?? '', 'the holder is gone');
    const next = await subject.deliver(delivery(subject.printer).made);
    assert.ok(isOut(next), JSON.stringify(next));
    const whole = () => subject.printed().filter((digest) => digest === sha256(content)).length;
    await waitFor(() => whole() === 1 ? true : undefined, { deadline_ms: 20_000, what: 'the next document' });
  },
  'a document of another length than announced does not count as printed': async (subject) => {
    for (const bytes of [content.length - 1, content.length + 1]) {
      const outcome = await subject.deliver(delivery(subject.printer, { bytes }).made);
      assert.ok(['failed', 'interrupted'].includes(outcome.outcome), outcome.outcome);
    }
  },
  'a delivery that is stopped ends, and does not count as printed': async (subject) => {
    const stop = new AbortController();
    const document = (async function* () {
      yield content.subarray(0, 1024 * 1024);
      stop.abort(new Error('stopped by its owner'));
      await new Promise(() => {});
    })();
    const made = delivery(subject.printer, { document, signal: stop.signal }).made;
    const outcome = await subject.deliver(made);
    assert.ok(['failed', 'interrupted'].includes(outcome.outcome), outcome.outcome);
    assert.match(outcome.reason ?? '', 'stopped by its owner');
  },
};

for (const { name, start, off } of schemes) {
  if (start === undefined) continue;
  for (const [what, check] of Object.entries(cases)) {
    test(`${name}: ${what}`, async () => {
      const subject = await start();
      try {
        await check(subject);
      } finally {
        await subject.stop();
      }
    });
  }
  // there is no Windows to say that a queue is not there
  if (name === 'system (Windows)') continue;
  test(`${name}: where no printer is, nothing begins`, async () => {
    const deliverer = new Deliverer({ systemQueues: true });
    const { made, seen } = delivery(await off());
    const outcome = await deliverer.deliver(made);
    deliverer.close();
    assert.is(outcome.outcome, 'failed');
    assert.equal(seen, { begun: 0, read: 0, progress: 0 });
  });
}

test('system: a node that was not told to uses no queue of its machine', async () => {
  const deliverer = new Deliverer();
  const { made, seen } = delivery({ name: 'p', uri: 'system:office' });
  const outcome = await deliverer.deliver(made);
  assert.is(outcome.outcome, 'failed');
  assert.match(outcome.reason ?? '', 'systemQueues');
  assert.equal(seen, { begun: 0, read: 0, progress: 0 });
});

test.run();
