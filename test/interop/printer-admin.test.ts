/** What the directory says of printers: added, added again, accepted, removed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import { runInside } from '../../src/cli/run.ts';
import type { Printer } from '../../src/directory.ts';
import * as ipp from '../../src/ipp/message.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { startNodes } from '../fakes/nodes.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startScriptedPrinter } from '../fakes/scripted-printer.ts';
import { startSink } from '../fakes/sink.ts';

const nodes = await startNodes(2);
const sink = await startSink();

test.after(async () => {
  await nodes.stop();
  await sink.stop();
});

const add = (name: string, uri: string, ...more: string[]) =>
  runInside<Printer>(['printer', 'add', uri, '--name', name, '--site', 'a', ...more, ...nodes.asAdmin]);
const list = () => runInside<Printer[]>(['printer', 'list', ...nodes.asAdmin]);
const known = async (name: string) => (await list()).find((printer) => printer.name === name);

async function refused(action: Promise<unknown>, what: RegExp): Promise<void> {
  const message = await action.then(() => 'done', (error: Error) => error.message);
  assert.match(message, what);
}

if (requireTools(['openssl'])) {
  test('a printer that is known is not exchanged by adding it again: accept and remove are for that', async () => {
    const [own, another] = [selfSigned(), selfSigned()];
    const port = await freePort();
    const door = new MemoryDoor();
    const first = await serveDoor(door, own, undefined, port);
    const plain = await serveDoor(door);
    const added = await add('secure', first.uri, '--or', sink.uri, '--pjl');
    assert.is(added.fingerprint, own.fingerprint);
    try {
      await refused(add('secure', plain.uri), /known with a certificate, and this address has none.*ipps/);
      await refused(add('secure', sink.uri), /this address has none/);
      // its further addresses, and that it speaks PJL, are not forgotten
      assert.equal(await add('secure', first.uri), added);
      assert.equal(await known('secure'), added);
    } finally {
      await first.close();
    }
    const second = await serveDoor(door, another, undefined, port);
    try {
      const both = new RegExp(`${own.fingerprint}.*${another.fingerprint}.*printer accept secure`);
      await refused(add('secure', second.uri), both);
      assert.equal(await known('secure'), added);
      await runInside(['printer', 'accept', 'secure', ...nodes.asAdmin]);
      assert.is((await add('secure', second.uri)).fingerprint, another.fingerprint);
    } finally {
      await second.close();
      await plain.close();
    }
  });
}

test('another printer does not take the place of one that is known', async () => {
  const uuid = () => crypto.randomUUID();
  const one = await startScriptedPrinter({});
  const other = await startScriptedPrinter({});
  one.attributes = [ipp.uri('printer-uuid', `urn:uuid:${uuid()}`)];
  other.attributes = [ipp.uri('printer-uuid', `urn:uuid:${uuid()}`)];
  try {
    const added = await add('named', one.uri);
    await refused(add('named', other.uri), /another uuid.*printer remove named/);
    assert.equal(await known('named'), added);
    // it has moved
    other.attributes = one.attributes;
    assert.is((await add('named', other.uri)).uri, other.uri);
  } finally {
    await one.stop();
    await other.stop();
  }
});

test('what does not say any more who it is has not moved, and is at its place what it was', async () => {
  const one = await startScriptedPrinter({});
  const silent = await startScriptedPrinter({});
  const uuid = crypto.randomUUID();
  one.attributes = [ipp.uri('printer-uuid', `urn:uuid:${uuid}`)];
  try {
    const added = await add('proven', one.uri);
    assert.is(added.uuid, uuid);
    // another host
    const elsewhere = silent.uri.replace('127.0.0.1', 'localhost');
    await refused(add('proven', elsewhere), /known with a uuid.*does not say its own.*printer remove proven/);
    assert.equal(await known('proven'), added);
    one.attributes = [];
    assert.is((await add('proven', one.uri)).uuid, uuid);
    assert.is((await known('proven'))?.uuid, uuid);
  } finally {
    await one.stop();
    await silent.stop();
  }
});

test('what is removed while it is asked who it is does not come back', async () => {
  const printer = await startScriptedPrinter({});
  try {
    await add('twice', printer.uri);
    const asked = printer.asked.length;
    const pause = Promise.withResolvers<void>();
    printer.before = pause.promise;
    const again = refused(add('twice', printer.uri), /twice was changed by somebody else/);
    await waitFor(() => printer.asked.length > asked || undefined, {
      ...{ deadline_ms: 30_000, what: 'the printer to be asked' },
    });
    await runInside(['printer', 'remove', 'twice', ...nodes.asAdmin]);
    pause.resolve();
    await again;
    assert.is(await known('twice'), undefined);
  } finally {
    await printer.stop();
  }
});

test('a printer that is removed is in no list, takes no job, and can be added anew', async () => {
  await add('gone', sink.uri);
  const removed = await runInside<object>(['printer', 'remove', 'gone', ...nodes.asAdmin]);
  assert.equal(removed, { name: 'gone', removed: true });
  assert.is(await known('gone'), undefined);
  const release = ['release', crypto.randomUUID(), '--printer', 'gone', ...nodes.asAda];
  await refused(runInside(release), /there is no printer "gone"/);
  await refused(runInside(['printer', 'remove', 'gone', ...nodes.asAdmin]), /there is no printer "gone"/);
  await refused(
    runInside(['printer', 'remove', 'secure', ...nodes.asAda]),
    /administrator/,
  );
  assert.is((await add('gone', sink.uri)).uri, sink.uri);
});

test('an address has no password in it, and a queue no path', async () => {
  const uris = [
    'ipp://me:secret@127.0.0.1/ipp',
    'socket://me@127.0.0.1',
    'system:%2e%2e',
    'system:%zz',
    'ipp:',
  ];
  for (const uri of uris) await refused(add('bad', uri), /use ipp:/);
  assert.is(await known('bad'), undefined);
});

test('what a printer says oddly does not keep it out: it is known without that', async () => {
  const printer = await startScriptedPrinter({});
  // ISO 8859-1, and a command to the terminal of whoever adds it
  const model = {
    syntax: 'other',
    tag: 0x41,
    value: Uint8Array.from([0x1b, 0x5b, 0x4d, 0xfc, 0x6c]),
  } as const;
  printer.attributes = [
    ipp.attribute('printer-make-and-model', model),
    ipp.mimeMediaType(
      'document-format-supported',
      'Application/PDF',
      'text/plain; charset=utf-8',
      'automatic',
    ),
    ipp.keyword('sides-supported', 'one-sided', 'two-sided-long-edge'),
    ipp.keyword('media-supported', 'iso_a4_210x297mm', 'jpn_hagaki_100x148mm'),
    ipp.enumeration('finishings-supported', 3, 20),
  ];
  try {
    const added = await add('odd', printer.uri);
    assert.equal(added.formats, ['application/pdf', 'text/plain']);
    assert.is(added.model, ' [M\ufffdl');
    assert.equal(added.options, {
      sides: ['one-sided', 'two-sided-long-edge'],
      media: ['iso_a4_210x297mm'],
      finishings: [3, 4],
    });
    assert.equal(await known('odd'), added);
  } finally {
    await printer.stop();
  }
});

test('a node that is no registrar looks at a printer, and a registrar states it', async () => {
  const [uri, ...more] = [sink.uri, '--name', 'far', '--site', 'a'];
  const printer = await runInside<Printer>(['printer', 'add', uri, ...more, ...nodes.asAdminElsewhere]);
  assert.equal(await known('far'), printer);
  await waitFor(async () => {
    const there = await runInside<Printer[]>(['printer', 'list', ...nodes.asAdminElsewhere]);
    return there.some(({ name }) => name === 'far') || undefined;
  }, { deadline_ms: 30_000, what: 'the other node to know it' });
  await runInside(['printer', 'remove', 'far', ...nodes.asAdminElsewhere]);
  assert.is(await known('far'), undefined);
  const credential = nodes.asAda.at(-1) ?? '';
  const asAda = ['--dir', nodes.asAdminElsewhere[1] ?? '', '--credential', credential];
  await refused(runInside(['printer', 'add', uri, ...more, ...asAda]), /needs an administrator/);
  await nodes.stopFirst();
  await refused(
    runInside(['printer', 'add', uri, ...more, ...nodes.asAdminElsewhere]),
    /this node is no registrar and reaches none: run the command on a1/,
  );
});

test.run();
