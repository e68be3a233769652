import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { request as secureRequest } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { selfSigned } from '../fakes/certificate.ts';
import { sendHeldBack } from '../fakes/held-back.ts';
import { MemoryDoor, type Served, serveDoor, token } from '../fakes/ipp-door.ts';
import { pdf } from '../fakes/ipp-samples.ts';
import { printJobHead } from '../fakes/print-job.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const run = promisify(execFile);
const dir = tempDir();
const suites = '/usr/share/cups/ipptool';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const small = join(dir, 'small.pdf');
writeFileSync(small, pdf());

/** ipptool's report. @throws Error with that report when a test failed */
async function ipptool(printer: string, name: string, ...options: string[]): Promise<string> {
  const args = ['-t', '-f', small, ...options, printer, join(suites, `${name}.test`)];
  const failed = (error: { stdout?: string; stderr?: string }) => {
    throw new Error(`ipptool ${name}:\n${error.stdout}${error.stderr}`);
  };
  const { stdout } = await run('ipptool', args, { timeout: 60_000 }).catch(failed);
  return stdout;
}

if (requireTools(['ipptool', 'openssl'])) {
  for (const scheme of ['ipp', 'ipps']) {
    test(`ipptool submits, lists and cancels over ${scheme}`, async () => {
      const door = new MemoryDoor();
      const served = await serveDoor(door, scheme === 'ipps' ? selfSigned() : undefined);
      try {
        assert.ok(served.uri.startsWith(`${scheme}:`));
        const printing = ['print-job', 'create-job', 'print-job-gzip', 'print-job-deflate'];
        for (const name of ['get-printer-attributes', 'validate-job', ...printing, 'get-jobs']) {
          await ipptool(served.uri, name);
        }
        assert.equal(door.submitted.map((job) => job.sha256), printing.map(() => sha256(pdf())));
        assert.equal(door.submitted.map((job) => job.ticket.format), printing.map(() => 'application/pdf'));
        assert.equal(door.submitted[0]?.ticket.options, { copies: 1 });
        await ipptool(served.uri, 'cancel-current-job');
        assert.is(door.submitted.filter((job) => job.state === 'cancelled').length, 1);
        const attributes = await ipptool(served.uri, 'get-printer-attributes', '-v');
        assert.match(attributes, served.uri);
      } finally {
        await served.close();
      }
    });
  }

  test('an unknown token is answered like a revoked one, and its document is not read', async () => {
    const door = new MemoryDoor();
    const served = await serveDoor(door);
    try {
      const wrong = served.uri.replace(token, 'tok-unknown');
      const thrown = await ipptool(wrong, 'print-job').catch((error: unknown) => error);
      assert.match(String(thrown), 'client-error-not-found');
      assert.is(door.read, 0);
    } finally {
      await served.close();
    }
  });

  test('ipptool sends 30 MB over TLS, octet for octet', async () => {
    const door = new MemoryDoor();
    const served = await serveDoor(door, selfSigned());
    const bytes = randomBytes(30 * 1024 * 1024);
    const file = join(dir, 'large.pdf');
    writeFileSync(file, bytes);
    try {
      await ipptool(served.uri, 'print-job', '-f', file);
      assert.equal(door.submitted.map((job) => job.sha256), [sha256(bytes)]);
    } finally {
      await served.close();
    }
  });

  test('a document that is too large is answered so, although the client is still sending', async () => {
    const door = new MemoryDoor();
    door.maxDocumentBytes = 1024 * 1024;
    const file = join(dir, 'too-large.pdf');
    writeFileSync(file, new Uint8Array(20 * 1024 * 1024));
    for (const tls of [undefined, selfSigned()]) {
      const served = await serveDoor(door, tls);
      try {
        const thrown = await ipptool(served.uri, 'print-job', '-f', file).catch((error: unknown) => error);
        assert.match(String(thrown), 'client-error-request-entity-too-large');
      } finally {
        await served.close();
      }
    }
    assert.equal(door.submitted, []);
  });
}

function post(served: Served): ClientRequest {
  const headers = { 'content-type': 'application/ipp', 'transfer-encoding': 'chunked' };
  const options = { method: 'POST', headers };
  if (!served.uri.startsWith('ipps:')) return request(served.uri.replace('ipp:', 'http:'), options);
  return secureRequest(served.uri.replace('ipps:', 'https:'), { ...options, rejectUnauthorized: false });
}

for (const scheme of ['ipp', 'ipps']) {
  test(`a client sends no faster than the door stores over ${scheme}`, async () => {
    if (scheme === 'ipps' && !requireTools(['openssl'])) return;
    const door = new MemoryDoor();
    const served = await serveDoor(door, scheme === 'ipps' ? selfSigned() : undefined);
    try {
      assert.is(await sendHeldBack(door, post(served), printJobHead(served.uri)), 200);
    } finally {
      await served.close();
    }
  });
}

test('a client that goes away in mid-document leaves no job', async () => {
  const door = new MemoryDoor();
  const served = await serveDoor(door);
  try {
    const client = post(served);
    client.on('error', () => {});
    client.write(printJobHead(served.uri));
    client.write(randomBytes(100_000));
    await waitFor(() => door.read > 0 ? true : undefined, { deadline_ms: 30_000, what: 'the first chunk' });
    client.destroy();
    await waitFor(() => door.failed > 0 ? true : undefined, {
      deadline_ms: 30_000,
      what: 'the door to notice',
    });
    assert.is(door.aborted, 1);
    assert.equal(door.submitted, []);
    assert.equal(served.logged, []);
  } finally {
    await served.close();
  }
});

test.run();
