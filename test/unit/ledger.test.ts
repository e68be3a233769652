/** Facts in any order, from anybody: the same table. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Authority } from '../../mesh/authority.ts';
import {
  directoryDoc,
  type Fact,
  idOf,
  type Kind,
  Missing,
  registrarOnly,
  signFact,
} from '../../mesh/facts.ts';
import type { FactLedger, Verdict } from '../../mesh/ledger.ts';
import { maxSuspects, maxWaitingPerAuthor } from '../../mesh/limits.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { Suspects, Waiting } from '../../mesh/waiting.ts';
import * as v from 'valibot';
import { idsOf, memoryTable, openLedger as openLedgerOf } from '../fakes/ledger.ts';
import { age_ms, certifiedNode, type NodeKeys } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { nodeRecord } from '../fakes/rogue.ts';

const noteBody = v.strictObject({ text: v.string() });
const noteKind: Kind<typeof noteBody> = { name: 'note', body: noteBody, check: () => {} };
/** Rests on a note of the same subject. */
const replyKind: Kind<typeof noteBody> = {
  name: 'reply',
  body: noteBody,
  check(fact, _author, known) {
    if (known.first('note', fact.subject) === undefined) throw new Missing(`note:${fact.subject}`);
  },
};
const officialKind: Kind<typeof noteBody> = { name: 'official', body: noteBody, check: registrarOnly };
const kinds = [noteKind, replyKind, officialKind, revokedKind] as readonly Kind[];

let authority: Authority;
let registrar: NodeKeys;
let alice: NodeKeys;
let bob: NodeKeys;

test.before(async () => {
  authority = await fakeAuthority('Test works', Date.now() - age_ms);
  registrar = await certifiedNode(authority, { name: 'registrar', roles: ['registrar'] });
  [alice, bob] = [
    await certifiedNode(authority, { name: 'alice' }),
    await certifiedNode(authority, { name: 'bob' }),
  ];
});

let seq = 0;

function record(by: NodeKeys, changes: Partial<Fact>): Promise<Uint8Array> {
  const author = by.identity.peerId;
  const body = { text: `${++seq}` };
  const fact = {
    doc: directoryDoc,
    author,
    seq,
    kind: 'note',
    subject: 's',
    time_ms: Date.now() + seq,
    body,
  };
  return signFact(by.key, { ...fact, ...changes });
}

const openLedger = (self: NodeKeys, table = memoryTable()) =>
  openLedgerOf({ self, table, kinds, trust: authority.trust });

const hearAll = async (ledger: FactLedger, records: readonly Uint8Array[]) => {
  const verdicts: Verdict[] = [];
  for (const one of records) {
    verdicts.push(await ledger.hear({ doc: directoryDoc, record: one, from: bob.identity.peerId }));
  }
  await ledger.settled();
  return verdicts;
};

/** A generator that one number replays (xorshift32). */
function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

test('in whatever order facts arrive, the table is the same', async () => {
  const mallory = await certifiedNode(authority, { name: 'mallory' });
  const cut_ms = Date.now() - 1000;
  const all = [
    ...await Promise.all([registrar, alice, mallory].map(nodeRecord)),
    await record(alice, { subject: 'one' }),
    await record(alice, { subject: 'two', time_ms: cut_ms - 5 }),
    await record(bob, { subject: 'stranger' }),
    await record(alice, { subject: 'one', kind: 'reply' }),
    await record(mallory, { subject: 'three', time_ms: cut_ms - 10 }),
    await record(mallory, { subject: 'four', time_ms: cut_ms + 10 }),
    await record(alice, { subject: 'four', kind: 'reply' }),
    await record(mallory, { subject: 'x', kind: 'official' }),
    await record(registrar, { subject: 'y', kind: 'official' }),
    await record(registrar, {
      ...{
        kind: 'revoked',
        subject: revocationOf('node', mallory.identity.peerId),
        time_ms: cut_ms,
        body: {},
      },
    }),
    // one number twice
    await record(alice, { seq: 7, subject: 'five', time_ms: cut_ms, body: { text: 'a' } }),
    await record(alice, { seq: 7, subject: 'five', time_ms: cut_ms, body: { text: 'b' } }),
  ];
  let expected: string | undefined;
  for (let round = 0; round < 25; round++) {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = generator(seed);
    const shuffled = all.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at).map(({ one }) =>
      one
    );
    const table = memoryTable();
    const self = await certifiedNode(authority, { name: 'reader' });
    const ledger = await openLedger(self, table);
    const own = idsOf(ledger, directoryDoc).map((id) => id.toHex());
    await hearAll(ledger, shuffled);
    // what was refused before its author's standing was known is asked for again, as nodes compare
    await hearAll(ledger, shuffled.filter((one) => !ledger.isSettled(directoryDoc, idOf(one))));
    const ids = idsOf(ledger, directoryDoc).map((id) => id.toHex()).filter((id) => !own.includes(id)).sort();
    const first = JSON.stringify(ledger.first('note', 'five')?.body);
    const state = JSON.stringify([ids, first, ledger.digest(directoryDoc).count - own.length]);
    expected ??= state;
    assert.is(state, expected, `seed ${seed}`);
    assert.is(ledger.first('note', 'four'), undefined, `seed ${seed}`);
    assert.is(ledger.first('reply', 'four'), undefined, 'what rests on it has gone too');
    assert.ok(ledger.first('note', 'three'), `seed ${seed}`);
    const again = await openLedger(self, table);
    assert.equal(again.digest(directoryDoc), ledger.digest(directoryDoc), 'the same after a restart');
  }
});

