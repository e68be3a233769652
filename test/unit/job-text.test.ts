import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import { formatOf, rangesText, sizeOf, stateOf, titleOf } from '../../src/release/pages/job-text.ts';

const job: JobView = {
  ...{ id: '6ba7b810-9dad-81d1-80b4-00c04fd430c8', owner: 'ada', title: null, site: 'a', state: 'held' },
  ...{ bytes: 1_500_000, format: null, options: null, holders: ['pc-12', 'pc-31'], claims: [] },
  ...{ submitted: '2026-01-01T00:00:00.000Z', expires: '2026-01-02T00:00:00.000Z' },
};

test('a title comes from the holders; while they sleep it says for whom the document waits', () => {
  assert.is(titleOf(job), 'Document, waiting for pc-12 or pc-31');
  assert.is(titleOf({ ...job, title: 'Minutes' }), 'Minutes');
  assert.is(titleOf({ ...job, title: '' }), 'Document');
  assert.is(titleOf({ ...job, state: 'printed' }), 'Document');
});

test('a state says where and why', () => {
  assert.is(stateOf(job), 'waits for you');
  assert.is(stateOf({ ...job, degraded: 'waiting for pc-31' }), 'waits for you: waiting for pc-31');
  const broken = { ...job, state: 'interrupted', printer: 'floor-1', reason: 'paper is jammed' } as const;
  assert.is(stateOf(broken), 'interrupted at floor-1: paper is jammed');
});

test('sizes, formats and ranges are short', () => {
  assert.is(sizeOf(job), '1.5 MB');
  assert.is(sizeOf({ ...job, bytes: 1 }), '1 byte');
  assert.is(formatOf({ ...job, format: 'application/pdf' }), 'PDF');
  assert.is(formatOf({ ...job, format: 'application/octet-stream' }), undefined);
  assert.is(rangesText([[1, 3], [5, 5]]), '1-3, 5');
});

test.run();
