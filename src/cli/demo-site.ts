/** The demo with one site: a document through it. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { JobView } from '../job.ts';
import type { Result, Terminal } from './command.ts';
import { expect, expectErased, expectUnreadable, keptDocument } from './demo-checks.ts';
import type { DemoNode } from './demo-cluster.ts';
import { as, type DemoPrinter, type DemoUser, refusal, release, type Stage, submit } from './demo-stage.ts';

/** The whole flow of one document. @throws InkmeshError when anything is not as it should be */
export async function playSite(stage: Stage, terminal: Terminal): Promise<Result> {
  const { cluster, inside, users, printers } = stage;
  const [ada, eve] = users as [DemoUser, DemoUser];
  const [printer] = printers as [DemoPrinter];
  const [first, second, third] = cluster.sites[0]?.nodes as [...DemoNode[], never, never, never];
  const { id, holders, document, marker } = await submit(stage, ada, second);
  terminal.say(`4. ada has printed a PDF of ${document.length} bytes at ${second.name}: job ${id}`);
  const seen = await inside<JobView[]>(['jobs', ...as(ada, first)]);
  expect(seen.some((job) => job.id === id && job.state === 'held'), 'the job is held and listed');
  terminal.say(
    `     It waits, encrypted, on ${holders.join(', ')}: each has one of three pieces of its key.`,
  );
  for (const name of holders) await expectUnreadable(cluster.path(name), name, marker);
  terminal.say(
    '     None of them can read it alone: one share says nothing of the key, and no file has the text.',
  );
  const refused = await refusal(release(stage, id, printer, as(eve, third)));
  terminal.say(`5. eve asks for ada’s job and is refused: ${refused}`);
  const released = await release(stage, id, printer, as(ada, third));
  expect(
    released.outcome === 'printed',
    `the printer says printed (${released.outcome}: ${released.reason ?? ''})`,
  );
  terminal.say(
    `6. ada releases it at ${printer.name}, through ${third.name}: ${released.outcome} after ${released.done_ms} ms`,
  );
  const printed = await keptDocument(printer.kept, document);
  terminal.say(`7. What came out is what went in, byte for byte: ${printed}`);
  terminal.say(`     sha256 ${createHash('sha256').update(document).digest('hex')}`);
  for (const name of holders) await expectErased(join(cluster.path(name), 'envelopes'), name);
  terminal.say(`8. ${holders.join(', ')} have erased their pieces.`);
  return {
    json: { id, holders, released, refused, printed: true },
    text: 'The demo has done what it should.',
  };
}
