import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { document, KillTests } from './kill.ts';

const kills = await KillTests.start(4);
const accepting = 'a2';

test.before.each(() => kills.revive());
test.after(() => kills.stop());

/** Points at the node that the client talks to: it can't be told anything any more. */
const atAccepting: { point: string; nth?: number }[] = [
  { point: 'before spool.write' },
  { point: 'after spool.write', nth: 3 },
  { point: 'before spool.finish' },
  { point: 'after spool.finish' },
  { point: 'before pieces.put' },
  { point: 'after pieces.put' },
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

for (const { point, nth } of atAccepting) {
  test(`the accepting node killed ${point}: not accepted, and no half job`, async () => {
    const pdf = document();
    const before = { kept: await kills.kept(), jobs: await kills.unfinished() };
    const { received, connections } = kills.sink;
    const wish = { nodes: [accepting], point, ...nth === undefined ? {} : { nth } };
    const { result } = await kills.killing(wish, () => kills.print(pdf, accepting));
    assert.is(result, undefined);
    await kills.revive();
    // nobody was told of it, yet where it is listed it is whole
    for (const id of added(await kills.unfinished(), before.jobs)) {
      await kills.finish(id, 'held', pdf, received);
      await kills.nothingMore(before.kept);
    }
    assert.is(kills.sink.connections, kills.prints(pdf) + connections, 'printed by itself');
  });
}

for (const { point, nth, survives } of atHolder) {
  test(`a holder killed ${point}: accepted and safe, or no job`, async () => {
    const pdf = document();
    const before = { kept: await kills.kept(), jobs: await kills.unfinished() };
    const { received } = kills.sink;
    const others = kills.names.filter((name) => name !== accepting);
    const wish = { nodes: others, point, ...nth === undefined ? {} : { nth } };
    const { result, victim } = await kills.killing(wish, () => kills.print(pdf, accepting));
    if (survives) assert.ok(result, 'another machine takes its place');
    if (result !== undefined) {
      assert.is(result.holders.length, 3);
      assert.is(result.holders.includes(victim), !survives);
      // without the victim
      await kills.finish(result.id, 'held', pdf, received);
    }
    await kills.revive();
    const left = added(await kills.unfinished(), before.jobs);
    if (result !== undefined) assert.equal(left, []);
    for (const id of left) await kills.finish(id, 'held', pdf, received);
    if (result !== undefined || left.length > 0) await kills.nothingMore(before.kept);
  });
}

const added = (now: readonly string[], before: readonly string[]) => now.filter((id) => !before.includes(id));

test.run();
