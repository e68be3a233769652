/** Comparing facts with a peer that answers as a test has it. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import type { Carriers } from '../../mesh/carriers.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { splitIds } from '../../mesh/fact-protocol.ts';
import { directoryDoc, idBytes, type Kind } from '../../mesh/facts.ts';
import type { FactLedger } from '../../mesh/ledger.ts';
import { maxDocs, maxIdsPerExchange, maxNamedDocs } from '../../mesh/limits.ts';
import { Reconciler } from '../../mesh/reconcile.ts';
import type { Rpc } from '../../mesh/rpc.ts';
import type { Spread } from '../../mesh/spread.ts';
import { idsOf, memoryTable, openLedger } from '../fakes/ledger.ts';
import { age_ms, certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { stillClock } from '../fakes/still-clock.ts';

const noteBody = v.strictObject({ text: v.string() });
const noteKind: Kind<typeof noteBody> = { name: 'note', body: noteBody, check: () => {} };

let ledger: FactLedger;

test.before(async () => {
  const authority = await fakeAuthority('Test works', Date.now() - age_ms);
  const self = await certifiedNode(authority, { name: 'self' });
  ledger = await openLedger({
    self,
    kinds: [noteKind] as readonly Kind[],
    trust: authority.trust,
    table: memoryTable(),
  });
  for (let i = 0; i < 300; i++) await ledger.state(noteKind, () => directoryDoc, `s${i}`, { text: '' });
});

/** What a node asks of a peer that has these ids, and of which no document can be pulled. */
function reconciler(theirs: Uint8Array) {
  const [fetched, asked, told] = [[] as Uint8Array[], [] as unknown[], [] as Uint8Array[]];
  const replies: Record<string, unknown> = {
    digests: { docs: [[directoryDoc, theirs.length / idBytes, new Uint8Array(idBytes)]] },
    buckets: { sums: new Uint8Array(256 * idBytes) },
    ids: { ids: theirs },
  };
  const rpc = {
    call: (_peer: string, { name }: { name: string }, request: unknown) => {
      asked.push([name, request]);
      return Promise.resolve({ reply: replies[name] });
    },
  };
  const spread = {
    pull: () => Promise.reject(new InkmeshError('too-large', 'as told')),
    fetch: (_doc: string, ids: Uint8Array[]) => Promise.resolve(fetched.push(...ids)),
    tell: (_peer: string, _doc: string, _clocks: unknown, ids: Uint8Array[]) =>
      Promise.resolve(void told.push(...ids)),
  };
  const carriers = { barred: () => new Set(), get: () => ({ clocks: () => new Map() }) };
  const compare = new Reconciler({
    ...{
      rpc: rpc as unknown as Rpc,
      carriers: carriers as unknown as Carriers,
      spread: spread as unknown as Spread,
    },
    ...{ clock: stillClock(), ledger, docs: () => [directoryDoc], isDoc: () => true },
  });
  return { compare, fetched, asked, told };
}

test('where a document cannot be pulled, facts are found by their ids', async () => {
  const own = idsOf(ledger, directoryDoc);
  const foreign = new Uint8Array(randomBytes(idBytes));
  const { compare, fetched, told } = reconciler(new Uint8Array(Buffer.concat([...own.slice(1), foreign])));
  assert.is(await compare.sync('peer', []), 'missed');
  assert.equal(fetched, [foreign]);
  assert.equal(told, [own[0]]);
});

test('of ids that are invented few are looked at', async () => {
  const invented = new Uint8Array(randomBytes(4 * maxIdsPerExchange * idBytes));
  const { compare, fetched } = reconciler(invented);
  await compare.sync('peer', []);
  assert.equal(fetched, splitIds(invented).slice(0, maxIdsPerExchange));
});

test('the sums of buckets are of the ids that are there, also when some have gone', () => {
  const sums = () => {
    const expected = new Uint8Array(256 * idBytes);
    for (const id of idsOf(ledger, directoryDoc)) {
      id.forEach((octet, i) => expected[id[0]! * idBytes + i]! ^= octet);
    }
    return expected;
  };
  assert.equal(ledger.buckets(directoryDoc), sums());
  ledger.drop(directoryDoc);
  assert.equal(ledger.buckets(directoryDoc), new Uint8Array(256 * idBytes));
});

test('a comparison of more documents than a message names is of all', async () => {
  const { compare, asked } = reconciler(new Uint8Array(0));
  await compare.sync('peer', Array.from({ length: maxNamedDocs + 1 }, (_, i) => `jobs/s${i}/2026-01-01`));
  assert.equal(asked[0], ['digests', { docs: [] }]);
  assert.ok(maxNamedDocs < maxDocs);
});

test.run();
