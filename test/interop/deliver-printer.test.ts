import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Deliverer, type Delivery, type Outcome } from '../../src/deliver/deliver.ts';
import {
  type Exchange,
  readAll,
  type ScriptedPrinter,
  startScriptedPrinter,
  stateOf,
} from '../fakes/scripted-printer.ts';

const deliverer = new Deliverer();

/** more than the buffers between both ends take */
const bytes = 20 * 1024 * 1024;

async function* pieces(): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(64 * 1024);
  for (let at = 0; at < bytes; at += chunk.length) yield chunk;
}

type Script = Parameters<typeof startScriptedPrinter>[0];

/** A delivery of `bytes` octets. */
const deliveryTo = (uri: string): Delivery => ({
  printer: { name: 'p', uri },
  ticket: { title: 'Quarterly figures', format: 'application/pdf', options: {} },
  user: 'ada',
  document: pieces(),
  bytes,
  begin: () => Promise.resolve(),
  signal: new AbortController().signal,
});

/** Delivers to a printer that follows the script. */
async function delivered(script: Script, see: (outcome: Outcome, printer: ScriptedPrinter) => void) {
  const printer = await startScriptedPrinter(script);
  try {
    see(await deliverer.deliver(deliveryTo(printer.uri)), printer);
  } finally {
    await printer.stop();
  }
}

/** The two ways to submit: RFC 8011 sections 4.2.1 and 4.3.1. */
const ways = ['Print-Job', 'Send-Document'] as const;

for (const way of ways) {
  test(`${way}: a printer that answers well and then takes no more has not printed`, async () => {
    const take = async ({ document, answer, breakOff }: Exchange) => {
      const chunks = document[Symbol.asyncIterator]();
      await chunks.next();
      answer();
      for (let read = 0; read < 10; read++) await chunks.next();
      breakOff();
    };
    await delivered({ [way]: take }, (outcome, printer) => {
      assert.is(outcome.outcome, 'interrupted', JSON.stringify(outcome));
      assert.match(outcome.reason ?? '', 'whole document');
      assert.is(outcome.lastByte_ms, undefined);
      assert.ok(printer.received < bytes);
      assert.ok(printer.asked.includes('Cancel-Job'));
    });
  });

  test(`${way}: a printer that answers well before it has read the document gets all of it`, async () => {
    const take = async ({ document, answer }: Exchange) => {
      answer();
      await readAll(document);
    };
    await delivered({ [way]: take }, (outcome, printer) => {
      assert.is(outcome.outcome, 'printed', outcome.reason);
      assert.is(printer.received, bytes);
    });
  });

  test(`${way}: a printer that refuses while it is sent to gets no more`, async () => {
    const take = async ({ document, answer }: Exchange) => {
      await document[Symbol.asyncIterator]().next();
      answer('client-error-document-format-not-supported');
    };
    const follow = ({ answer }: Exchange) => answer('successful-ok', [stateOf('aborted')]);
    await delivered({ [way]: take, 'Get-Job-Attributes': follow }, (outcome, printer) => {
      assert.is(outcome.outcome, way === 'Print-Job' ? 'failed' : 'interrupted', JSON.stringify(outcome));
      assert.match(outcome.reason ?? '', 'client-error-document-format-not-supported');
      assert.ok(printer.received < bytes, `${printer.received} octets`);
    });
  });
}

test('a refusal that comes with the last octets leaves the connection fit for the next request', async () => {
  const script: Script = {
    'Send-Document': async ({ document, answer }) => {
      await readAll(document);
      answer('server-error-internal-error');
    },
  };
  await delivered(script, (outcome, printer) => {
    assert.is(outcome.outcome, 'interrupted', JSON.stringify(outcome));
    assert.is(printer.received, bytes);
    assert.ok(printer.asked.includes('Cancel-Job'));
  });
});

test('a job that a printer never knew of is sent', async () => {
  await delivered({
    'Get-Job-Attributes': ({ answer }) => answer('client-error-not-found', []),
  }, (outcome) => assert.is(outcome.outcome, 'sent', JSON.stringify(outcome)));
});

test('a job that a printer loses in mid-print is interrupted', async () => {
  let polls = 0;
  await delivered({
    'Get-Job-Attributes': ({ answer }) => {
      polls += 1;
      if (polls < 3) answer('successful-ok', [stateOf('processing')]);
      else answer('client-error-not-found', []);
    },
  }, (outcome) => {
    assert.is(outcome.outcome, 'interrupted', JSON.stringify(outcome));
    assert.match(outcome.reason ?? '', 'look at the printer');
  });
});

test('a job whose printer restarts before it has said anything of it is interrupted', async () => {
  let asked = 0;
  await delivered({
    // a lost connection is asked again at once by another one
    'Get-Job-Attributes': ({ answer, breakOff }) => {
      asked += 1;
      if (asked <= 2) breakOff();
      else answer('client-error-not-found', []);
    },
  }, (outcome) => assert.is(outcome.outcome, 'interrupted', JSON.stringify(outcome)));
});

test('a document whose answer is lost and whose job is unknown afterwards is interrupted', async () => {
  await delivered({
    'Send-Document': async ({ document, breakOff }) => {
      await readAll(document);
      breakOff();
    },
    'Get-Job-Attributes': ({ answer }) => answer('client-error-not-found', []),
  }, (outcome) => {
    assert.is(outcome.outcome, 'interrupted', JSON.stringify(outcome));
    assert.ok(outcome.lastByte_ms);
  });
});

/** Two deliveries, one after the other. @returns what the printer was asked, in order */
async function twice(script: Script, between: (printer: ScriptedPrinter) => void = () => {}) {
  const printer = await startScriptedPrinter(script);
  const once = () => deliverer.deliver(deliveryTo(printer.uri));
  try {
    assert.is((await once()).outcome, 'printed');
    between(printer);
    assert.is((await once()).outcome, 'printed');
    return { asked: printer.asked, connections: printer.connections };
  } finally {
    await printer.stop();
  }
}

for (const way of ways) {
  test(`${way}: what a printer can do is asked once for jobs that come soon, over one connection`, async () => {
    const take = async ({ document, answer }: Exchange) => {
      await readAll(document);
      answer();
    };
    const { asked, connections } = await twice({ [way]: take });
    assert.is(asked.filter((name) => name === 'Get-Printer-Attributes').length, 1);
    assert.is(asked.filter((name) => name === way).length, 2);
    // a document goes on no connection that may be dead
    assert.is(connections, way === 'Print-Job' ? 2 : 1);
  });

  test(`${way}: an idle connection that the printer has closed costs no job`, async () => {
    const take = async ({ document, answer }: Exchange) => {
      await readAll(document);
      answer();
    };
    const { asked } = await twice({ [way]: take }, (printer) => printer.closeIdle());
    assert.is(asked.filter((name) => name === way).length, 2);
  });
}

test.after(() => deliverer.close());

test.run();