test('who is to blame: the sender of what is not its author’s, the author of what it may not say', async () => {
  const ledger = await openLedger(await certifiedNode(authority, { name: 'reader' }));
  await hearAll(ledger, [await nodeRecord(alice)]);
  const suspects = () => ledger.suspects().map(({ peer, reason }) => [peer, reason]);
  const good = await record(alice, {});
  const forged = good.slice().fill(0, -8);
  assert.equal(await hearAll(ledger, [forged]), ['forged']);
  assert.equal(suspects(), [[bob.identity.peerId, 'the signature is not its author’s']]);
  // the same fact with its own signature counts all the same
  assert.equal(await hearAll(ledger, [good, good]), ['fact', 'known']);
  assert.equal(await hearAll(ledger, [await record(alice, { kind: 'official' })]), ['refused']);
  assert.is(suspects().at(-1)?.[0], alice.identity.peerId);
  assert.equal(await hearAll(ledger, [await record(alice, { kind: 'of tomorrow' })]), ['waits']);
  assert.equal(await hearAll(ledger, [await record(bob, {})]), ['stranger']);
});

test('what an author said under an old certificate holds after it has a new one, and the newest counts', async () => {
  const old = await certifiedNode(authority, { name: 'carol' }, Date.now() - 89 * 24 * 3600_000);
  const ledger = await openLedger(await certifiedNode(authority, { name: 'reader' }));
  const said = await record(old, { subject: 'then', time_ms: Date.now() - 80 * 24 * 3600_000 });
  assert.equal(await hearAll(ledger, [await nodeRecord(old), said]), ['fact', 'fact']);
  const before = await record(old, { subject: 'too old', time_ms: Date.now() - 100 * 24 * 3600_000 });
  assert.equal(await hearAll(ledger, [before]), ['stranger'], 'no certificate of its held then');
  assert.ok(ledger.identity(old.identity.peerId));
});

test('what waits is bounded for each author, and those that break rules are named up to a number', () => {
  const waiting = new Waiting();
  const heard = { doc: 'd', record: new Uint8Array(1), from: 'x' };
  for (let i = 0; i < 2 * maxWaitingPerAuthor; i++) waiting.add(`note:${i}`, `${i}`, 'mallory', heard);
  waiting.add('note:a', 'a', 'alice', heard);
  assert.is(waiting.take('note:a').length, 1);
  assert.is(waiting.take('note:0').length, 0);
  assert.is(waiting.take(`note:${2 * maxWaitingPerAuthor - 1}`).length, 1);
  const suspects = new Suspects();
  for (let i = 0; i < 2 * maxSuspects; i++) suspects.note(`p${i}`, 'because', i);
  suspects.note(`p${2 * maxSuspects - 1}`, 'again', 1000);
  assert.is(suspects.list().length, maxSuspects);
  const { reason, times, last_ms } = suspects.list().at(-1)!;
  assert.equal({ reason, times, last_ms }, { reason: 'again', times: 2, last_ms: 1000 });
});

test('a fact whose change finds no room is not known, and is taken when there is some', async () => {
  const table = memoryTable();
  const ledger = await openLedger(alice, table);
  const before = ledger.digest(directoryDoc);
  const octets = await record(bob, {});
  await ledger.hear({ doc: directoryDoc, record: await nodeRecord(bob), from: 'somebody' });
  const known = ledger.digest(directoryDoc);
  const fact = await ledger.judge(octets);
  const heard: string[] = [];
  ledger.onFact(({ subject }) => heard.push(subject));
  const full = async (change: () => void) => {
    change();
    table.remove(directoryDoc, [idOf(octets)]);
    throw await Promise.resolve(new TypeError('no room'));
  };
  const thrown = await ledger.addWith(full, fact, octets).catch((error: unknown) => error);
  assert.instance(thrown, TypeError);
  assert.is.not(known.count, before.count);
  assert.equal([ledger.latest('note', 's'), ledger.digest(directoryDoc)], [undefined, known]);
  let alongside = 0;
  const room = (change: () => void) => Promise.resolve(change());
  await ledger.addWith(room, fact, octets, () => void alongside++);
  assert.equal(ledger.latest('note', 's')?.body, fact.body);
  assert.equal([alongside, heard], [1, ['s', 's']]);
  assert.equal(idsOf(ledger, directoryDoc).length, known.count + 1);
});

test.run();
