/** Facts of those who break the rules, or whose clocks differ: honest nodes keep the same, in whatever order they heard. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import type { Authority } from '../../mesh/authority.ts';
import { encode } from '../../mesh/codec.ts';
import { directoryDoc, type Fact, idOf, jobsDoc, type Kind, signFact } from '../../mesh/facts.ts';
import { jobKind, settledKind, signReceipt, withdrawnKind } from '../../mesh/job-facts.ts';
import { newJobId } from '../../mesh/job-id.ts';
import type { FactLedger } from '../../mesh/ledger.ts';
import { maxFactLead_ms, maxFactOctetsPerAuthor, maxFactsPerCertificate } from '../../mesh/limits.ts';
import { defaultPolicy, policyOf, siteKind } from '../../mesh/policy.ts';
import { revocationOf, revokedKind, revokedSince } from '../../mesh/revocation.ts';
import { idsOf, memoryTable, openLedger } from '../fakes/ledger.ts';
import { age_ms, certifiedNode, type NodeKeys } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { nodeRecord } from '../fakes/rogue.ts';

const noteBody = v.strictObject({ text: v.string() });
const noteKind: Kind<typeof noteBody> = { name: 'note', body: noteBody, check: () => {} };
const kinds = [noteKind, revokedKind, siteKind, jobKind, settledKind, withdrawnKind] as readonly Kind[];

const now_ms = Date.now();
let authority: Authority;
let [first, second, third, reader]: NodeKeys[] = [];

test.before(async () => {
  authority = await fakeAuthority('Test works', now_ms - age_ms);
  const named = (name: string) => certifiedNode(authority, { name, roles: ['registrar'] });
  [first, second, third, reader] = await Promise.all(['first', 'second', 'third', 'reader'].map(named));
});

const peerOf = ({ identity }: NodeKeys) => identity.peerId;
const namesOf = (ledger: FactLedger, doc: string) => idsOf(ledger, doc).map((id) => id.toHex()).sort();

function signed(by: NodeKeys, said: Partial<Fact> & { time_ms: number }): Promise<Uint8Array> {
  const about = { doc: directoryDoc, author: peerOf(by), seq: said.time_ms, kind: 'note', subject: 's' };
  return signFact(by.key, { ...about, body: { text: '' }, ...said });
}

async function open(table = memoryTable(), self = reader!): Promise<FactLedger> {
  const ledger = await openLedger({ self, kinds, trust: authority.trust, table, now_ms: () => now_ms });
  for (const keys of [first!, second!, third!]) await hear(ledger, [await nodeRecord(keys)]);
  return ledger;
}

async function hear(ledger: FactLedger, records: readonly Uint8Array[], doc = directoryDoc) {
  const verdicts = [];
  for (const record of records) verdicts.push(await ledger.hear({ doc, record, from: peerOf(second!) }));
  await ledger.settled();
  return verdicts;
}

/** Each order of these. */
function orders<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, at) => orders(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}

/** Hears records in each order, twice as nodes that compare do: each gives the same. */
async function inEachOrder<Result>(
  records: readonly Uint8Array[],
  doc: string,
  look: (ledger: FactLedger) => Result,
): Promise<Result> {
  const results: Result[] = [];
  const own = await open();
  const known = namesOf(own, doc);
  for (const order of orders(records)) {
    const ledger = await openLedger({ self: reader!, kinds, trust: authority.trust, table: memoryTable() });
    for (const row of idsOf(own, directoryDoc)) {
      await ledger.hear({
        doc: directoryDoc,
        record: own.recordOf(directoryDoc, row)!,
        from: peerOf(second!),
      });
    }
    await hear(ledger, order, doc);
    await hear(ledger, order.filter((record) => !ledger.isSettled(doc, idOf(record))), doc);
    results.push(look(ledger));
    assert.equal(
      namesOf(ledger, doc).filter((id) => !known.includes(id)).length,
      ledger.digest(doc).count - known.length,
    );
    assert.equal(results.at(-1), results[0], 'another order');
  }
  return results[0]!;
}

