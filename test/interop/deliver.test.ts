import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import { type KeepingPrinter, startEvePrinter, startTestPrinter } from '../../src/cli/demo-printer.ts';
import { Deliverer, type Delivery, probe } from '../../src/deliver/deliver.ts';
import { pjlFormat } from '../../src/deliver/formats.ts';
import { wrapping } from '../../src/deliver/pjl.ts';
import type { Ticket } from '../../src/job.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { tempDir, untilStalled, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startSink } from '../fakes/sink.ts';

const deliverer = new Deliverer();
const deliver = (made: Delivery) => deliverer.deliver(made);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const content = randomBytes(3 * 1024 * 1024 + 17);
const ticket: Ticket = { title: 'Quarterly figures', format: 'application/pdf', options: {} };

async function* pieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** A delivery of `content`, and what happened to it. */
function delivery(uri: string, changes: Partial<Delivery> & { fingerprint?: string } = {}) {
  const seen = { begun: 0, read: 0, progress: 0 };
  const document = changes.document ?? pieces(content);
  const { fingerprint, ...rest } = changes;
  const made: Delivery = {
    ticket,
    user: 'ada',
    bytes: content.length,
    begin: () => {
      seen.begun += 1;
      return Promise.resolve();
    },
    signal: new AbortController().signal,
    onProgress: (bytes) => seen.progress = bytes,
    ...rest,
    printer: { name: 'p', uri, ...(fingerprint === undefined ? {} : { fingerprint }) },
    document: (async function* () {
      for await (const chunk of document) {
        seen.read += chunk.length;
        yield chunk;
      }
    })(),
  };
  return { made, seen };
}

function keptDigests({ kept }: KeepingPrinter): string[] {
  return readdirSync(kept).map((name) => sha256(readFileSync(join(kept, name))));
}

/** Runs `body` with a printer of Debian's, unless it is not installed. */
function withEve(name: string, body: (printer: KeepingPrinter) => Promise<void>): void {
  test(name, async () => {
    const printer = await startEvePrinter({ dir: tempDir() });
    if (printer === undefined) throw new Error('ippeveprinter is gone');
    try {
      await body(printer);
    } finally {
      await printer.stop();
    }
  });
}

if (requireTools(['ippeveprinter', 'dbus-daemon'])) {
  withEve('ipps prints with the certificate that was accepted, and with no other', async (printer) => {
    const uri = printer.uri.replace('ipp:', 'ipps:');
    const { fingerprint = '', formats, makeAndModel } = await probe(uri);
    assert.match(fingerprint, /^[0-9a-f]{64}$/);
    assert.ok(formats?.includes('application/pdf'));
    assert.ok(makeAndModel);
    const right = delivery(uri, { fingerprint });
    assert.is((await deliver(right.made)).outcome, 'printed');
    for (const wrong of [{ fingerprint: '00'.repeat(32) }, {}]) {
      const { made, seen } = delivery(uri, wrong);
      // no other address does for a printer that may be somebody else's
      const more = [printer.uri];
      const outcome = await deliver({ ...made, printer: { ...made.printer, more } });
      assert.is(outcome.outcome, 'failed');
      assert.match(outcome.reason ?? '', 'printer accept p');
      assert.is(outcome.wrongCertificate, fingerprint);
      assert.equal(seen, { begun: 0, read: 0, progress: 0 });
    }
    assert.equal(keptDigests(printer), [sha256(content)]);
  });

  withEve('a format that the printer does not take fails before begin', async (printer) => {
    const { made, seen } = delivery(printer.uri, { ticket: { ...ticket, format: 'application/postscript' } });
    const outcome = await deliver(made);
    assert.is(outcome.outcome, 'failed');
    assert.match(outcome.reason ?? '', 'application/postscript');
    assert.is(seen.begun, 0);
  });

  withEve('a printer that dies in mid-document leaves an interrupted job', async (printer) => {
    const document = (async function* () {
      yield content.subarray(0, 1024 * 1024);
      await printer.stop();
      yield content.subarray(1024 * 1024);
    })();
    const { made } = delivery(printer.uri, { document });
    assert.is((await deliver(made)).outcome, 'interrupted');
  });
}

test('our own test printer prints too, with the options that it knows', async () => {
  const printer = await startTestPrinter({ dir: tempDir() });
  try {
    const options = { copies: 2, sides: 'two-sided-long-edge', media: 'unheard_of_1x1mm' } as const;
    const { made } = delivery(printer.uri, { ticket: { ...ticket, options } });
    const outcome = await deliver(made);
    assert.is(outcome.outcome, 'printed', outcome.reason);
    assert.match(outcome.reason ?? '', 'media');
    assert.equal(keptDigests(printer), [sha256(content)]);
  } finally {
    await printer.stop();
  }
});

