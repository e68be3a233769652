/**
 * The standard's own tests against the queue of an edge node, one of three that keep every job. All jobs are held, and
 * a suite waits for its first one to be completed: its owner releases that one at a printer.
 */
import { join } from 'node:path';
import { test } from 'uvu';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { runSuite, type Suite, suiteFolder, suites } from '../fakes/ipptool-suites.ts';
import { startNodes } from '../fakes/nodes.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const patience_ms = 300_000;
const jobPatience_ms = 180_000;

if (requireTools(['ipptool'])) {
  const nodes = await startNodes(3);
  const printer = new MemoryDoor();
  printer.stateAfter = 'printed';
  const served = await serveDoor(printer);
  await nodes.addPrinter('printer', served.uri);
  test.after(async () => {
    await nodes.stop();
    await served.close();
  });
  const ways = [
    { uri: nodes.uris.ipp, document: 'document-letter.pdf' },
    { uri: nodes.uris.ipps, document: 'document-a4.pdf' },
  ] as const;
  const folder = suiteFolder();

  const jobs = () => runInside<JobView[]>(['jobs', ...nodes.asAda]);

  const releaseFirst = async (title: string, before: ReadonlySet<string>) => {
    const first = async () => (await jobs()).findLast((job) => job.title === title && !before.has(job.id));
    const { id } = await waitFor(first, { deadline_ms: jobPatience_ms, what: 'the first job of the suite' });
    await runInside(['release', id, '--printer', 'printer', ...nodes.asAda]);
  };

  const run = async (suite: Suite, { uri, document }: typeof ways[number]) => {
    const before = new Set((await jobs()).map(({ id }) => id));
    await Promise.all([
      runSuite(suite, { folder, document, uri, patience_ms }),
      releaseFirst(join(folder, document), before),
    ]);
  };

  for (const suite of suites) {
    test(`${suite.name} over ipp and ipps`, async () => {
      await Promise.all(ways.map((way) => run(suite, way)));
    });
  }
}

test.run();
