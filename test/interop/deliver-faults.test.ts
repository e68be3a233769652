/** What goes wrong at a printer, and what becomes of the job: the table of docs/RELEASE.md. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { Deliverer, type Delivery, type Outcome } from '../../src/deliver/deliver.ts';
import { integer } from '../../src/ipp/message.ts';
import { deliverLimits } from '../../src/limits.ts';
import type { Condition } from '../../src/printers/condition.ts';
import { waitFor } from '../fakes/processes.ts';
import {
  type Exchange,
  type Script,
  type ScriptedPrinter,
  startScriptedPrinter,
  stateOf,
} from '../fakes/scripted-printer.ts';
import { type Sink, startSink } from '../fakes/sink.ts';

/** more than the buffers between both ends take */
const bytes = 20 * 1024 * 1024;
/** a minute of the real ones lasts 100 ms here */
const limits = {
  ...deliverLimits,
  ...{ wait_ms: 1000, follow_ms: 3000, lost_ms: 300, cancel_ms: 500, stall_ms: 1000, request_ms: 500 },
  ...{ look_ms: 40, followFirst_ms: 5, followMost_ms: 40, rawClose_ms: 300, busyEager_ms: 200 },
};
const deliverer = new Deliverer({ limits });
test.after(() => deliverer.close());

async function* pieces(): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(64 * 1024);
  for (let at = 0; at < bytes; at += chunk.length) yield chunk;
}

interface Seen {
  begun: number;
  waiting: (string | null)[];
}

async function delivered(
  printer: Delivery['printer'],
  more: Partial<Delivery> = {},
): Promise<Outcome & Seen> {
  const seen: Seen = { begun: 0, waiting: [] };
  const outcome = await deliverer.deliver({
    printer,
    ticket: { title: 'Quarterly figures', format: 'application/pdf', options: {} },
    user: 'ada',
    document: pieces(),
    bytes,
    begin: () => {
      seen.begun += 1;
      return Promise.resolve();
    },
    signal: new AbortController().signal,
    onWaiting: (reason) => seen.waiting.push(reason),
    ...more,
  });
  return { ...outcome, ...seen };
}

/** Delivers to an IPP printer that follows the script. */
async function toScripted(
  script: Script,
  see: (outcome: Outcome & Seen, printer: ScriptedPrinter) => void | Promise<void>,
  meanwhile: (printer: ScriptedPrinter) => void = () => {},
): Promise<void> {
  const printer = await startScriptedPrinter(script);
  try {
    const done = delivered({ name: 'p', uri: printer.uri });
    meanwhile(printer);
    await see(await done, printer);
  } finally {
    await printer.stop();
  }
}

async function withSink<T>(options: Parameters<typeof startSink>[0], use: (sink: Sink) => Promise<T>) {
  const sink = await startSink(options);
  try {
    return await use(sink);
  } finally {
    await sink.stop();
  }
}

const sheets = (count: number) => integer('job-media-sheets-completed', count);
const ended = (state: 'canceled' | 'aborted', count: number) => ({ answer }: Exchange) =>
  answer('successful-ok', [stateOf(state), sheets(count)]);

/** Reads a part of the document, and resets the connection. */
const resetAt = (part: number) => async ({ document, breakOff }: Exchange) => {
  const chunks = document[Symbol.asyncIterator]();
  for (let read = 0; read < bytes * part;) read += ((await chunks.next()).value ?? []).length;
  breakOff();
};

