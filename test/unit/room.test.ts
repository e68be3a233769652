import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { openSpool } from '../../src/spool.ts';
import { tempDir } from '../fakes/processes.ts';

const quota = { quota_bytes: 1000, reserve_bytes: 0 };

/** What a refusal says is full. */
async function fullBy(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
  } catch (thrown) {
    if (thrown instanceof InkmeshError && thrown.code === 'unavailable') return thrown.about['full'];
    throw thrown;
  }
  return undefined;
}

test('envelopes take no more than their quota, whole and growing ones together', async () => {
  const dir = tempDir();
  const spool = await openSpool(dir, quota);
  const first = await spool.create('first');
  await first.write(new Uint8Array(600));
  await first.finish();
  await first.close();
  const second = await spool.create('second');
  const third = await spool.create('third');
  await second.write(new Uint8Array(300));
  assert.is(await fullBy(() => third.write(new Uint8Array(101))), 'quota');
  await third.write(new Uint8Array(100));
  assert.is(await fullBy(() => second.write(new Uint8Array(1))), 'quota', 'in mid-stream');
  assert.is(await fullBy(() => spool.create('fourth')), 'quota', 'before anything is written');
  assert.is((await spool.usage()).used_bytes, 1000);
  await third.abort();
  await second.write(new Uint8Array(100));
  await spool.remove('first');
  await second.abort();
  await second.abort();
  assert.is((await spool.usage()).used_bytes, 0);
  assert.equal(readdirSync(join(dir, 'envelopes')), []);
});

test('writes that come at once do not share the same room', async () => {
  const spool = await openSpool(tempDir(), quota);
  const writers = await Promise.all(Array.from({ length: 10 }, () => spool.create(randomUUID())));
  const said = await Promise.all(writers.map((one) => fullBy(() => one.write(new Uint8Array(300)))));
  assert.is(said.filter((full) => full === undefined).length, 3);
  assert.is((await spool.usage()).used_bytes, 900);
  await Promise.all(writers.map((one) => one.abort()));
});

test('what is there at the start counts; what was half-written is gone', async () => {
  const dir = tempDir();
  mkdirSync(join(dir, 'envelopes'));
  writeFileSync(join(dir, 'envelopes', 'kept'), new Uint8Array(950));
  writeFileSync(join(dir, 'envelopes', 'torn.part'), new Uint8Array(950));
  const spool = await openSpool(dir, quota);
  assert.equal(await spool.list(), ['kept']);
  assert.not.ok(existsSync(join(dir, 'envelopes', 'torn.part')));
  const writer = await spool.create('next');
  assert.is(await fullBy(() => writer.write(new Uint8Array(51))), 'quota');
  await writer.write(new Uint8Array(50));
  await writer.abort();
});

test('what is to stay free on the volume is not written', async () => {
  const dir = tempDir();
  const { bavail, bsize } = statfsSync(dir);
  const all = await openSpool(dir, { quota_bytes: 2 ** 50, reserve_bytes: bavail * bsize * 2 });
  assert.is(await fullBy(() => all.create('one')), 'disk');
  const some = await openSpool(dir, { quota_bytes: 2 ** 50, reserve_bytes: 0 });
  const writer = await some.create('one');
  await writer.write(new Uint8Array(1000));
  await writer.abort();
});

test.run();
