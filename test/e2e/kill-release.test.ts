import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { document, KillTests } from './kill.ts';

interface Point {
  point: string;
  nth?: number;
  /** what has become of the job when the node is back */
  then: 'held' | 'interrupted' | 'sent';
}

const kills = await KillTests.start(4);
const accepting = 'a1';

test.before.each(() => kills.revive());
test.after(() => kills.stop());

/** At the claimant. A job whose begin the claimant has recorded is its owner's to judge; one before that is free. */
const atClaimant: Point[] = [
  { point: 'before claims.put voting', then: 'held' },
  { point: 'after claims.put voting', then: 'held' },
  { point: 'after claim.claim', then: 'held' },
  { point: 'before claim.begin', then: 'held' },
  { point: 'before claims.put begun', then: 'held' },
  { point: 'after claims.put begun', then: 'interrupted' },
  { point: 'before document chunk', then: 'interrupted' },
  { point: 'after document chunk', then: 'interrupted' },
  { point: 'after document chunk', nth: 3, then: 'interrupted' },
  { point: 'after document', then: 'interrupted' },
  { point: 'before claim.settle', then: 'interrupted' },
  { point: 'before claims.put ended', then: 'interrupted' },
  { point: 'after claims.put ended', then: 'interrupted' },
  { point: 'before ledger.add settled', then: 'interrupted' },
  { point: 'after ledger.add settled', then: 'interrupted' },
  { point: 'before ledger.publish settled', then: 'sent' },
  { point: 'after claim.settle', then: 'sent' },
];

/** At a holder that is not the claimant: the two others go on without it. */
const atHolder: string[] = [
  'before pieces.setLease voted',
  'after pieces.setLease voted',
  'after answer vote',
  'before pieces.setLease begun',
  'after pieces.setLease begun',
  'after answer begin',
  'before pieces.setLease erased',
  'after pieces.setLease erased',
  'before ledger.add settled',
  'before pieces.dropShare',
  'after pieces.dropShare',
  'before pieces.remove',
  'after pieces.remove',
  'before spool.remove',
  'after spool.remove',
  'after answer settle',
];

for (const { point, nth, then } of atClaimant) {
  test(`the claimant killed ${point}${nth === undefined ? '' : ` ${nth}`}: ${then}`, async () => {
    const pdf = document();
    const before = await kills.kept();
    const { received } = kills.sink;
    const { id, holders } = await kills.print(pdf, accepting);
    // a holder other than the accepting node
    const claimant = holders.find((name) => name !== accepting) as string;
    const wish = { nodes: [claimant], point, ...nth === undefined ? {} : { nth } };
    const { result } = await kills.killing(wish, () => kills.release(id, claimant));
    assert.is(result, undefined);
    await kills.revive();
    await kills.finish(id, then, pdf, received);
    await kills.nothingMore(before);
  });
}

for (const point of atHolder) {
  test(`a holder killed ${point}: printed once, and nothing is left`, async () => {
    const pdf = document();
    const before = await kills.kept();
    const { id, holders } = await kills.print(pdf, accepting);
    const claimant = holders.find((name) => name !== accepting) as string;
    const others = holders.filter((name) => name !== claimant);
    const { result } = await kills.killing({ nodes: others, point }, () => kills.release(id, claimant));
    assert.is(result?.outcome, 'sent', result?.reason);
    await kills.revive();
    await kills.finish(id, 'sent', pdf, 0);
    await kills.nothingMore(before);
  });
}

test.run();
