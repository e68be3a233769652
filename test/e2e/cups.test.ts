/** Stock clients of a real cupsd print into the mesh; a held job never blocks their own queue. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import { startCups } from '../fakes/cups.ts';
import { jpeg, pdf, pwgRaster } from '../fakes/ipp-samples.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startOrganisation } from './organisation.ts';

const wait = { deadline_ms: 120_000 };
const documents: Readonly<Record<string, Uint8Array>> = {
  'document.pdf': pdf(),
  'photo.jpg': jpeg(),
  'page.pwg': pwgRaster('sgray-8', 300, [595, 842]),
};

if (requireTools(['cupsd', 'lpadmin', 'lp', 'lpstat'])) {
  const org = await startOrganisation();
  test.after(() => org.stop());
  await org.connected();

  test('three jobs in a row, a PDF, a JPEG and a PWG raster, are all held on three machines', async () => {
    const dir = tempDir();
    const cups = await startCups();
    try {
      await cups.addEverywhere('inkmesh', org.user('ada').print_uri);
      for (const [name, octets] of Object.entries(documents)) {
        writeFileSync(join(dir, name), octets);
        await cups.client('lp', '-d', 'inkmesh', '-t', name, join(dir, name));
      }
      const held = async () => {
        const jobs = await runInside<JobView[]>(['jobs', ...org.as('ada', 'a1')]);
        return jobs.filter(({ state }) => state === 'held').length === 3 ? jobs : undefined;
      };
      const jobs = await waitFor(held, { ...wait, what: 'three held jobs' });
      assert.equal(jobs.map(({ title }) => title).sort(), Object.keys(documents).sort());
      for (const job of jobs) assert.is(new Set(job.holders).size, 3);
      const empty = async () => (await cups.client('lpstat', '-o')).trim() === '' ? true : undefined;
      await waitFor(empty, { ...wait, what: 'the queue of the client to be empty' });
    } catch (cause) {
      console.log(cups.log());
      throw cause;
    } finally {
      await cups.stop();
    }
  });
}

test.run();
