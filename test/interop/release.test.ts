/** Jobs on their way out of real nodes: which printer takes them, what is said meanwhile, and what becomes of them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../../src/cli/children.ts';
import { Client, localEndpoint } from '../../src/cli/client.ts';
import { releaseMany } from '../../src/cli/release.ts';
import { runInside } from '../../src/cli/run.ts';
import type { Accepted } from '../../src/cli/printer-admin.ts';
import { readCredential } from '../../src/datadir.ts';
import type { Printer } from '../../src/directory.ts';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { ink, program } from '../e2e/organisation.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { startNodes } from '../fakes/nodes.ts';
import { line, spawnKept, tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { readAll, type ScriptedPrinter, startScriptedPrinter, stateOf } from '../fakes/scripted-printer.ts';
import { startSink } from '../fakes/sink.ts';

const soon = { deadline_ms: 30_000 };
const wait_s = 2;
const nodes = await startNodes(3, { printerWait_s: wait_s });
const sink = await startSink();
await nodes.addPrinter('sink', sink.uri);
const folder = tempDir();

test.after(async () => {
  await nodes.stop();
  await sink.stop();
});

const jobs = () => runInside<JobView[]>(['jobs', ...nodes.asAda]);
const release = (...args: string[]) => runInside<Released>(['release', ...args, ...nodes.asAda]);

async function submit(count: number, name = 'document.txt'): Promise<string[]> {
  const file = join(folder, name);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    writeFileSync(file, crypto.randomUUID());
    ids.push((await runInside<{ id: string }>(['print', file, ...nodes.asAda])).id);
  }
  return ids;
}

async function stateIs(id: string, state: string): Promise<void> {
  await waitFor(async () => (await jobs()).find((job) => job.id === id)?.state === state ? true : undefined, {
    ...soon,
    what: `${id} to be ${state}`,
  });
}

async function cancelHeld(): Promise<void> {
  for (const { id, state } of await jobs()) {
    if (state === 'held') await runInside(['cancel', id, ...nodes.asAda]);
  }
}

/** A printer that the nodes know by this name. */
async function withScripted(
  name: string,
  script: Parameters<typeof startScriptedPrinter>[0],
  use: (printer: ScriptedPrinter) => Promise<void>,
): Promise<void> {
  const printer = await startScriptedPrinter(script);
  try {
    await nodes.addPrinter(name, printer.uri);
    await use(printer);
  } finally {
    await printer.stop();
  }
}

test('several jobs are released at once, each with an outcome of its own', async () => {
  const ids = await submit(3);
  const before = sink.documents.length;
  const unknown = (ids[0] ?? '').replace(/^./, (digit) => digit === '0' ? '1' : '0');
  const args = ['release', ...ids, unknown, '--printer', 'sink', ...nodes.asAda];
  const { json } = await ink<Released[]>(args, { expectCode: 1 });
  assert.equal(json.map(({ id }) => id), [...ids, unknown]);
  assert.equal(json.map(({ outcome }) => outcome), ['sent', 'sent', 'sent', 'refused']);
  assert.match(json[3]?.reason ?? '', 'no such job');
  assert.is(sink.documents.length, before + 3);
});

test('--all releases what is held, the oldest first, and no job twice', async () => {
  const ids = await submit(12);
  const before = sink.documents.length;
  const { json } = await ink<Released[]>(['release', '--all', '--printer', 'sink', ...nodes.asAda]);
  assert.equal(json.map(({ id }) => id), ids);
  assert.ok(json.every(({ outcome }) => outcome === 'sent'), JSON.stringify(json));
  assert.is(sink.documents.length, before + 12);
  assert.is(new Set(sink.documents.slice(before).map(({ sha256 }) => sha256)).size, 12);
  assert.equal((await ink(['release', '--all', '--printer', 'sink', ...nodes.asAda])).json, []);
  await ink(['release', '--all', ...ids, '--printer', 'sink', ...nodes.asAda], { expectCode: 2 });
  await ink(['release', '--printer', 'sink', ...nodes.asAda], { expectCode: 2 });
});

