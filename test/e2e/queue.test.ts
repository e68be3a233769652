/** `inkmesh install queue` with a real cupsd, and a document that a program prints to it. */
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startCups } from '../fakes/cups.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { makePdf, startOrganisation } from './organisation.ts';
import { jobsAt } from './remains.ts';

if (requireTools(['cupsd', 'lpadmin', 'lp', 'lpstat'])) {
  test('the queue is added, prints, is added again, and is taken away', async () => {
    const cups = await startCups();
    const org = await startOrganisation();
    const server = `127.0.0.1:${cups.port}`;
    process.env['CUPS_SERVER'] = server;
    try {
      const { credential } = org.user('ada');
      const node = org.node('a2');
      const install = ['install', 'queue', '--credential', credential];
      const added = await org.ink<{ queue: string; at: string }>([...install, '--dir', node.dir]);
      assert.equal(added.json, { queue: 'inkmesh', user: 'ada', at: `localhost:${node.ports.https}` });
      assert.match(
        await cups.client('lpstat', '-v', 'inkmesh'),
        `ipps://localhost:${node.ports.https}/ipp/print/`,
      );

      const { file } = makePdf(100_000);
      await cups.client('lp', '-d', 'inkmesh', '-t', 'By the queue', file);
      const held = async () => (await jobsAt(org, 'a1')).find(({ title }) => title === 'By the queue');
      await waitFor(held, { deadline_ms: 60_000, what: 'the document to be held' });

      const other = `localhost:${org.node('a3').ports.https}`;
      await org.ink([...install, '--at', other]);
      assert.match(await cups.client('lpstat', '-v', 'inkmesh'), `ipps://${other}/ipp/print/`);

      for (const _ of ['there', 'gone']) {
        const removed = await org.ink([...install, '--remove']);
        assert.equal(removed.json, { queue: 'inkmesh', removed: true });
      }
      const left = await cups.client('lpstat', '-v', 'inkmesh').catch(() => 'none');
      assert.is(left, 'none');

      const wrong = await org.ink<{ error: { code: string } }>([...install, '--at', 'nowhere'], {
        expectCode: 2,
      });
      assert.is(wrong.json.error.code, 'usage');
    } catch (cause) {
      throw new Error(cups.log(), { cause });
    } finally {
      delete process.env['CUPS_SERVER'];
      await org.stop();
      await cups.stop();
    }
  });
}

test.run();
