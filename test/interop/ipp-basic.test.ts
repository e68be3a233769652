/** The printer that asks for user name and password, by clients that know HTTP Basic: ipptool, and a queue of CUPS. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { selfSigned } from '../fakes/certificate.ts';
import { startCups } from '../fakes/cups.ts';
import { MemoryDoor, serveDoor, token } from '../fakes/ipp-door.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const run = promisify(execFile);
const file = join(tempDir(), 'page.pdf');
const page = '<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>';
writeFileSync(
  file,
  '%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n' +
    `<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n3 0 obj\n${page}\nendobj\n` +
    'trailer\n<</Size 4/Root 1 0 R>>\n%%EOF\n',
);
const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');

/** @returns '' when it has printed, what ipptool reports otherwise */
async function ipptool(printer: string): Promise<string> {
  const failed = (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' });
  const args = ['-t', '-f', file, printer, '/usr/share/cups/ipptool/print-job.test'];
  const { stdout } = await run('ipptool', args, { timeout: 60_000 }).catch(failed);
  return stdout.includes('[PASS]') ? '' : stdout;
}

if (requireTools(['cupsd', 'lpadmin', 'lp', 'ipptool', 'openssl'])) {
  for (const scheme of ['ipp', 'ipps']) {
    test(`user name and submit password print over ${scheme}, and nothing else does`, async () => {
      const door = new MemoryDoor();
      const served = await serveDoor(door, scheme === 'ipps' ? selfSigned() : undefined);
      const printer = (user: string) => `${scheme}://${user}@localhost:${served.port}/ipp/print`;
      const cups = await startCups();
      try {
        for (const user of ['ada:wrong', `bob:${token}`, `:${token}`]) {
          assert.match(await ipptool(printer(user)), 'client-error-not-authenticated');
        }
        assert.equal(door.submitted, []);
        assert.is(await ipptool(printer(`ada:${token}`)), '');
        await cups.addEverywhere('inkmesh', printer(`ada:${token}`));
        await cups.client('lp', '-d', 'inkmesh', file);
        await waitFor(() => door.submitted.length === 2 || undefined, {
          deadline_ms: 30_000,
          what: 'CUPS to submit',
        });
        // CUPS counts pages, and may write the document anew
        assert.is(door.submitted[0]?.sha256, sha256);
        assert.is(door.submitted[1]?.ticket.format, 'application/pdf');
      } catch (cause) {
        throw new Error(cups.log(), { cause });
      } finally {
        await cups.stop();
        await served.close();
      }
    });
  }
}

test.run();
