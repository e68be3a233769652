import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Piece } from '../../mesh/ports.ts';
import { Shelf } from '../../mesh/shelf.ts';
import { systemClock } from '../../src/clock.ts';
import { openSpool } from '../../src/spool.ts';
import { State } from '../../src/state.ts';
import {
  claim,
  type FakeMesh,
  type FakeNode,
  patience_ms,
  prints,
  spooled,
  startMesh,
  store,
  user,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { canMount, fill, unmount, volume } from '../fakes/volume.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
/** only the disk itself says no */
const boundless = { quota_bytes: 2 ** 50, reserve_bytes: 0 };

function piece(job: string): Piece {
  return {
    ...{ job, epoch: 1, owner: 'ada', submitter: null, acceptedBy: 'a' },
    ...{ ticket: new Uint8Array(4000), share: new Uint8Array(33), header: new Uint8Array(41) },
    ...{
      envelopeBytes: 300 * KiB,
      stored_ms: 0,
      afterOff: false,
      sealed: false,
      lease: new Uint8Array([1]),
      handoff: null,
    },
  };
}

/** What is said to be full by what a write throws. */
function fullBy(thrown: unknown): string | undefined {
  if (thrown instanceof InkmeshError && thrown.code === 'unavailable') return thrown.about['full'];
  throw thrown;
}

if (canMount()) {
  test('a full disk refuses every write in words, and what was there stays', async () => {
    const dir = volume(MiB);
    const spool = await openSpool(dir, boundless);
    const state = new State(dir);
    await state.pieces.put(piece('kept'));
    const writer = await spool.create('torn');
    const ballast = fill(dir);
    assert.is(await writer.write(new Uint8Array(64 * KiB)).catch(fullBy), 'disk');
    await writer.abort();
    const refused: unknown[] = [];
    for (let i = 0; i < 100 && refused.length === 0; i++) {
      try {
        await state.pieces.put(piece(`more-${i}`));
      } catch (thrown) {
        refused.push(fullBy(thrown));
      }
    }
    assert.equal(refused, ['disk']);
    assert.throws(
      () => state.transaction(() => state.run('UPDATE pieces SET sealed = 1')),
      (thrown: unknown) => fullBy(thrown) === 'disk',
    );
    assert.is(state.pieces.get('kept')?.sealed, false, 'nothing of it is written');
    rmSync(ballast);
    state.transaction(() => state.run('UPDATE pieces SET sealed = 1'));
    state.close();
    const again = new State(dir);
    assert.is(again.pieces.get('kept')?.sealed, true);
    again.close();
    unmount(dir);
  });

  test('a piece can be erased though the disk is full', async () => {
    const dir = volume(MiB);
    const spool = await openSpool(dir, boundless);
    const state = new State(dir);
    const shelf = new Shelf({
      ...{ pieces: state.pieces, age: state.age, spool, clock: systemClock },
      ledger: { about: () => [] },
      agreed_ms: () => null,
      log: () => {},
    });
    const writer = await spool.create('job');
    await writer.write(new Uint8Array(300 * KiB));
    await writer.finish();
    await writer.close();
    await state.pieces.put(piece('job'));
    fill(dir);
    const thrown = await state.pieces.remove('job').catch((thrown: unknown) => thrown);
    assert.is(fullBy(thrown), 'disk');
    await shelf.erase('job');
    assert.is(state.pieces.get('job'), undefined);
    assert.equal(await spool.list(), []);
    state.close();
    unmount(dir);
  });

  test('a job goes to machines that have room, and says which have not when there are too few', async () => {
    const mesh: FakeMesh = await startMesh(3);
    const full: FakeNode[] = [];
    for (const name of ['full-1', 'full-2']) {
      const disk = { dir: volume(8 * MiB), quota: boundless };
      full.push(await mesh.add(name, { disk }));
    }
    await mesh.connected();
    const [a1, a2, a3] = mesh.nodes as [FakeNode, FakeNode, FakeNode];
    const ada = await user(mesh, 'ada');
    const document = randomBytes(16 * MiB);
    const job = await store(mesh, a1, { owner: ada, document });
    assert.equal(job.holders.map(({ name }) => name).sort(), ['a1', 'a2', 'a3']);
    for (const node of full) assert.equal(spooled(node), [], 'what did not fit is gone');
    const held = await refusalOf(() => store(mesh, full[0]!, { owner: ada, document }));
    assert.match(held, /^unavailable: full-1 has no room for documents/);
    await mesh.drop(a2);
    await mesh.drop(a3);
    const few = await refusalOf(() => store(mesh, a1, { owner: ada, document }));
    assert.match(few, /^unavailable: full-\d and full-\d have no room for documents/);
    assert.equal(spooled(a1), [job.id], 'nothing is left of what was refused');
    await mesh.stop();
    for (const node of full) unmount(node.dir);
  });

  test('a node on a full disk goes on: it answers, and what it holds prints when there is room again', async () => {
    const mesh: FakeMesh = await startMesh(2);
    const disk = { dir: volume(16 * MiB), quota: boundless };
    const small = await mesh.add('small', { disk });
    await mesh.connected();
    const ada = await user(mesh, 'ada');
    const job = await waitFor(() => store(mesh, mesh.nodes[0]!, { owner: ada }).catch(() => undefined), {
      deadline_ms: patience_ms,
      what: 'all three to be known as machines that hold jobs',
    });
    assert.ok(job.holders.includes(small));
    const ballast = fill(small.dir);
    const claimed = await claim(mesh.nodes[0]!, job);
    claimed.yield();
    await small.stop();
    await small.start();
    await mesh.connected();
    rmSync(ballast);
    await prints(job, small);
    await mesh.stop();
    unmount(small.dir);
  });
}

test.run();