for (const percent of [0, 50, 99]) {
  test(`RAW: a connection reset at ${percent} % is an interrupted job`, async () => {
    await withSink({ resetAfter: bytes * percent / 100 }, async (sink) => {
      const { outcome, reason, begun } = await delivered({ name: 'p', uri: sink.uri });
      assert.is(outcome, 'interrupted');
      assert.ok(reason);
      assert.is(begun, 1);
      assert.is(sink.connections, 1);
    });
  });

  test(`IPP: a connection reset at ${percent} % is failed when no sheet came out`, async () => {
    const script = { 'Send-Document': resetAt(percent / 100), 'Get-Job-Attributes': ended('canceled', 0) };
    await toScripted(script, ({ outcome, begun }, { asked }) => {
      assert.is(outcome, 'failed');
      assert.is(begun, 1);
      // the last octets may be in the hands of the system already, so that the printer may go on with all of them
      if (percent < 99) assert.ok(asked.includes('Cancel-Job'));
      assert.is(asked.filter((name) => name === 'Send-Document').length, 1);
    });
  });

  test(`IPP: a connection reset at ${percent} % is interrupted when a sheet came out`, async () => {
    const script = { 'Send-Document': resetAt(percent / 100), 'Get-Job-Attributes': ended('canceled', 1) };
    await toScripted(script, ({ outcome }, { asked }) => {
      assert.is(outcome, 'interrupted');
      assert.is(asked.filter((name) => name === 'Send-Document').length, 1);
    });
  });
}

test('IPP: a busy printer is asked again until it takes the job', async () => {
  let asked = 0;
  const script: Script = {
    'Create-Job': ({ answer }) => ++asked < 5 ? answer('server-error-busy', []) : answer(),
  };
  await toScripted(script, ({ outcome, waiting }) => {
    assert.is(outcome, 'printed');
    assert.match(waiting[0] ?? '', 'busy');
    assert.is(waiting.at(-1), null);
  });
});

test('IPP: a printer that stays busy fails in the end, and has got nothing', async () => {
  await toScripted({ 'Create-Job': ({ answer }) => answer('server-error-busy', []) }, (outcome, printer) => {
    assert.is(outcome.outcome, 'failed');
    assert.match(outcome.reason ?? '', 'busy');
    assert.is(printer.received, 0);
  });
});

test('IPP: a job that the printer accepts and aborts is failed when no sheet came out', async () => {
  await toScripted({ 'Get-Job-Attributes': ended('aborted', 0) }, ({ outcome, reason }) => {
    assert.is(outcome, 'failed');
    assert.match(reason ?? '', 'aborted by the printer');
  });
});

test('IPP: a job that the printer accepts and aborts is interrupted when sheets came out', async () => {
  await toScripted({ 'Get-Job-Attributes': ended('aborted', 3) }, ({ outcome }) => {
    assert.is(outcome, 'interrupted');
  });
});

test('IPP: a job that the printer aborts without a word on sheets is interrupted', async () => {
  const aborted = ({ answer }: Exchange) => answer('successful-ok', [stateOf('aborted')]);
  await toScripted({ 'Get-Job-Attributes': aborted }, ({ outcome }) => assert.is(outcome, 'interrupted'));
});

test('IPP: a printer that takes ten minutes has printed, and is not called stopped', async () => {
  const start_ms = performance.now();
  const script: Script = {
    'Get-Job-Attributes': ({ answer }) => {
      const busy = performance.now() - start_ms < 1.5 * limits.wait_ms;
      answer('successful-ok', [stateOf(busy ? 'processing' : 'completed')]);
    },
  };
  const printing = (printer: ScriptedPrinter) => void (printer.state = 'processing');
  await toScripted(script, ({ outcome, waiting }) => {
    assert.is(outcome, 'printed');
    assert.equal(waiting, []);
  }, printing);
});

test('RAW: a printer that reads slowly for ten minutes gets all of it', async () => {
  await withSink({ stallAfter: 0 }, async (sink) => {
    const trickle = setInterval(() => {
      sink.go();
      setTimeout(() => sink.stall(), 5);
    }, limits.stall_ms / 5);
    try {
      const start_ms = performance.now();
      const { outcome, reason } = await delivered({ name: 'p', uri: sink.uri });
      assert.is(outcome, 'sent', reason);
      assert.ok(performance.now() - start_ms > limits.stall_ms, 'it was not slow');
    } finally {
      clearInterval(trickle);
    }
  });
});

