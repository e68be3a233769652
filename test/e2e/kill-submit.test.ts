import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Accepted, document, KillTests } from './kill.ts';

const kills = await KillTests.start(4);
const accepting = 'a2';

test.before.each(() => kills.revive());
test.after(() => kills.stop());

/**
 * Points at the node that the client talks to first: it goes on with another one, which must not make a second
 * job. `remains`: pieces that the first node has sent are swept an hour later only
 */
const atAccepting: { point: string; nth?: number; remains?: true }[] = [
  { point: 'before spool.write' },
  { point: 'after spool.write', nth: 3 },
  { point: 'before spool.finish' },
  { point: 'after spool.finish', remains: true },
  { point: 'before pieces.put', remains: true },
  { point: 'after pieces.put', remains: true },
  { point: 'before answer seal' },
  { point: 'before pieces.seal' },
  { point: 'after pieces.seal' },
  { point: 'before ledger.publish job' },
  { point: 'after accept' },
];

/** Points at another holder; `survives` where a further machine takes its place. */
const atHolder: { point: string; nth?: number; survives?: true }[] = [
  { point: 'after spool.write', nth: 2, survives: true },
  { point: 'before spool.finish', survives: true },
  { point: 'after spool.finish', survives: true },
  { point: 'before pieces.put', survives: true },
  { point: 'after pieces.put', survives: true },
  { point: 'after answer store', survives: true },
  { point: 'before pieces.seal' },
  { point: 'after pieces.seal' },
  { point: 'after answer seal' },
];

for (const { point, nth, remains } of atAccepting) {
  test(`the first node killed ${point}: accepted all the same, and one job`, async () => {
    const pdf = document();
    const before = { kept: await kills.kept(), jobs: await kills.unfinished() };
    const { received, connections } = kills.sink;
    const wish = { nodes: [accepting], point, ...nth === undefined ? {} : { nth } };
    const { result } = await kills.killing(wish, () => kills.print(pdf, accepting));
    assert.ok(result, 'another node takes it, or knows that it was taken');
    await kills.revive();
    assert.equal(added(await kills.unfinished(), before.jobs), [result.id]);
    await kills.finish(result.id, 'held', pdf, received);
    if (!remains) await kills.nothingMore(before.kept);
    assert.is(kills.sink.connections, kills.prints(pdf) + connections, 'printed by itself');
  });
}

test('inkmesh print, the first node killed in mid-send: exit 0', async () => {
  const pdf = document();
  const { received } = kills.sink;
  const print = ['print', pdf.file, ...kills.org.as('ada', accepting)];
  const wish = { nodes: [accepting], point: 'after spool.write', nth: 3 };
  const { result } = await kills.killing(wish, () => kills.org.ink<Accepted>(print));
  assert.is(result?.code, 0);
  assert.is(result?.stderr, '', '--json is silent');
  await kills.finish(result?.json.id ?? '', 'held', pdf, received);
});

for (const { point, nth, survives } of atHolder) {
  test(`a holder killed ${point}: accepted and safe, and one job`, async () => {
    const pdf = document();
    const before = { kept: await kills.kept(), jobs: await kills.unfinished() };
    const { received } = kills.sink;
    const others = kills.names.filter((name) => name !== accepting);
    const wish = { nodes: others, point, ...nth === undefined ? {} : { nth } };
    const { result, victim } = await kills.killing(wish, () => kills.print(pdf, accepting));
    assert.ok(result, 'another machine takes its place, or another node the document');
    assert.is(result.holders.length, 3);
    if (survives) assert.not(result.holders.includes(victim));
    // without the victim
    await kills.finish(result.id, 'held', pdf, received);
    await kills.revive();
    assert.equal(added(await kills.unfinished(), before.jobs), []);
    await kills.nothingMore(before.kept);
  });
}

const added = (now: readonly string[], before: readonly string[]) => now.filter((id) => !before.includes(id));

test.run();