test('a certificate that is stated again and again counts once, and what is sealed is as it was first', async () => {
  const { identity: { der: leaf }, issuers } = first!;
  const stated = (i: number) =>
    signed(first!, {
      ...{ time_ms: now_ms - 1000 + i, kind: 'node', subject: peerOf(first!) },
      body: { leaf, issuers, seal: `age1${i}` },
    });
  const all = await Promise.all(Array.from({ length: maxFactsPerCertificate + 3 }, (_, i) => stated(i)));
  const looks = [];
  for (const order of [all, all.toReversed(), all.toSorted(() => Math.random() - 0.5)]) {
    const ledger = await open();
    await hear(ledger, order);
    assert.is(ledger.about('node', peerOf(first!)).length, maxFactsPerCertificate);
    assert.is(ledger.certificates(peerOf(first!), now_ms).length, 1);
    looks.push([ledger.sealOf(peerOf(first!)), ledger.about('node', peerOf(first!)).map(({ seq }) => seq)]);
  }
  assert.is(looks[0]![0], 'age10');
  assert.equal(looks[1], looks[0]);
  assert.equal(looks[2], looks[0]);
});

test('who is revoked does not get back in by a revocation of its revoker, whatever its date', async () => {
  const revoke = (by: NodeKeys, whom: NodeKeys, time_ms: number) =>
    signed(by, { time_ms, kind: 'revoked', subject: revocationOf('node', peerOf(whom)), body: {} });
  for (const back_ms of [99_000, 0, -1000]) {
    const revoked = await inEachOrder(
      [
        await revoke(second!, first!, now_ms - 1000),
        await revoke(first!, second!, now_ms - 1000 - back_ms),
        await signed(first!, { time_ms: now_ms }),
        await signed(second!, { time_ms: now_ms }),
      ],
      directoryDoc,
      (ledger) => [
        ...[first!, second!].map((keys) => revokedSince(ledger, 'node', peerOf(keys)) !== undefined),
        ledger.about('note', 's').length,
      ],
    );
    assert.equal(revoked, [true, true, 0]);
  }
  // of one time, in a ring
  const ring = [[first!, second!], [second!, third!], [third!, first!]] as const;
  const records = await Promise.all(ring.map(([by, whom]) => revoke(by, whom, now_ms)));
  const all = await inEachOrder(records, directoryDoc, (ledger) => ledger.all('revoked').length);
  assert.is(all, 3);
});

test('a settlement counts if it fits any job of its id, whichever was heard first', async () => {
  const doc = jobsDoc('a', now_ms);
  const job = newJobId(peerOf(first!));
  const stated = (holders: NodeKeys[], time_ms: number) =>
    signed(first!, {
      ...{ doc, time_ms, kind: 'job', subject: job },
      body: {
        ...{ owner: 'ada', bytes: 1, epoch: 1, expires_ms: now_ms + 3600_000 },
        ...{ degraded: null, sleeper: null, handed: null, holders: holders.map(peerOf) },
      },
    });
  const claim = `${peerOf(third!)}/${crypto.randomUUID()}`;
  const receipts = await Promise.all(
    [second!, third!].map(async (by) => [
      peerOf(by),
      await signReceipt(by.key, { job, epoch: 1, claim, holder: peerOf(by) }),
    ]),
  );
  const looked = await inEachOrder(
    [
      await stated([second!, third!, first!], now_ms),
      await stated([first!, reader!, await certifiedNode(authority, { name: 'x' })], now_ms - 10),
      await signed(third!, {
        ...{ doc, time_ms: now_ms + 1, kind: 'settled', subject: job },
        body: { epoch: 1, claim, outcome: 'printed', target: 'p', reason: '', receipts },
      }),
      await signed(first!, { doc, time_ms: now_ms + 2, kind: 'withdrawn', subject: job, body: {} }),
    ],
    doc,
    (ledger) => [
      ledger.about('settled', job).length,
      ledger.about('withdrawn', job).length,
      ledger.suspects().length,
    ],
  );
  assert.equal(looked, [1, 1, 0]);
});

