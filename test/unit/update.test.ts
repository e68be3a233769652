import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as Y from 'yjs';
import { Carrier } from '../../mesh/carrier.ts';
import { maxFactBytes } from '../../mesh/limits.ts';
import { authorOf, clientOf, decodeRun, encodeRun, newArrayName } from '../../mesh/update.ts';
import { fakePeer } from '../fakes/organisation.ts';

const peer = fakePeer('a');
const name = newArrayName(peer);
const client = clientOf(name);
const someRecords = (count: number) =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(100 + Math.floor(Math.random() * 400))));

/** An update as Yjs itself writes it. */
function byYjs(change: (doc: Y.Doc) => void, clientID = client): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = clientID;
  doc.transact(() => change(doc));
  return Y.encodeStateAsUpdate(doc);
}

test('an update is what Yjs itself reads and writes', () => {
  const records = someRecords(5);
  const doc = new Y.Doc();
  Y.applyUpdate(doc, encodeRun({ client, clock: 0, name, records: records.slice(0, 2) }));
  Y.applyUpdate(doc, encodeRun({ client, clock: 2, name: undefined, records: records.slice(2) }));
  assert.equal(doc.getArray(name).toArray(), records);
  assert.is(doc.store.clients.get(client)?.length, 1, 'they merge into one item');
  const whole = encodeRun({ client, clock: 0, name, records });
  assert.equal(Y.encodeStateAsUpdate(doc), whole);
  assert.equal(decodeRun(whole), { client, clock: 0, name, records });
  const rest = encodeRun({ client, clock: 3, name: undefined, records: records.slice(3) });
  assert.equal(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(new Map([[client, 3]]))), rest);
  assert.equal(decodeRun(rest), { client, clock: 3, name: undefined, records: records.slice(3) });
  const overhead = whole.length - records.reduce((sum, record) => sum + record.length, 0);
  assert.ok(overhead < 120, `${overhead} octets beside five records`);
});

test('a name is of one writer, and gives one client', () => {
  assert.is(authorOf(name), peer);
  for (const bad of ['', peer, `${peer}/`, `${peer}/0123456789abcdeX`, `x${name}`, `${name}0`, 'directory']) {
    assert.is(authorOf(bad), undefined, bad);
  }
  assert.is(clientOf(name), clientOf(name));
  assert.is.not(clientOf(name), clientOf(newArrayName(peer)));
});

const record = new Uint8Array(randomBytes(50));
const good = encodeRun({ client, clock: 0, name, records: [record] });
const other = newArrayName(fakePeer('b'));
const refused: Record<string, Uint8Array> = {
  'nothing': new Uint8Array(0),
  'no structs': new Uint8Array([0, 0]),
  'one octet less': good.subarray(0, -1),
  'one octet more': Uint8Array.from([...good, 0]),
  'text': new TextEncoder().encode('this is no update at all, and never was one'),
  'a map': byYjs((doc) => doc.getMap(name).set('key', record)),
  'text in an array': byYjs((doc) => doc.getArray(name).push(['text'])),
  'binary content': byYjs((doc) => doc.getArray(name).push([record])),
  'a nested type': byYjs((doc) => doc.getArray(name).push([new Y.Array()])),
  'two arrays': byYjs((doc) => {
    doc.getArray(name).push([1]);
    doc.getArray(other).push([1]);
  }),
  'a deletion': byYjs((doc) => {
    doc.getArray(name).push([1, 2, 3]);
    doc.getArray(name).delete(0, 1);
  }),
  'another’s client': encodeRun({ client: clientOf(other), clock: 0, name, records: [record] }),
  'an array of another name': encodeRun({
    client: clientOf('facts'),
    clock: 0,
    name: 'facts',
    records: [record],
  }),
  'no records': encodeRun({ client, clock: 0, name, records: [] }),
  'a record that is too large': encodeRun({
    ...{ client, clock: 0, name },
    records: [new Uint8Array(maxFactBytes + 1)],
  }),
};
for (const [what, update] of Object.entries(refused)) {
  test(`an update is refused: ${what}`, () => {
    assert.throws(
      () => decodeRun(update),
      /^InkmeshError: the update is not one of facts|^the update is not/,
    );
  });
}

test('whatever is changed in an update, it is refused, or another update of the one form', () => {
  for (let at = 0; at < good.length; at++) {
    for (const bit of [1, 16, 128]) {
      const changed = good.slice();
      changed[at]! ^= bit;
      try {
        assert.equal(encodeRun(decodeRun(changed)), changed, `octet ${at}`);
      } catch (thrown) {
        assert.match(String(thrown), /the update is not one of facts/);
      }
    }
  }
});

test('a document of 10,000 records is one item per writer, and little more than they are on disk', () => {
  const carrier = new Carrier(peer);
  const records = someRecords(10_000);
  for (let at = 0; at < records.length; at += 100) carrier.append(records.slice(at, at + 100));
  const octets = records.reduce((sum, one) => sum + one.length, 0);
  assert.is(carrier.clock(carrier.client), 10_000);
  const snapshot = carrier.snapshot();
  assert.ok(snapshot.length < octets * 1.02, `${snapshot.length} octets for ${octets}`);
  const again = new Carrier(peer);
  again.restore(snapshot, () => true);
  assert.equal(again.own(), records);
  assert.equal(again.carriedOf(peer), { runs: 1, octets });
  // in pieces, each from where the last ended
  const copy = new Carrier(fakePeer('c'));
  for (let clock = 0; clock < 10_000; clock = copy.clock(carrier.client)) {
    const run = decodeRun(again.encode(carrier.client, clock, 100_000)!);
    copy.integrate({ ...run, name: again.nameOf(run.client)! });
  }
  assert.equal(copy.snapshot(), again.snapshot());
  for (const one of [carrier, again, copy]) one.close();
});

test('a snapshot that is damaged anywhere is not taken in', () => {
  const carrier = new Carrier(peer);
  carrier.append(someRecords(3));
  const snapshot = carrier.snapshot();
  for (const at of [0, 31, 32, 40, snapshot.length - 1]) {
    const changed = snapshot.slice();
    changed[at]! ^= 1;
    assert.throws(() => new Carrier(peer).restore(changed, () => true), /not what was written/);
  }
  assert.throws(
    () => new Carrier(peer).restore(snapshot.subarray(0, 100), () => true),
    /not what was written/,
  );
  carrier.close();
});

test.run();
