/** Documents in memory and on disk: put away when nothing happens, and gone on with where they were. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Carriers } from '../../mesh/carriers.ts';
import { encode } from '../../mesh/codec.ts';
import { idOf, readFact } from '../../mesh/facts.ts';
import type { FactLedger } from '../../mesh/ledger.ts';
import { carrierIdle_ms, keptRunsPerAuthor, snapshotDelay_ms } from '../../mesh/limits.ts';
import { State } from '../../src/state.ts';
import { fakePeer } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';
import { stillClock } from '../fakes/still-clock.ts';

const self = fakePeer('a');
const doc = 'directory';

const silent = { recordsBy: () => [] } as unknown as FactLedger;
const record = () => new Uint8Array(randomBytes(200));

test('a document that nothing happens to is put away, and goes on in the same array', () => {
  const [state, clock] = [new State(tempDir()), stillClock()];
  const carriers = new Carriers({ self, table: state.facts, ledger: silent, clock, log: () => {} });
  const first = [record(), record()];
  carriers.get(doc).append(first);
  carriers.changed(doc);
  const { client } = carriers.get(doc);
  clock.pass(snapshotDelay_ms - 1);
  assert.is(state.facts.snapshot(doc), undefined, 'not written at once');
  clock.pass(carrierIdle_ms + snapshotDelay_ms);
  assert.ok(state.facts.snapshot(doc));
  assert.not(carriers.isLoaded(doc));
  assert.equal(carriers.get(doc).own(), first);
  assert.is(carriers.get(doc).client, client);
  carriers.close();
  // another process begins an array of its own: the last writes of the one before may be lost
  const next = new Carriers({ self, table: state.facts, ledger: silent, clock, log: () => {} });
  assert.is.not(next.get(doc).client, client);
  assert.equal(next.get(doc).own(), first);
  next.close();
  state.close();
});

test('an array whose last records are lost is not gone on with', () => {
  const [state, clock] = [new State(tempDir()), stillClock()];
  const carriers = new Carriers({ self, table: state.facts, ledger: silent, clock, log: () => {} });
  carriers.get(doc).append([record()]);
  carriers.changed(doc);
  const { client } = carriers.get(doc);
  clock.pass(carrierIdle_ms + snapshotDelay_ms);
  state.run('DELETE FROM snapshots');
  assert.is.not(carriers.get(doc).client, client);
  carriers.close();
  state.close();
});

test('a document that cannot be written stays in memory until it can', () => {
  const [state, clock] = [new State(tempDir()), stillClock()];
  const table = { ...state.facts };
  const logged: string[] = [];
  const log = (_level: string, what: string) => void logged.push(what);
  const carriers = new Carriers({ self, table, ledger: silent, clock, log });
  carriers.get(doc).append([record()]);
  carriers.changed(doc);
  table.putSnapshot = () => {
    throw new Error('the disk is full');
  };
  clock.pass(2 * (carrierIdle_ms + snapshotDelay_ms));
  assert.ok(carriers.isLoaded(doc));
  assert.ok(logged.includes('a document cannot be written'));
  table.putSnapshot = state.facts.putSnapshot;
  clock.pass(snapshotDelay_ms);
  assert.not(carriers.isLoaded(doc));
  assert.is(carriers.get(doc).own().length, 1);
  carriers.close();
  state.close();
});

test('arrays of past runs do not pile up: what the table has in them is let go, what it lacks is kept', () => {
  const [state, clock] = [new State(tempDir()), stillClock()];
  const stated = (seq: number) => {
    const payload = encode({ d: doc, a: self, n: seq, k: 'note', s: 's', t: seq, b: encode({}) });
    return encode([payload, new Uint8Array(randomBytes(64))]);
  };
  const all: Uint8Array[] = [];
  const ledger = { recordsBy: () => all } as unknown as FactLedger;
  const start = () => new Carriers({ self, table: state.facts, ledger, clock, log: () => {} });
  const runs = 3 * keptRunsPerAuthor;
  for (let run = 1; run <= runs; run++) {
    const carriers = start();
    const record = stated(run);
    carriers.get(doc).append([record]);
    carriers.changed(doc);
    all.push(record);
    // the second is not known but by its array
    if (run !== 2) state.facts.add([{ doc, id: idOf(record), record }]);
    carriers.close();
  }
  const carriers = start();
  assert.is(carriers.get(doc).carriedOf(self).runs, keptRunsPerAuthor + 1);
  const seqs = carriers.get(doc).own().map((record) => readFact(record).fact.seq).sort((a, b) => a - b);
  const newest = Array.from({ length: keptRunsPerAuthor }, (_, i) => runs - keptRunsPerAuthor + 1 + i);
  assert.equal(seqs, [2, ...newest], 'nothing is stated anew');
  // what came after the snapshot was written
  all.push(stated(runs + 1));
  carriers.close();
  const next = start();
  assert.is(next.get(doc).own().length, keptRunsPerAuthor + 2);
  next.close();
  state.close();
});

test.run();