test('a format that the printer does not take is refused before the job is claimed', async () => {
  await withScripted('pdf-only', {}, async ({ asked }) => {
    const [id = ''] = await submit(1, 'text.ps');
    const before = asked.length;
    const [refused] = await runInside<Released[]>([
      'release',
      '--all',
      '--printer',
      'pdf-only',
      ...nodes.asAda,
    ]);
    assert.is(refused?.outcome, 'refused');
    assert.match(refused?.reason ?? '', /does not take .*only application\/pdf/);
    assert.is(asked.length, before, 'the printer was asked');
    // so is one that is released by its number
    const one = await release(id, '--printer', 'pdf-only');
    // where its format is not known soon enough, its printer is asked
    assert.ok(['refused', 'failed'].includes(one.outcome), one.outcome);
    assert.match(one.reason ?? '', 'does not take');
    assert.is(asked.length, before, 'the printer was asked');
    await stateIs(id, 'held');
  });
  await cancelHeld();
});

test('the command line says why a job waits, and that it goes on', async () => {
  let paper = false;
  await withScripted('tray', {
    'Get-Job-Attributes': ({ answer }) =>
      answer('successful-ok', [stateOf(paper ? 'completed' : 'processing-stopped')]),
  }, async (printer) => {
    Object.assign(printer, { state: 'stopped', reasons: ['media-empty-error'] });
    const [id = ''] = await submit(1, 'document.pdf');
    const [command, ...first] = program();
    const ran = spawnKept(command, [...first, 'release', id, '--printer', 'tray', ...nodes.asAda]);
    await line(ran, /^waiting: tray empty: add paper$/, soon);
    paper = true;
    Object.assign(printer, { state: 'idle', reasons: [] });
    assert.is((await ran.ended).code, 0, ran.stderr());
    assert.match(ran.stderr(), 'it goes on');
    assert.match(ran.stdout(), 'printed at tray');
  });
});

test('a printer without paper for too long: the job is held again when no sheet came out', async () => {
  let cancelled = false;
  await withScripted('empty', {
    'Cancel-Job': ({ answer }) => {
      cancelled = true;
      answer();
    },
    'Send-Document': async ({ document, answer }) => {
      await readAll(document);
      answer();
    },
    'Get-Job-Attributes': ({ answer }) =>
      answer('successful-ok', [
        stateOf(cancelled ? 'canceled' : 'processing-stopped'),
        { name: 'job-impressions-completed', values: [{ syntax: 'integer', value: 0 }] },
      ]),
  }, async (printer) => {
    Object.assign(printer, { state: 'stopped', reasons: ['media-empty-error'] });
    const [id = ''] = await submit(1, 'document.pdf');
    const { outcome, reason } = await release(id, '--printer', 'empty');
    assert.is(outcome, 'failed');
    assert.match(reason ?? '', `has not gone on for ${wait_s} s: tray empty`);
    await stateIs(id, 'held');
    assert.is((await release(id, '--printer', 'sink')).outcome, 'sent');
  });
});

