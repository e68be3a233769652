import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuditEntry } from '../../src/audit.ts';
import { auditLimits } from '../../src/limits.ts';
import { State } from '../../src/state.ts';
import { tempDir } from '../fakes/processes.ts';

const entry = (what: AuditEntry['what'], detail: string): AuditEntry => ({
  ...{ what, who: 'ada', from: '192.0.2.1', detail },
});

test('rows are kept over a restart, the newest first, without control characters and of bounded length', () => {
  const dir = tempDir();
  const state = new State(dir);
  state.audit.record(entry('submitted', 'job 1\r\n2'));
  state.audit.record({ ...entry('refused', 'x'.repeat(1000)), who: null, from: null });
  state.close();
  const again = new State(dir);
  const [second, first] = again.audit.list(10);
  assert.is(again.audit.list(1).length, 1);
  again.close();
  assert.is(first?.detail, 'job 1  2');
  assert.is(second?.detail.length, auditLimits.maxDetailChars);
  assert.equal([first?.who, first?.from, second?.who, second?.from], ['ada', '192.0.2.1', null, null]);
  assert.ok(Math.abs(Date.parse(first?.at ?? '') - Date.now()) < 60_000);
});

test('the oldest go when there are too many, and a flood of refusals or of requests takes only those with it', () => {
  const dir = tempDir();
  new State(dir).close();
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  const fill = (count: number, rows: number) =>
    db.exec(`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${count})
      INSERT INTO audit (time_ms, what, who, address, detail, class)
      SELECT i, 'w', NULL, NULL, 'row ' || i, ${rows} FROM c`);
  fill(100, 0);
  for (const flood of [1, 2]) fill(auditLimits.maxRowsOfEach + 500, flood);
  db.close();
  const state = new State(dir);
  state.audit.record(entry('refused', 'the last'));
  const [newest] = state.audit.list(1);
  const count = (rows: number) => state.row('SELECT count(*) AS n FROM audit WHERE class = ?', rows)?.['n'];
  assert.is(newest?.detail, 'the last');
  assert.equal([count(1), count(2)], [auditLimits.maxRowsOfEach, auditLimits.maxRowsOfEach]);
  assert.is(count(0), 100);
  assert.is(state.row('SELECT min(time_ms) AS first FROM audit WHERE class = 1')?.['first'], 502);
  state.close();
});

test.run();
