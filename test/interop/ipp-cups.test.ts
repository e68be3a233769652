/** A real cupsd prints to the queue without a driver, and is done with a job although it is held. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { type Cups, startCups } from '../fakes/cups.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { jpeg, pdf, pwgRaster } from '../fakes/ipp-samples.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const dir = tempDir();
const wait = { deadline_ms: 60_000 };

function file(name: string, octets: Uint8Array): string {
  writeFileSync(join(dir, name), octets);
  return join(dir, name);
}

const files = {
  'application/pdf': file('document.pdf', pdf()),
  'image/jpeg': file('photo.jpg', jpeg()),
  'image/pwg-raster': file('page.pwg', pwgRaster('sgray-8', 300, [595, 842])),
};

async function withQueue(
  scheme: 'ipp' | 'ipps',
  use: (cups: Cups, door: MemoryDoor) => Promise<void>,
): Promise<void> {
  const door = new MemoryDoor();
  const served = await serveDoor(door, scheme === 'ipps' ? selfSigned() : undefined);
  const cups = await startCups();
  try {
    await cups.addEverywhere('inkmesh', served.uri);
    await use(cups, door);
  } catch (cause) {
    console.log(cups.log());
    throw cause;
  } finally {
    await cups.stop();
    await served.close();
  }
}

/** Waits until the client's own queue is empty. */
async function done(cups: Cups): Promise<void> {
  const left = async () => (await cups.client('lpstat', '-o')).trim() === '' ? true : undefined;
  await waitFor(left, { ...wait, what: 'CUPS to be done with the held jobs' });
}

if (requireTools(['cupsd', 'lpadmin', 'lp', 'openssl'])) {
  for (const scheme of ['ipp', 'ipps'] as const) {
    test(`a queue that lpadmin made without a driver prints PDF, JPEG and PWG raster over ${scheme}`, () =>
      withQueue(scheme, async (cups, door) => {
        const options = ['-o', 'media=iso_a4_210x297mm', '-o', 'sides=two-sided-long-edge', '-n', '2'];
        await cups.client(
          'lp',
          '-d',
          'inkmesh',
          '-t',
          'Quarterly figures',
          ...options,
          files['application/pdf'],
        );
        const job = await waitFor(() => door.submitted[0], { ...wait, what: 'CUPS to submit' });
        assert.is(job.ticket.format, 'application/pdf');
        assert.is(job.ticket.title, 'Quarterly figures');
        assert.is(job.ticket.options.copies, 2);
        assert.is(job.ticket.options.sides, 'two-sided-long-edge');
        assert.is(job.ticket.options.media, 'iso_a4_210x297mm');
        for (const format of ['image/jpeg', 'image/pwg-raster'] as const) {
          const before = door.submitted.length;
          await cups.client('lp', '-d', 'inkmesh', '-t', format, files[format]);
          const { ticket } = await waitFor(() => door.submitted[before], {
            ...wait,
            what: `CUPS to submit ${format}`,
          });
          // CUPS hands on what the queue takes, but for raster, which its filters may wrap
          const formats = format === 'image/jpeg' ? [format] : [format, 'application/pdf'];
          assert.ok(formats.includes(ticket.format), ticket.format);
        }
        await done(cups);
        assert.is(door.submitted.length, 3);
        assert.ok(door.submitted.every((job) => job.state === 'held'));
      }));
  }

  test('three jobs in a row are all held: a held job blocks nothing in the queue of the client', () =>
    withQueue('ipps', async (cups, door) => {
      const titles = ['first', 'second', 'third'];
      for (const title of titles) {
        await cups.client('lp', '-d', 'inkmesh', '-t', title, files['application/pdf']);
      }
      await waitFor(() => door.submitted[2], { ...wait, what: 'CUPS to submit all three' });
      await done(cups);
      assert.equal(
        door.submitted.map((job) => [job.ticket.title, job.state]),
        titles.map((title) => [title, 'held']),
      );
      const log = await cups.client('lpstat', '-W', 'completed', '-o');
      assert.is(log.trim().split('\n').length, 3, log);
    }));

  test('a job that cannot be taken stays in the queue of the client until it can', () =>
    withQueue('ipp', async (cups, door) => {
      const ready = door.ready;
      let asked = 0;
      door.ready = () => {
        asked++;
        return Promise.reject(new InkmeshError('unavailable', 'wake another workstation'));
      };
      await cups.client('lp', '-d', 'inkmesh', files['application/pdf']);
      await waitFor(() => asked > 0 ? true : undefined, { ...wait, what: 'CUPS to submit' });
      assert.match(await cups.client('lpstat', '-o'), 'inkmesh-1');
      door.ready = ready;
      await waitFor(() => door.submitted[0], { ...wait, what: 'CUPS to submit again' });
      await done(cups);
    }));

  test('the digest of what CUPS sends is that of what is stored', () =>
    withQueue('ipp', async (cups, door) => {
      await cups.client('lp', '-d', 'inkmesh', '-o', 'raw', files['image/jpeg']);
      const job = await waitFor(() => door.submitted[0], { ...wait, what: 'CUPS to submit' });
      assert.is(job.sha256, createHash('sha256').update(jpeg()).digest('hex'));
    }));
}

test.run();