test('ticket options reach the printer, and the document waits for it', async () => {
  const door = new MemoryDoor();
  door.stateAfter = 'printed';
  const open = door.shut();
  const tls = requireTools(['openssl']) ? selfSigned() : undefined;
  const printer = await serveDoor(door, tls);
  try {
    const options = { copies: 3, 'print-color-mode': 'monochrome' } as const;
    const bytes = 64 * 1024 * 1024;
    const document = pieces(new Uint8Array(bytes));
    const pin = tls === undefined ? {} : { fingerprint: tls.fingerprint };
    const { made, seen } = delivery(printer.uri, { ticket: { ...ticket, options }, document, bytes, ...pin });
    const delivered = deliver(made);
    await untilStalled(() => seen.read, { deadline_ms: 30_000, what: 'the delivery to stall' });
    assert.ok(seen.read < bytes / 2, `${seen.read} octets were read for a printer that takes none`);
    open();
    const outcome = await delivered;
    assert.is(outcome.outcome, 'printed', outcome.reason);
    assert.equal(door.submitted[0]?.ticket.options, options);
    assert.is(door.submitted[0]?.ticket.title, ticket.title);
    assert.is(door.submitted[0]?.bytes, bytes);
  } finally {
    await printer.close();
  }
});

test('a stopped delivery is cancelled', async () => {
  const door = new MemoryDoor();
  door.pace = () => new Promise(() => {});
  const printer = await serveDoor(door);
  const stop = new AbortController();
  try {
    const { made } = delivery(printer.uri, { signal: stop.signal });
    const delivered = deliver(made);
    await waitFor(() => door.read > 0 ? true : undefined, { deadline_ms: 30_000, what: 'the first octets' });
    stop.abort(new Error('stopped by its owner'));
    const outcome = await delivered;
    assert.is(outcome.outcome, 'interrupted');
    assert.match(outcome.reason ?? '', 'stopped by its owner');
  } finally {
    await printer.close();
  }
});

test('a printer that is off, or that speaks no IPP, fails before begin', async () => {
  const web = createServer((_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const address = web.address();
  const webPort = typeof address === 'object' ? address?.port : 0;
  try {
    for (const uri of [`ipp://127.0.0.1:${webPort}/`, `ipps://127.0.0.1:${webPort}/`]) {
      const { made, seen } = delivery(uri);
      assert.is((await deliver(made)).outcome, 'failed');
      assert.is(seen.begun, 0);
    }
    for (const scheme of ['ipp', 'ipps', 'socket']) {
      const { made, seen } = delivery(`${scheme}://127.0.0.1:${await freePort()}/ipp/print`);
      const outcome = await deliver(made);
      assert.is(outcome.outcome, 'failed');
      assert.match(outcome.reason ?? '', 'cannot be reached');
      assert.is(seen.begun, 0);
    }
  } finally {
    web.close();
  }
  const thrown = await deliver(delivery('lpr://x').made).catch((error: unknown) => error);
  assert.match(String(thrown), 'ipp://');
});

test('RAW: no octet is sent when begin throws, or when the document never starts', async () => {
  const sink = await startSink();
  try {
    const refused = delivery(sink.uri, { begin: () => Promise.reject(new Error('no quorum')) });
    assert.match(String(await deliver(refused.made).catch((error: unknown) => error)), 'no quorum');
    // deno-lint-ignore require-yield
    const document = (async function* (): AsyncGenerator<Uint8Array> {
      throw new Error('the share is corrupt');
    })();
    const outcome = await deliver(delivery(sink.uri, { document }).made);
    assert.is(outcome.outcome, 'failed');
    await waitFor(() => sink.connections === 2 ? true : undefined, {
      deadline_ms: 30_000,
      what: 'both connections',
    });
    assert.ok(sink.documents.every((document) => document.bytes === 0));
  } finally {
    await sink.stop();
  }
});

test('RAW: a printer that speaks PJL gets its header before the document, and the end behind it', async () => {
  const sink = await startSink();
  const options = { copies: 2, 'number-up': 4 } as const;
  try {
    const { made } = delivery(sink.uri, { ticket: { ...ticket, options } });
    const formats = ['application/pdf', pjlFormat];
    const outcome = await deliver({ ...made, printer: { ...made.printer, formats } });
    assert.is(outcome.outcome, 'sent', outcome.reason);
    assert.match(outcome.reason ?? '', 'number-up');
    const { head, tail } = wrapping(formats, { ...ticket, options }, 'ada');
    const all = Buffer.concat([head, content, tail]);
    assert.equal(sink.documents, [{ bytes: all.length, sha256: sha256(all) }]);
  } finally {
    await sink.stop();
  }
});

test.after(() => deliverer.close());

test.run();
