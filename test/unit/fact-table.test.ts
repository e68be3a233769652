import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Carrier } from '../../mesh/carrier.ts';
import { encode } from '../../mesh/codec.ts';
import { idOf, jobsDoc } from '../../mesh/facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { newArrayName } from '../../mesh/update.ts';
import { clientOf } from '../../mesh/update.ts';
import { State } from '../../src/state.ts';
import { fakePeer } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

const time_ms = Date.parse('2026-01-02T03:04:05Z');
const doc = jobsDoc('a', time_ms);
const peers = [fakePeer('a'), fakePeer('b'), fakePeer('c')];

/** A job fact of the size that they have; its signature is noise, as signatures are. */
function jobRecord(seq: number): Uint8Array {
  const author = peers[seq % 3]!;
  const body = {
    ...{ owner: 'ada@example.org', bytes: 1_234_567, epoch: 1, expires_ms: time_ms + 8 * 3600_000 },
    ...{ degraded: null, sleeper: null, handed: null, holders: peers },
  };
  const payload = encode({
    ...{ d: doc, a: author, n: time_ms + seq, k: 'job', s: newJobId(author), t: time_ms + seq },
    b: encode(body),
  });
  return encode([payload, new Uint8Array(randomBytes(64))]);
}

test('a job takes less than 1 KB on disk, its part of the document included, and a dropped day nothing', () => {
  const count = 10_000;
  const state = new State(tempDir());
  const size = () => {
    const { page_count, freelist_count } = {
      ...state.row('PRAGMA page_count'),
      ...state.row('PRAGMA freelist_count'),
    };
    return (Number(page_count) - Number(freelist_count)) *
      Number(state.row('PRAGMA page_size')?.['page_size']);
  };
  const empty = size();
  const records = Array.from({ length: count }, (_, i) => jobRecord(i));
  for (let at = 0; at < count; at += 500) {
    state.facts.add(records.slice(at, at + 500).map((record) => ({ doc, id: idOf(record), record })));
  }
  const carrier = new Carrier(peers[0]!);
  for (const [i, peer] of peers.entries()) {
    const name = newArrayName(peer);
    const own = records.filter((_, at) => at % 3 === i);
    carrier.integrate({ client: clientOf(name), name, clock: 0, records: own });
  }
  state.facts.putSnapshot(doc, carrier.snapshot());
  const perJob = (size() - empty) / count;
  assert.ok(perJob < 1000, `${perJob} octets per job, of which ${records[0]!.length} are its fact`);
  assert.is(state.facts.byDoc(doc).length, count);
  assert.equal(state.facts.get(doc, idOf(records[7]!)), records[7]);
  state.facts.drop(doc);
  assert.equal(state.facts.docs(), []);
  assert.ok(size() - empty <= 64 * 1024, `${size() - empty} octets are left`);
  state.close();
});

test('what is there already is left as it is, and what is taken out is gone', () => {
  const state = new State(tempDir());
  const record = jobRecord(1);
  const row = { doc, id: idOf(record), record };
  state.facts.add([row, row]);
  state.facts.add([{ ...row, record: new Uint8Array(5) }]);
  assert.equal(state.facts.byDoc(doc), [row]);
  state.facts.remove(doc, [row.id]);
  assert.is(state.facts.get(doc, row.id), undefined);
  state.close();
});

test('ids are found by the octet that they begin with, the last too', () => {
  const state = new State(tempDir());
  const ids = [0, 1, 254, 255, 255].map((octet, i) => new Uint8Array(16).fill(octet, 0, 16 - i));
  state.facts.add(ids.map((id) => ({ doc, id, record: new Uint8Array(1) })));
  assert.equal([0, 1, 2, 254, 255].map((octet) => state.facts.idsIn(doc, octet).length), [1, 1, 0, 1, 2]);
  state.close();
});

test('of the damaged snapshots of a document the first is kept', () => {
  const state = new State(tempDir());
  for (const octet of [1, 2]) {
    state.facts.putSnapshot(doc, new Uint8Array([octet]));
    state.facts.setAside(doc);
  }
  assert.is(state.facts.snapshot(doc), undefined);
  assert.equal(state.rows('SELECT state FROM damaged').map((row) => [...row['state'] as Uint8Array]), [[1]]);
  state.close();
});

test.run();
