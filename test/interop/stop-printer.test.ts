/** A node that is stopped while a printer has its job: what the printer says of the end is heard. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runInside } from '../../src/cli/run.ts';
import { integer } from '../../src/ipp/message.ts';
import { startNodes } from '../fakes/nodes.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { readAll, startScriptedPrinter, stateOf } from '../fakes/scripted-printer.ts';

/** longer than a node used to wait, and shorter than a printer may take to cancel a job */
const cancelTakes_ms = 7000;

test('a printer that takes its time to cancel a job says that no sheet came out, and the job is held', async () => {
  const nodes = await startNodes(3, { drain_s: 0 });
  let cancelled = false;
  const printer = await startScriptedPrinter({
    'Send-Document': async ({ document, answer }) => {
      await readAll(document);
      answer();
    },
    'Get-Job-Attributes': ({ answer }) =>
      answer('successful-ok', [
        stateOf(cancelled ? 'canceled' : 'processing'),
        integer('job-impressions-completed', 0),
      ]),
    'Cancel-Job': async ({ answer }) => {
      await new Promise((resolve) => setTimeout(resolve, cancelTakes_ms));
      cancelled = true;
      answer();
    },
  });
  await nodes.addPrinter('slow', printer.uri);
  const file = join(tempDir(), 'document.pdf');
  writeFileSync(file, '%PDF-1.4\n');
  const { id } = await runInside<{ id: string }>(['print', file, ...nodes.asAda]);
  const released = runInside(['release', id, '--printer', 'slow', ...nodes.asAda]).catch(() => {});
  await waitFor(() => printer.asked.includes('Get-Job-Attributes') || undefined, {
    ...{ deadline_ms: 60_000, what: 'the printer to have the document' },
  });
  try {
    const elsewhere = await nodes.stopFirst();
    await released;
    const state = async () => (await runInside<{ state: string }>(['job', 'show', id, ...elsewhere])).state;
    const ended = await waitFor(async () => /^(?:held|interrupted)$/.exec(await state())?.[0], {
      ...{ deadline_ms: 60_000, what: 'the end of the release to be known' },
    });
    assert.is(ended, 'held');
  } finally {
    await nodes.stop();
    await printer.stop();
  }
});

test.run();
