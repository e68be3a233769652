/** What printers say, and when: words that are no text, late ones, and refusals by HTTP. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode, printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Mesh } from '../../mesh/mod.ts';
import { Deliverer, type Delivery } from '../../src/deliver/deliver.ts';
import type { Printer } from '../../src/directory.ts';
import { refusalOf } from '../../src/deliver/ipp-capabilities.ts';
import { IppPool } from '../../src/deliver/ipp-pool.ts';
import { deliverSpooler } from '../../src/deliver/queue.ts';
import { Waiting } from '../../src/deliver/waiting.ts';
import * as ipp from '../../src/ipp/message.ts';
import { encodeMessage } from '../../src/ipp/codec.ts';
import { groups, operations, printerStateEnum, statuses } from '../../src/ipp/registry.ts';
import { readMessage } from '../../src/ipp/stream.ts';
import { deliverLimits } from '../../src/limits.ts';
import type { Condition } from '../../src/printers/condition.ts';
import { ReleaseDoor } from '../../src/release/release.ts';
import { readAll, startScriptedPrinter, stateOf } from '../fakes/scripted-printer.ts';
import { waitFor } from '../fakes/processes.ts';
import { startSink } from '../fakes/sink.ts';
import { startSpooler } from '../fakes/spooler.ts';

const limits = { ...deliverLimits, look_ms: 50, ask_ms: 50, askHeard_ms: 2000, wait_ms: 200 };
const deliverer = new Deliverer({ limits });
const bytes = 100_000;

const delivery = (uri: string): Delivery => ({
  printer: { name: 'p', uri },
  ticket: { title: 'Quarterly figures', format: 'application/pdf', options: {} },
  user: 'ada',
  document: (async function* () {
    yield new Uint8Array(bytes);
  })(),
  bytes,
  begin: () => Promise.resolve(),
  signal: new AbortController().signal,
});

test.after(() => deliverer.close());

/** A printer of the one-step kind that answers a Print-Job by HTTP alone. */
async function startRefusing(status: number): Promise<{ uri: string; stop(): void }> {
  const server = createServer(async (request, response) => {
    const { message, document } = await readMessage(request);
    await readAll(document);
    if (message.code === operations['Print-Job']) return void response.writeHead(status).end('no');
    const attributes = [
      ipp.enumeration('printer-state', printerStateEnum.idle),
      ipp.enumeration('operations-supported', operations['Print-Job']),
    ];
    // its texts are in ISO 8859-1
    const said = { syntax: 'other', tag: 0x41, value: Uint8Array.from([0x66, 0xfc, 0x72]) } as const;
    response.writeHead(200, { 'content-type': 'application/ipp' }).end(encodeMessage({
      ...{ version: 0x0200, code: statuses['successful-ok'], requestId: message.requestId },
      groups: [
        {
          tag: groups['operation-attributes-tag'],
          attributes: [ipp.charset('attributes-charset', 'utf-8'), ipp.attribute('status-message', said)],
        },
        { tag: groups['printer-attributes-tag'], attributes },
      ],
    }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { uri: `ipp://127.0.0.1:${port}/`, stop: () => void server.close().closeAllConnections() };
}

const statusesOf = { failed: [403, 404, 405, 415, 426], interrupted: [400, 408, 413, 429, 500] } as const;
const answered = Object.entries(statusesOf).flatMap(([expected, all]) =>
  all.map((status) => [status, expected] as const)
);
for (const [status, expected] of answered) {
  test(`Print-Job: a printer that answers HTTP ${status}, and has texts that are not UTF-8: ${expected}`, async () => {
    const printer = await startRefusing(status);
    try {
      const { outcome, reason } = await deliverer.deliver(delivery(printer.uri));
      assert.is(outcome, expected, reason);
      assert.match(reason ?? '', `HTTP ${status}`);
    } finally {
      printer.stop();
    }
  });
}

test('what a printer says is a short line without commands, whatever it is', async () => {
  const waiting: (string | null)[] = [];
  const printer = await startScriptedPrinter({
    'Get-Job-Attributes': ({ answer }) =>
      answer('successful-ok', [
        stateOf('aborted'),
        ipp.keyword(
          'job-state-reasons',
          '\u001b]52;c;eA==\u0007',
          ...Array.from({ length: 500 }, () => 'x'.repeat(99)),
        ),
      ]),
  });
  Object.assign(printer, { state: 'stopped', reasons: ['\u001b[2J-error', 'constructor-error'] });
  try {
    const { outcome, reason = '' } = await deliverer.deliver({
      ...delivery(printer.uri),
      onWaiting: (why) => waiting.push(why),
    });
    assert.is(outcome, 'interrupted');
    assert.ok(reason.length <= limits.maxReasonChars, String(reason.length));
    assert.not.match([reason, ...waiting].join(), /\p{Cc}|native code/u);
  } finally {
    await printer.stop();
  }
});

test('RAW: a printer that has said before how it is gets the time to say that it is out of paper', async () => {
  const sink = await startSink();
  const empty: Condition = { activity: 'stopped', reasons: [{ keyword: 'media-empty', severity: 'error' }] };
  const late = () => new Promise<Condition>((resolve) => setTimeout(() => resolve(empty), 4 * limits.ask_ms));
  try {
    const known = Object.assign(late, { heard: true });
    const { outcome, reason } = await deliverer.deliver({ ...delivery(sink.uri), condition: known });
    assert.is(outcome, 'failed');
    assert.match(reason ?? '', 'tray empty');
    assert.is(sink.received, 0);
  } finally {
    await sink.stop();
  }
});

test('the title of a document is not on the command line of the program that spools it', async () => {
  const spooler = startSpooler();
  const pool = new IppPool(limits);
  try {
    const given = delivery('system:Office');
    const { outcome, reason } = await deliverSpooler({
      ...{ ...given, target: new URL('system:Office'), limits, countsSheets: true },
      ...{ waiting: new Waiting({ ...given, limits }), pool },
    });
    assert.is(outcome, 'sent', reason);
    assert.equal(spooler.titles(), ['Quarterly figures']);
    assert.match(spooler.programs().join(), 'Office');
    assert.not.match(spooler.programs().join(), 'Quarterly');
  } finally {
    pool.close();
    await spooler.stop();
  }
});

test('a line at a printer is no fault of the printer, and lasts as long as it takes', async () => {
  let [under, most] = [0, 0];
  const printer = await startScriptedPrinter({
    'Send-Document': async ({ document, answer }) => {
      most = Math.max(most, ++under);
      await readAll(document);
      await new Promise((resolve) => setTimeout(resolve, 2 * limits.wait_ms));
      under--;
      answer();
    },
  });
  const one = new Deliverer({ limits: { ...limits, abreast: 1 } });
  const { host } = new URL(printer.uri);
  try {
    const outcomes = await Promise.all(
      ['', 'again', 'again2'].map((path) => one.deliver(delivery(`ipp://${host}/${path}`))),
    );
    assert.equal(outcomes.map(({ outcome }) => outcome), ['printed', 'printed', 'printed']);
    assert.is(most, 1);
  } finally {
    one.close();
    await printer.stop();
  }
});

/** A door that takes one document after the other to printers that are known, and what its claims did. */
function doorTo(known: ReadonlyMap<string, Printer>) {
  const did: string[] = [];
  const claimant = {
    claim: (job: string) => {
      const { document } = delivery('ipp://127.0.0.1/');
      const ticket = encode({ title: 'x', format: 'application/pdf', options: {} });
      const note = (what: string) => void did.push(`${job} ${what}`);
      return Promise.resolve({
        ...{ id: `p/${job}`, ticket, job: { body: { owner: 'ada', bytes } }, document: () => document },
        begin: () => Promise.resolve(note('begins')),
        settle: (outcome: string) => Promise.resolve(note(outcome)),
        yield: () => note('is free'),
      });
    },
  };
  const ledger = { latest: () => undefined };
  const door = new ReleaseDoor({ claimant, ledger } as unknown as Mesh, {
    limits: { ...limits, abreast: 1 },
    printerOf: (name) => {
      const found = known.get(name);
      if (found === undefined) throw new InkmeshError('not-found', `there is no printer "${name}"`);
      return { ...found, name };
    },
  });
  return { door, did };
}

test('documents that wait in the line of a printer that is removed stay held, and go to what is known of it then', async () => {
  const busy = Promise.withResolvers<void>();
  const printer = await startScriptedPrinter({
    'Send-Document': async ({ document, answer }) => {
      await readAll(document);
      await busy.promise;
      answer();
    },
  });
  const one = { name: 'one', site: 'main', uri: printer.uri };
  const known = new Map<string, Printer>(['one', 'gone', 'moved', 'same'].map((name) => [name, one]));
  const { door, did } = doorTo(known);
  const lines: Promise<void>[] = [];
  const release = (name: string) => {
    const inLine = Promise.withResolvers<void>();
    lines.push(inLine.promise);
    return door.release({
      ...{ job: name, printer: { ...one, name }, permission: { grant: new Uint8Array(0) } },
      ...{ options: new Uint8Array(0), onWaiting: () => inLine.resolve() },
    });
  };
  try {
    const first = release('one');
    await waitFor(() => printer.asked.includes('Send-Document') || undefined, {
      ...{ deadline_ms: 30_000, what: 'the first document to be on its way' },
    });
    lines.length = 0;
    const others = ['gone', 'moved', 'same'].map(release);
    await Promise.all(lines);
    known.delete('gone');
    known.set('moved', { ...one, uri: 'ipp://127.0.0.1:9/' });
    busy.resolve();
    assert.is((await first).outcome, 'printed');
    const [gone, moved, same] = await Promise.all(others);
    assert.is(gone?.outcome, 'failed');
    assert.match(gone?.reason ?? '', 'there is no printer "gone"');
    assert.is(moved?.outcome, 'failed');
    assert.match(moved?.reason ?? '', 'another address');
    assert.is(same?.outcome, 'printed');
    assert.equal(did.filter((what) => /^(gone|moved)/.test(what)), ['gone is free', 'moved is free']);
  } finally {
    busy.resolve();
    door.close();
    await printer.stop();
  }
});

test('why a printer refuses is a short line without commands', () => {
  const words = ipp.attribute('status-message', {
    ...{
      syntax: 'textWithoutLanguage',
      value: `\u001b[2J\u202egro.evil\u2028${'x'.repeat(32_000)}`,
    } as const,
  });
  const said = refusalOf({
    ...{ version: 0x0200, code: statuses['client-error-not-possible'], requestId: 1 },
    groups: [{ tag: groups['operation-attributes-tag'], attributes: [words] }],
  });
  assert.match(said, 'gro.evil');
  assert.ok(said.length < 2 * limits.maxReasonChars, String(said.length));
  assert.not.match(said, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  assert.is(
    printable('\u0646\u200c\u0627 \u{1f469}\u200d\u{1f680}', 99),
    '\u0646\u200c\u0627 \u{1f469}\u200d\u{1f680}',
  );
});

test('with TLS and without it a printer has one line', async () => {
  const busy = Promise.withResolvers<void>();
  const printer = await startScriptedPrinter({
    'Send-Document': async ({ document, answer }) => {
      await readAll(document);
      await busy.promise;
      answer();
    },
  });
  const one = new Deliverer({ limits: { ...limits, abreast: 1 } });
  const { host } = new URL(printer.uri);
  const inLine = Promise.withResolvers<string | null>();
  try {
    const first = one.deliver(delivery(printer.uri));
    await waitFor(() => printer.asked.includes('Send-Document') || undefined, {
      ...{ deadline_ms: 30_000, what: 'the first document to be on its way' },
    });
    const second = one.deliver({ ...delivery(`ipps://${host}/ipp/print`), onWaiting: inLine.resolve });
    assert.match(await inLine.promise ?? '', 'other documents');
    busy.resolve();
    assert.is((await first).outcome, 'printed');
    // it speaks no TLS
    assert.is((await second).outcome, 'failed');
  } finally {
    busy.resolve();
    one.close();
    await printer.stop();
  }
});

test.run();