test('IPP: a printer that dies for good with the document in its hands leaves an interrupted job', async () => {
  const printer: ScriptedPrinter = await startScriptedPrinter({
    'Get-Job-Attributes': ({ breakOff }) => {
      breakOff();
      void printer.stop();
    },
  });
  const { outcome, reason } = await delivered({ name: 'p', uri: printer.uri });
  assert.is(outcome, 'interrupted');
  assert.ok(reason);
});

test('RAW: a printer that dies for good leaves an interrupted job', async () => {
  await withSink({ stallAfter: bytes / 2 }, async (sink) => {
    const { outcome, reason } = await delivered({ name: 'p', uri: sink.uri });
    assert.is(outcome, 'interrupted');
    assert.match(reason ?? '', 'takes no more');
  });
});

/** A job that goes on when the printer has paper again. */
const whilePaper = (has: () => boolean): Script => ({
  'Get-Job-Attributes': ({ answer }) =>
    answer('successful-ok', [stateOf(has() ? 'completed' : 'processing-stopped'), sheets(has() ? 1 : 0)]),
});

test('IPP: out of paper: the job waits, says why, and goes on by itself', async () => {
  let paper = false;
  await toScripted(whilePaper(() => paper), ({ outcome, waiting }) => {
    assert.is(outcome, 'printed');
    assert.equal(waiting, ['tray empty: add paper', null]);
  }, (printer) => {
    Object.assign(printer, { state: 'stopped', reasons: ['media-empty-error'] });
    setTimeout(() => {
      paper = true;
      Object.assign(printer, { state: 'processing', reasons: [] });
    }, limits.wait_ms / 2);
  });
});

for (const [count, expected] of [[0, 'failed'], [2, 'interrupted']] as const) {
  test(`IPP: out of paper for too long: cancelled at the printer, and ${expected}: ${count} sheets`, async () => {
    let cancelled = false;
    const script: Script = {
      'Cancel-Job': ({ answer }) => {
        cancelled = true;
        answer();
      },
      'Get-Job-Attributes': ({ answer }) =>
        answer('successful-ok', [
          stateOf(cancelled ? 'canceled' : 'processing-stopped'),
          sheets(count),
        ]),
    };
    await toScripted(script, ({ outcome, reason }, { asked }) => {
      assert.is(outcome, expected);
      assert.match(reason ?? '', 'tray empty');
      assert.is(asked.filter((name) => name === 'Cancel-Job').length, 1);
    }, (printer) => Object.assign(printer, { state: 'stopped', reasons: ['media-empty'] }));
  });
}

const empty: Condition = {
  activity: 'stopped',
  reasons: [{ keyword: 'media-empty', severity: 'error' }],
};
const ready: Condition = { activity: 'idle', reasons: [] };

test('RAW: a printer that says it is out of paper gets no octet until it has some', async () => {
  await withSink({}, async (sink) => {
    let condition = empty;
    const done = delivered({ name: 'p', uri: sink.uri }, { condition: () => Promise.resolve(condition) });
    await waitFor(() => sink.connections === 1 ? true : undefined, {
      deadline_ms: 30_000,
      what: 'a connection',
    });
    await new Promise((resolve) => setTimeout(resolve, limits.wait_ms / 2));
    assert.is(sink.received, 0);
    condition = ready;
    const { outcome, waiting } = await done;
    assert.is(outcome, 'sent');
    assert.equal(waiting, ['tray empty: add paper', null]);
    assert.is(sink.received, bytes);
  });
});

test('RAW: a printer that is out of paper gets no octet for an answer that is lost', async () => {
  await withSink({}, async (sink) => {
    let condition: Condition | undefined = empty;
    let silent = 0;
    const ask = () => {
      if (condition !== undefined) return Promise.resolve(condition);
      silent += 1;
      return Promise.reject(new InkmeshError('unavailable', 'no answer'));
    };
    const done = delivered({ name: 'p', uri: sink.uri }, {
      condition: ask,
      onWaiting: () => condition = undefined,
    });
    await waitFor(() => silent > 3 ? true : undefined, { deadline_ms: 30_000, what: 'answers to be lost' });
    assert.is(sink.received, 0);
    condition = ready;
    assert.is((await done).outcome, 'sent');
    assert.is(sink.received, bytes);
  });
});

