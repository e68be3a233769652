import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Piece } from '../../mesh/mod.ts';
import { State } from '../../src/state.ts';
import { databaseCopy } from '../fakes/held.ts';
import { tempDir } from '../fakes/processes.ts';

function piece(job: string): Piece {
  return {
    ...{ job, epoch: 1, owner: 'ada', submitter: null, acceptedBy: 'a node', envelopeBytes: 1000 },
    ...{ ticket: new Uint8Array(10), share: new Uint8Array(33), header: new Uint8Array(41) },
    ...{ stored_ms: 0, afterOff: false, sealed: false, lease: new Uint8Array(1), handoff: null },
  };
}

/** The jobs that are left if the machine loses its power now. */
function durable(dir: string): string[] {
  const db = databaseCopy(dir);
  try {
    return db.prepare('SELECT job FROM pieces ORDER BY job').all().map((row) => String(row['job']));
  } finally {
    db.close();
  }
}

function withState(name: string, body: (state: State, dir: string) => Promise<void>): void {
  test(name, async () => {
    const dir = tempDir();
    const state = new State(dir);
    try {
      await body(state, dir);
    } finally {
      state.close();
    }
  });
}

withState('changes are seen at once, and durable together when they resolve', async (state, dir) => {
  const both = [state.pieces.put(piece('a')), state.pieces.put(piece('b'))];
  assert.ok(state.pieces.get('a') !== undefined && state.pieces.get('b') !== undefined);
  assert.equal(durable(dir), []);
  await both[0];
  assert.equal(durable(dir), ['a', 'b']);
  await both[1];
});

withState('whatever else is written puts them on disk first', async (state, dir) => {
  const put = state.pieces.put(piece('a'));
  state.pieces.setLease('a', new Uint8Array([2]));
  assert.equal(durable(dir), ['a']);
  assert.equal(state.pieces.get('a')?.lease, new Uint8Array([2]));
  await put;
  const again = state.pieces.put(piece('b'));
  state.transaction(() => state.run("UPDATE pieces SET owner = 'eve' WHERE job = 'b'"));
  assert.equal(durable(dir), ['a', 'b']);
  await again;
});

withState('what an owner is told of is durable', async (state, dir) => {
  const put = state.pieces.put(piece('a'));
  assert.equal(state.pieces.ofOwner('ada').map(({ job }) => job), ['a']);
  assert.equal(durable(dir), ['a']);
  await put;
});

withState('one that fails takes none of the others with it', async (state, dir) => {
  const results = await Promise.allSettled(['a', 'a', 'b'].map((job) => state.pieces.put(piece(job))));
  assert.equal(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled']);
  assert.equal(durable(dir), ['a', 'b']);
  const alone = await Promise.allSettled([state.pieces.put(piece('a'))]);
  assert.equal(alone.map(({ status }) => status), ['rejected']);
  await state.pieces.put(piece('c'));
  assert.equal(durable(dir), ['a', 'b', 'c']);
});

withState('changes of several tables are one: all of them, or none', async (state, dir) => {
  const first = state.pieces.put(piece('a'));
  let inner: Promise<void> | undefined;
  const failing = state.together(() => {
    state.pieces.setLease('a', new Uint8Array([2]));
    inner = state.pieces.put(piece('b'));
    throw new TypeError('as it happens');
  });
  const results = await Promise.allSettled([first, inner, failing]);
  assert.equal(results.map(({ status }) => status), ['fulfilled', 'rejected', 'rejected']);
  assert.equal(durable(dir), ['a']);
  assert.equal(state.pieces.get('a')?.lease, new Uint8Array(1));
  await state.together(() => {
    state.pieces.setLease('a', new Uint8Array([3]));
    void state.pieces.put(piece('b'));
    assert.equal(durable(dir), ['a'], 'nothing is written before all of it');
  });
  assert.equal(durable(dir), ['a', 'b']);
  assert.equal(state.pieces.get('a')?.lease, new Uint8Array([3]));
});

test('a database that is closed keeps what waited', async () => {
  const dir = tempDir();
  const state = new State(dir);
  const put = state.pieces.put(piece('a'));
  state.close();
  await put;
  const again = new State(dir);
  assert.ok(again.pieces.get('a') !== undefined);
  again.close();
});

test.run();
