/** Documents in memory and on disk: put away when nothing happens, and gone on with where they were. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Carriers } from '../../mesh/carriers.ts';
import type { FactLedger } from '../../mesh/ledger.ts';
import { carrierIdle_ms, snapshotDelay_ms } from '../../mesh/limits.ts';
import type { Clock } from '../../mesh/ports.ts';
import { State } from '../../src/state.ts';
import { fakePeer } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

const self = fakePeer('a');
const doc = 'directory';

/** A clock that stands still until it is moved. */
function stillClock(): Clock & { pass(by_ms: number): void } {
  let now_ms = 0;
  const due = new Set<{ at_ms: number; run: () => void }>();
  const time = () => now_ms;
  return {
    ...{ wall_ms: time, monotonic_ms: time, uptime_ms: time },
    after: (delay_ms, run) => {
      const timer = { at_ms: now_ms + delay_ms, run };
      due.add(timer);
      return () => due.delete(timer);
    },
    pass: (by_ms) => {
      const end_ms = now_ms + by_ms;
      for (;;) {
        const [next] = [...due].filter(({ at_ms }) => at_ms <= end_ms).sort((a, b) => a.at_ms - b.at_ms);
        if (next === undefined) break;
        due.delete(next);
        now_ms = next.at_ms;
        next.run();
      }
      now_ms = end_ms;
    },
  };
}

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

test.run();
