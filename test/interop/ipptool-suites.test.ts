/**
 * The standard's own tests: against the front, whose jobs are completed at once, over ipp and ipps; and against the
 * queue of an edge node, one of three that keep every job. There all jobs are held, and a suite waits for its first one
 * to be completed: its owner releases that one at a printer. Each has nodes of its own, as it takes the last job that
 * it finds on a queue for its own.
 */
import { test } from 'uvu';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { runSuite, suiteFolder, suites } from '../fakes/ipptool-suites.ts';
import { startNodes } from '../fakes/nodes.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const patience_ms = 300_000;
const document = 'document-letter.pdf';

if (requireTools(['ipptool'])) {
  const folder = suiteFolder();

  for (const suite of suites) {
    test(`${suite.name} at the front, over ipp and ipps`, async () => {
      await Promise.all([undefined, selfSigned()].map(async (tls) => {
        const door = new MemoryDoor();
        door.stateAfter = 'printed';
        const served = await serveDoor(door, tls);
        try {
          await runSuite(suite, { folder, document, uri: served.uri, patience_ms });
        } finally {
          await served.close();
        }
      }));
    });
  }

  for (const [i, suite] of suites.entries()) {
    const scheme = i % 2 === 0 ? 'ipps' : 'ipp';
    test(`${suite.name} at a node, over ${scheme}`, async () => {
      const door = new MemoryDoor();
      door.stateAfter = 'printed';
      const printer = await serveDoor(door);
      const nodes = await startNodes(3);
      try {
        await nodes.addPrinter('printer', printer.uri);
        const first = async () => (await runInside<JobView[]>(['jobs', ...nodes.asAda])).at(-1);
        await Promise.all([
          runSuite(suite, { folder, document, uri: nodes.uris[scheme], patience_ms }),
          waitFor(first, { deadline_ms: patience_ms, what: 'the first job of the suite' }).then(({ id }) =>
            runInside(['release', id, '--printer', 'printer', ...nodes.asAda])
          ),
        ]);
      } finally {
        await nodes.stop();
        await printer.close();
      }
    });
  }
}

test.run();
