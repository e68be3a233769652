/** Updates on their way into a document: an author's room there is its own. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Carriers } from '../../mesh/carriers.ts';
import { directoryDoc, jobsDoc, type Kind, signFact } from '../../mesh/facts.ts';
import { Intake } from '../../mesh/intake.ts';
import { maxRunsPerAuthor } from '../../mesh/limits.ts';
import { presenceKind } from '../../mesh/roster.ts';
import { clientOf, encodeRun, newArrayName } from '../../mesh/update.ts';
import { memoryTable, openLedger } from '../fakes/ledger.ts';
import { age_ms, certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { nodeRecord } from '../fakes/rogue.ts';
import { stillClock } from '../fakes/still-clock.ts';

const now_ms = Date.now();
const doc = jobsDoc('a', now_ms);

test('copies of an author’s records in arrays of its name are not kept, unless they are its own or new', async () => {
  const authority = await fakeAuthority('Test works', now_ms - age_ms);
  const [reader, author] = [
    await certifiedNode(authority, { name: 'reader' }),
    await certifiedNode(authority, { name: 'author' }),
  ];
  const [self, peer, rogue] = [reader.identity.peerId, author.identity.peerId, 'somebody else'];
  const table = memoryTable();
  const kinds = [presenceKind] as readonly Kind[];
  const ledger = await openLedger({ self: reader, kinds, trust: authority.trust, table });
  await ledger.hear({ doc: directoryDoc, record: await nodeRecord(author), from: peer });
  const carriers = new Carriers({ self, table, ledger, clock: stillClock(), log: () => {} });
  const intake = new Intake(carriers, ledger);
  const presence = (time_ms: number) =>
    signFact(author.key, {
      ...{ doc, author: peer, seq: time_ms, kind: 'presence', subject: peer, time_ms },
      body: { addresses: [], awake: [1, 0, 0, 0, 0, 0, 0], clients: null },
    });
  const take = async (records: Uint8Array[], from: string) => {
    const name = newArrayName(peer);
    const update = encodeRun({ client: clientOf(name), clock: 0, name, records });
    return await intake.take(doc, update, from) !== undefined;
  };
  const first = await presence(now_ms);
  assert.ok(await take([first], rogue), 'whoever brings what is new');
  for (let i = 0; i < 2 * maxRunsPerAuthor; i++) assert.not(await take([first], rogue));
  assert.ok(await take([first], peer), 'what it says again itself, after a crash');
  assert.ok(await take([first, await presence(now_ms + 1)], rogue));
  assert.is(carriers.get(doc).carriedOf(peer).runs, 3);
  // what cannot be judged yet, and waits, is new but once
  const unknown = await signFact(author.key, {
    ...{ doc, author: peer, seq: 1, kind: 'of tomorrow', subject: 's', time_ms: now_ms, body: {} },
  });
  assert.equal([await take([unknown], rogue), await take([unknown], rogue)], [true, false]);
  carriers.close();
});

test.run();