test('RAW: a port that takes the connection and ends it at once is a failed job', async () => {
  await withSink({ resetAfter: -1 }, async ({ uri }) => {
    const begin = () => new Promise<void>((resolve) => setTimeout(resolve, 100));
    const { outcome, reason } = await delivered({ name: 'p', uri }, { begin });
    assert.is(outcome, 'failed');
    assert.match(reason ?? '', 'closed the connection');
  });
});

test('RAW: a printer that says it is out of paper for too long gets nothing, and the job is failed', async () => {
  await withSink({}, async (sink) => {
    const condition = () => Promise.resolve(empty);
    const { outcome, reason } = await delivered({ name: 'p', uri: sink.uri }, { condition });
    assert.is(outcome, 'failed');
    assert.match(reason ?? '', 'tray empty');
    assert.is(sink.received, 0);
  });
});

test('RAW: a printer that runs out of paper in mid-document is waited for', async () => {
  await withSink({ stallAfter: bytes / 2 }, async (sink) => {
    const condition = () => Promise.resolve(sink.received < bytes / 2 ? ready : stuck);
    let stuck = empty;
    const done = delivered({ name: 'p', uri: sink.uri }, { condition });
    const half = () => sink.received >= bytes / 2 ? true : undefined;
    await waitFor(half, { deadline_ms: 30_000, what: 'half of the document' });
    setTimeout(() => {
      stuck = ready;
      sink.go();
    }, limits.wait_ms / 2);
    const { outcome, waiting, reason } = await done;
    assert.is(outcome, 'sent', reason);
    assert.equal(waiting, ['tray empty: add paper', null]);
  });
});

test('the next address is tried when nobody answers at the first', async () => {
  await withSink({}, async (sink) => {
    const off = `ipp://127.0.0.1:${await freePort()}/ipp/print`;
    const { outcome, begun } = await delivered({ name: 'p', uri: off, more: [sink.uri] });
    assert.is(outcome, 'sent');
    assert.is(begun, 1);
    assert.is(sink.received, bytes);
  });
});

test('the next address is not tried once the document was on its way', async () => {
  await withSink({ resetAfter: bytes / 2 }, async (broken) => {
    await withSink({}, async (sink) => {
      const { outcome } = await delivered({ name: 'p', uri: broken.uri, more: [sink.uri] });
      assert.is(outcome, 'interrupted');
      assert.is(sink.connections, 0);
    });
  });
});

test('when nobody answers at any address, each is named', async () => {
  const uris = [await freePort(), await freePort()].map((port) => `socket://127.0.0.1:${port}`);
  const [uri = '', ...more] = uris;
  const { outcome, reason, begun } = await delivered({ name: 'p', uri, more });
  assert.is(outcome, 'failed');
  assert.is(begun, 0);
  assert.match(reason ?? '', uri);
});

test('RAW: a format that the printer is known not to take fails before begin', async () => {
  await withSink({}, async (sink) => {
    const printer = { name: 'p', uri: sink.uri, formats: ['application/postscript'] };
    const { outcome, reason, begun } = await delivered(printer);
    assert.is(outcome, 'failed');
    assert.match(reason ?? '', 'does not take application/pdf');
    assert.is(begun, 0);
    assert.is(sink.connections, 0);
  });
});

test('documents for a RAW printer go one after the other', async () => {
  await withSink({ stallAfter: 0 }, async (sink) => {
    const all = [1, 2, 3].map(() => delivered({ name: 'p', uri: sink.uri }));
    await waitFor(() => sink.connections === 1 ? true : undefined, {
      deadline_ms: 30_000,
      what: 'a connection',
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.is(sink.connections, 1);
    sink.go();
    const outcomes = await Promise.all(all);
    assert.equal(outcomes.map(({ outcome }) => outcome), ['sent', 'sent', 'sent']);
    assert.is(sink.documents.length, 3);
  });
});

test.run();