test('of an author that states too much the first counts, and what rests on the rest goes', async () => {
  const doc = jobsDoc('a', now_ms);
  const text = 'x'.repeat(2900);
  const author = peerOf(first!);
  // as if they had been heard before: what is in the table is not verified again
  const noise = (seq: number) => {
    const [t, b] = [now_ms - 250_000 + seq, encode({ text })];
    const payload = encode({ d: doc, a: author, n: seq, k: 'note', s: `n${seq}`, t, b });
    return encode([payload, new Uint8Array(randomBytes(64))]);
  };
  const [begin, { length }] = [100_000, noise(100_000)];
  const count = Math.floor(maxFactOctetsPerAuthor / length) - 1;
  const rows = Array.from({ length: count }, (_, i) => noise(begin + i))
    .map((record) => ({ doc, id: idOf(record), record }));
  const note = (time_ms: number) =>
    signed(first!, { doc, time_ms, subject: `at ${time_ms}`, body: { text } });
  const job = newJobId(author);
  const body = {
    ...{ owner: 'ada', bytes: 1, epoch: 1, expires_ms: now_ms + 3600_000, holders: [author] },
    ...{ degraded: 'one', sleeper: null, handed: null },
  };
  const records = [
    await signed(first!, { doc, time_ms: now_ms - 300_000, kind: 'withdrawn', subject: job, body: {} }),
    await note(now_ms - 200_000),
    await note(now_ms - 199_999),
    await signed(first!, { doc, time_ms: now_ms - 100, kind: 'job', subject: job, body }),
  ];
  const kept = new Set<string>();
  for (const order of [records, records.toReversed(), [2, 0, 3, 1].map((at) => records[at]!)]) {
    const table = memoryTable();
    table.add(rows);
    const ledger = await open(table);
    await hear(ledger, order, doc);
    await hear(ledger, order.filter((record) => !ledger.isSettled(doc, idOf(record))), doc);
    assert.is(ledger.digest(doc).count, count + 2);
    kept.add(JSON.stringify([namesOf(ledger, doc), ledger.digest(doc).count]));
    assert.equal(ledger.about('job', job), []);
    assert.equal(ledger.about('withdrawn', job), []);
    assert.is(ledger.about('note', `at ${now_ms - 200_000}`).length, 1);
    assert.is(ledger.suspects()[0]?.peer, author);
  }
  assert.is(kept.size, 1);
});

test('what is decided later counts later, also by a clock that is behind, and not beyond what others take', async () => {
  const ledger = await open();
  const site = (relay: boolean, time_ms: number) =>
    signed(second!, { time_ms, kind: 'site', subject: 'a', body: { ...defaultPolicy, relay } });
  await hear(ledger, [await site(true, now_ms + 3600_000)]);
  const { time_ms } = await ledger.state(siteKind, () => directoryDoc, 'a', defaultPolicy);
  assert.is(policyOf(ledger, 'a').relay, false);
  assert.is(time_ms, now_ms + 3600_001);
  await hear(ledger, [await site(true, now_ms + maxFactLead_ms)]);
  const late = ledger.state(siteKind, () => directoryDoc, 'a', defaultPolicy);
  assert.match(await late.then(() => '', String), /set this machine’s clock/);
  ledger.close();
});

test('a signature that was damaged on the disk is mended when the fact is heard again', async () => {
  const table = memoryTable();
  const record = await signed(first!, { time_ms: now_ms });
  const damaged = record.slice().fill(0, -8);
  table.add([{ doc: directoryDoc, id: idOf(record), record: damaged }]);
  const ledger = await open(table);
  assert.equal(await hear(ledger, [damaged.slice().fill(1, -8)]), ['forged']);
  assert.equal(ledger.recordOf(directoryDoc, idOf(record)), damaged);
  assert.equal(await hear(ledger, [record, await signed(first!, { time_ms: now_ms })]), ['known', 'known']);
  assert.equal(ledger.recordOf(directoryDoc, idOf(record)), record, 'and kept as it is from then on');
});

test.run();