if (requireTools(['openssl'])) {
  test('a changed certificate stops printing until an administrator has accepted it', async () => {
    const [old, fresh] = [selfSigned(), selfSigned()];
    const port = await freePort();
    const door = new MemoryDoor();
    door.stateAfter = 'printed';
    const first = await serveDoor(door, old, undefined, port);
    await nodes.addPrinter('secure', first.uri);
    await first.close();
    const second = await serveDoor(door, fresh, undefined, port);
    try {
      const [id = ''] = await submit(1, 'document.pdf');
      const refused = await release(id, '--printer', 'secure');
      assert.is(refused.outcome, 'failed');
      assert.match(
        refused.reason ?? '',
        /certificate of this printer has changed.*inkmesh printer accept secure/,
      );
      await stateIs(id, 'held');
      assert.is(door.submitted.length, 0);
      const warnings = async () =>
        (await runInside<{ warnings: string[] }>(['status', ...nodes.asAdmin])).warnings.filter((warning) =>
          warning.includes('secure')
        );
      assert.match((await warnings())[0] ?? '', 'inkmesh printer accept secure');

      const accepted = await runInside<Accepted>(['printer', 'accept', 'secure', ...nodes.asAdmin]);
      assert.equal(accepted, { printer: 'secure', old: old.fingerprint, new: fresh.fingerprint });
      assert.equal(await warnings(), []);
      assert.is((await release(id, '--printer', 'secure')).outcome, 'printed');
    } finally {
      await second.close();
    }
  });
}

test('several jobs at a node that is lost on the way are not called refused', async () => {
  const [, dir = '', , file = ''] = nodes.asAda;
  const endpoint = await localEndpoint(dir);
  const sockets = new Set<Socket>();
  const between = createServer((socket) => {
    const onward = connect(endpoint.port, '127.0.0.1');
    for (const each of [socket, onward]) sockets.add(each.on('error', () => {}));
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  const { port } = between.address() as AddressInfo;
  const quiet = { say: () => {}, progress: () => {} };
  const releasedBy = async (port: number, id: string) => {
    const client = new Client(await readCredential(file), { ...endpoint, name: 'a1', port });
    const order = { client, printer: 'slow', options: {}, confirm: [] };
    const [released] = (await releaseMany(order, [{ id }], quiet)).json as Released[];
    return released;
  };
  await withScripted('slow', {
    'Create-Job': ({ answer }) => {
      for (const socket of sockets) socket.destroy();
      answer('server-error-busy');
    },
  }, async () => {
    const [id = ''] = await submit(1, 'document.pdf');
    const cut = await releasedBy(port, id);
    assert.is(cut?.outcome, 'interrupted', cut?.reason);
    assert.match(cut?.reason ?? '', `inkmesh job show ${id}`);
    await stateIs(id, 'held');
    assert.is((await releasedBy(await freePort(), id))?.outcome, 'refused');
  });
  between.close();
  await cancelHeld();
});

test('a title commands no terminal, and no reader of JSON gets another one', async () => {
  const title = 'Report\u009b2J';
  const file = join(folder, 'titled.txt');
  writeFileSync(file, 'x');
  await runInside(['print', file, '--title', title, ...nodes.asAda]);
  const [command, ...first] = program();
  const said = async (...args: string[]) => {
    const ran = spawnKept(command, [...first, 'jobs', ...args, ...nodes.asAda]);
    await ran.ended;
    return ran.stdout();
  };
  assert.match(await said(), 'Report\ufffd2J');
  const json = await said('--json');
  assert.not.match(json, /[\x7f-\x9f]/);
  assert.ok((JSON.parse(json) as JobView[]).some((job) => job.title === title));
  await cancelHeld();
});

test('a printer has further addresses, and queues of the system are labelled', async () => {
  const common = ['--site', 'a', ...nodes.asAdmin];
  const off = `socket://127.0.0.1:${await freePort()}`;
  const { json: both } = await ink<Printer>([
    'printer',
    'add',
    sink.uri,
    '--name',
    'two',
    '--or',
    'system:x',
    ...common,
  ]);
  assert.equal([both.uri, ...both.more ?? []], [sink.uri, 'system:x']);
  await ink(['printer', 'add', off, '--name', 'off', ...common], { expectCode: 1 });
  const [command, ...first] = program();
  const list = spawnKept(command, [...first, 'printer', 'list', ...nodes.asAdmin]);
  await list.ended;
  assert.match(list.stdout(), /two .*system:x .*spools plaintext/);
  assert.not.match(list.stdout(), /sink .*spools plaintext/);
});

test.run();
