import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../mesh/codec.ts';
import {
  afterRestart,
  claimantOf,
  emptyLease,
  type Lease,
  type LeaseAnswer,
  type LeaseEvent,
  leaseSchema,
  maxClaims,
  maxClaimsPerClaimant,
  next,
  openClaims,
} from '../../mesh/lease.ts';
import {
  begin,
  Explorer,
  failed,
  interrupted,
  lease_ms,
  printed,
  settle,
  vote,
  type World,
  yields,
} from './lease.explorer.ts';

const peer = (letter: string) => `12D3KooW${letter.repeat(44)}`;
const [A, B] = [peer('A'), peer('B')];
const claimOf = (claimant: string, n: number) =>
  `${claimant}/00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const [a1, a2, b1, b2] = [claimOf(A, 1), claimOf(A, 2), claimOf(B, 1), claimOf(B, 2)];

const heldBy = (claim: string, begun: boolean): LeaseAnswer => ({
  type: 'refused',
  reason: 'held-by',
  claim,
  claimant: claimantOf(claim),
  begun,
});
const refused = (
  reason: 'refused-claim' | 'nonce-bound' | 'nonce-spent' | 'too-many-claims' | 'not-current' | 'erased',
) => ({ type: 'refused', reason }) as const;

/** Feeds events from an empty lease; the lease goes through its stored form each time. */
function run(...events: LeaseEvent[]): { lease: Lease; answer: LeaseAnswer | undefined } {
  let lease = emptyLease;
  let answer: LeaseAnswer | undefined;
  for (const event of events) {
    ({ lease, answer } = next(decode(leaseSchema, encode(lease)), event));
    assert.equal(decode(leaseSchema, encode(lease)), lease);
  }
  return { lease, answer };
}
const answerTo = (...events: LeaseEvent[]) => run(...events).answer;

test('a free vote is granted, and refused to another claim with the name of the one that has it', () => {
  assert.equal(answerTo(vote(a1, 'n1')), { type: 'granted' });
  assert.equal(answerTo(vote(a1, 'n1'), vote(b1, 'n2')), heldBy(a1, false));
  assert.equal(answerTo(vote(a1, 'n1'), begin(a1), vote(b1, 'n2')), heldBy(a1, true));
});

test('a vote that comes again is granted again and changes nothing, begun or not', () => {
  for (const events of [[vote(a1, 'n1')], [vote(a1, 'n1'), begin(a1)]]) {
    const { lease } = run(...events);
    const again = next(lease, vote(a1, 'n1', [], 5));
    assert.is(again.lease, lease);
    assert.equal(again.answer, { type: 'granted' });
  }
});

test('begin is persisted only while the vote is for that claim, lapsed or not, and answered again', () => {
  assert.equal(answerTo(begin(a1)), refused('not-current'));
  assert.equal(answerTo(vote(a1, 'n1'), begin(b1)), refused('not-current'));
  assert.equal(answerTo(vote(a1, 'n1'), vote(b1, 'n2', [], lease_ms), begin(a1)), refused('not-current'));
  const restarted = afterRestart(run(vote(a1, 'n1')).lease);
  const begun = next(restarted, begin(a1));
  assert.equal(begun.answer, { type: 'begun' });
  assert.equal(next(begun.lease, begin(a1)), begun);
});

test('a vote without begin lapses after its lease or a restart; one with begin never', () => {
  assert.equal(answerTo(vote(a1, 'n1'), vote(b1, 'n2', [], lease_ms - 1)), heldBy(a1, false));
  assert.equal(answerTo(vote(a1, 'n1'), vote(b1, 'n2', [], lease_ms)), { type: 'granted' });
  assert.equal(next(afterRestart(run(vote(a1, 'n1')).lease), vote(b1, 'n2')).answer, { type: 'granted' });
  const begun = run(vote(a1, 'n1'), begin(a1)).lease;
  assert.is(afterRestart(begun), begun);
  assert.equal(next(begun, vote(b1, 'n2', [], Number.MAX_SAFE_INTEGER - lease_ms)).answer, heldBy(a1, true));
});

test('a lapsed vote that comes again gets a new lease', () => {
  const lapsed = afterRestart(run(vote(a1, 'n1', [], 500)).lease);
  const { lease } = next(lapsed, vote(a1, 'n1', [], 3));
  assert.equal(next(lease, vote(b1, 'n2', [], 3 + lease_ms - 1)).answer, heldBy(a1, false));
});

test('yield, failed and confirmation refuse a claim for ever, before or after its vote', () => {
  for (const end of [yields(a1), settle(a1, 'failed'), vote(b1, 'n9', [a1])]) {
    const over = end.type === 'vote' ? [yields(b1)] : [];
    assert.equal(answerTo(end, ...over, vote(a1, 'n1')), refused('refused-claim'));
    assert.equal(answerTo(vote(a1, 'n1'), end, ...over, vote(a1, 'n1')), refused('refused-claim'));
    assert.equal(answerTo(vote(a1, 'n1'), begin(a1), end, ...over, begin(a1)), refused('not-current'));
  }
});

test('yield and failed free the vote, begun or not, only if it is for that claim', () => {
  for (const end of [yields, (claim: string) => settle(claim, 'failed')]) {
    for (const begun of [[], [begin(a1)]]) {
      assert.equal(answerTo(vote(a1, 'n1'), ...begun, end(a1)), { type: 'freed' });
      assert.equal(answerTo(vote(a1, 'n1'), ...begun, end(a1), vote(b1, 'n2')), { type: 'granted' });
      assert.equal(answerTo(vote(a1, 'n1'), ...begun, end(b1)), { type: 'noted' });
      assert.equal(answerTo(vote(a1, 'n1'), ...begun, end(b1), vote(b2, 'n2')), heldBy(a1, begun.length > 0));
    }
  }
});

test('a confirmation frees the vote only if it is for a confirmed claim', () => {
  assert.equal(answerTo(vote(a1, 'n1'), begin(a1), vote(b1, 'n2', [a1])), { type: 'granted' });
  assert.equal(answerTo(vote(a1, 'n1'), begin(a1), vote(b1, 'n2', [a2])), heldBy(a1, true));
});

test('a confirmation holds though the vote that brought it is refused', () => {
  const before = [vote(a1, 'n1'), begin(a1), yields(b1)];
  assert.equal(answerTo(...before, vote(b1, 'n2', [a1])), refused('refused-claim'));
  assert.equal(answerTo(...before, vote(b1, 'n2', [a1]), vote(b2, 'n3')), { type: 'granted' });
});

test('a claim that its own grant confirms is refused', () => {
  assert.equal(answerTo(vote(a1, 'n1', [a1])), refused('refused-claim'));
  assert.equal(answerTo(vote(a1, 'n1'), begin(a1), vote(a1, 'n1', [a1])), refused('refused-claim'));
});

test('a nonce is bound to printer and claimant, even by a vote that is refused', () => {
  for (const first of [vote(a1, 'n1'), vote(a1, 'n1', [a1])]) {
    assert.equal(answerTo(first, vote(b1, 'n1', [], lease_ms)), refused('nonce-bound'));
    assert.equal(answerTo(first, vote(a2, 'n1', [], lease_ms, 'p2')), refused('nonce-bound'));
    assert.equal(answerTo(first, vote(a2, 'n1', [], lease_ms)), { type: 'granted' });
  }
  assert.equal(answerTo(vote(a1, 'n1'), vote(a1, 'n2')), refused('nonce-bound'));
});

test('a nonce serves its claimant until a begin is persisted under it, and no further', () => {
  assert.equal(answerTo(vote(a1, 'n1'), yields(a1), vote(a2, 'n1')), { type: 'granted' });
  for (const end of [yields(a1), settle(a1, 'failed')]) {
    const begun = [vote(a1, 'n1'), begin(a1), end];
    assert.equal(answerTo(...begun, vote(a2, 'n1')), refused('nonce-spent'));
    assert.equal(answerTo(...begun, vote(b1, 'n1')), refused('nonce-bound'));
    assert.equal(answerTo(...begun, vote(a2, 'n2')), { type: 'granted' });
  }
});

test('when the job has ended, an interrupted claim that nobody confirmed here holds up nothing', () => {
  const begunElsewhere = [vote(a1, 'n1'), begin(a1)];
  const ends = [settle(a1, 'interrupted'), settle(b1, 'printed')];
  for (const order of [ends, ends.toReversed()]) {
    const { lease, answer } = run(...begunElsewhere, ...order);
    assert.equal(answer, { type: 'erase' });
    assert.ok(lease.erased);
    assert.equal(openClaims(lease), []);
  }
  // one that may still be printing does
  assert.equal(openClaims(run(...begunElsewhere, settle(b1, 'printed')).lease), [a1]);
});

test('interrupted keeps the vote and is recorded, also where the begin never came', () => {
  for (const begun of [[], [begin(a1)]]) {
    const { lease, answer } = run(vote(a1, 'n1'), ...begun, settle(a1, 'interrupted'));
    assert.equal(answer, { type: 'noted' });
    assert.is(lease.vote?.phase, 'interrupted');
    assert.equal(openClaims(lease), [a1]);
    assert.equal(next(afterRestart(lease), vote(b1, 'n2')).answer, heldBy(a1, true));
    assert.is(next(lease, begin(a1)).lease, lease);
  }
  assert.equal(run(vote(b1, 'n1'), settle(a1, 'interrupted')).lease, run(vote(b1, 'n1')).lease);
});

test('printed, sent and cancelled erase, and nothing is granted any more', () => {
  for (const outcome of ['printed', 'sent', 'cancelled'] as const) {
    assert.equal(answerTo(settle(a1, outcome)), { type: 'erase' });
    const { lease, answer } = run(vote(a1, 'n1'), begin(a1), settle(a1, outcome));
    assert.equal(answer, { type: 'erase' });
    assert.equal(openClaims(lease), []);
    assert.equal(next(lease, vote(b1, 'n2', [a1])).answer, refused('erased'));
    assert.equal(next(lease, settle(a1, outcome)), { lease, answer: { type: 'erase' } });
    assert.equal(answerTo(vote(b1, 'n1'), settle(a1, outcome), begin(b1)), refused('not-current'));
  }
});

test('a late settlement leaves a confirmed reprint that has begun its envelope until it is over', () => {
  const reprint = [vote(a1, 'n1'), begin(a1), vote(b1, 'n2', [a1]), begin(b1), settle(a1, 'printed')];
  assert.equal(openClaims(run(...reprint).lease), [b1]);
  const { lease, answer } = run(...reprint, settle(b1, 'failed'));
  assert.equal(answer, { type: 'erase' });
  assert.equal(openClaims(lease), []);
});

test('open claims are those begun', () => {
  assert.equal(openClaims(emptyLease), []);
  assert.equal(openClaims(run(vote(a1, 'n1')).lease), []);
  assert.equal(openClaims(run(vote(a1, 'n1'), begin(a1)).lease), [a1]);
});

test('a claimant with too many refused claims gets no vote, keeps the one it has, and others go on', () => {
  const endings = Array.from({ length: maxClaimsPerClaimant }, (_, i) => yields(claimOf(A, 100 + i)));
  assert.equal(answerTo(...endings, vote(a1, 'n1')), refused('too-many-claims'));
  assert.equal(answerTo(...endings, vote(b1, 'n1')), { type: 'granted' });
  const kept = run(vote(a1, 'n1'), ...endings).lease;
  assert.equal(next(kept, vote(a1, 'n1')).answer, { type: 'granted' });
  assert.equal(next(kept, begin(a1)).answer, { type: 'begun' });
  const over = next(next(kept, begin(a1)).lease, yields(a1));
  assert.equal(over.answer, { type: 'freed' });
  assert.is(over.lease.refused.length, maxClaimsPerClaimant);
  assert.equal(next(over.lease, vote(a1, 'n1')).answer, refused('too-many-claims'));
});

test('a job with too many refused claims votes for no further one, and forgets none', () => {
  let lease = emptyLease;
  for (let i = 0; i < maxClaims; i++) {
    ({ lease } = next(lease, yields(claimOf(peer('CDEFGHJKLMNPQRSTU'[i % 17]!), i))));
  }
  assert.is(lease.refused.length, maxClaims);
  const { lease: after } = next(lease, yields(b1));
  assert.is(after, lease);
  for (const claim of [a1, b1]) {
    assert.equal(next(lease, vote(claim, 'n1')).answer, refused('too-many-claims'));
  }
});

test('the grants that a job remembers are bounded too', () => {
  let lease = emptyLease;
  for (let i = 0; i < maxClaimsPerClaimant; i++) ({ lease } = next(lease, vote(a1, `n${i}`)));
  assert.equal(next(lease, vote(a2, 'new', [], lease_ms)).answer, refused('too-many-claims'));
  assert.equal(next(lease, vote(a2, 'n0', [], lease_ms)).answer, { type: 'granted' });
  assert.equal(next(lease, vote(b1, 'new', [], lease_ms)).answer, { type: 'granted' });
});

const world: World = {
  claims: [{ claim: a1, nonce: 'n1' }, { claim: a2, nonce: 'n1' }, { claim: b1, nonce: 'n2' }],
  endings: [failed],
  next,
  afterRestart,
  countsLateReplies: false,
};

const confirming = [a1, a2, b1].map((claim, c) => ({
  claim,
  nonce: `n${c}`,
  confirm: claim === b1 ? [a1] : [],
}));
/**
 * A holder that forgets grants. They only ever refuse, so it does all that a real one does, in fewer states.
 */
const forgetful = (step: typeof next): typeof next => (lease, event) => {
  const after = step(lease, event);
  return { ...after, lease: { ...after.lease, nonces: [] } };
};
const everyEnding = { next: forgetful(next), endings: [failed, interrupted, printed] };

const worlds: Record<string, { world: World; most: number }> = {
  'two claimants, one of which restarts': { world: { ...world, ...everyEnding }, most: 1 },
  'a claim confirmed': { world: { ...world, ...everyEnding, claims: confirming }, most: 2 },
  'a restart with the same grant': {
    world: { ...world, claims: [...world.claims.slice(0, 2), confirming[2]!] },
    most: 2,
  },
};
for (const [name, { world, most }] of Object.entries(worlds)) {
  test(`claims past begin never outnumber one and the confirmed: ${name}`, () => {
    const explorer = new Explorer(world);
    assert.equal(explorer.explore(), undefined);
    assert.is(explorer.most, most);
    console.log(`  ${explorer.states} states: ${name}`);
  });
}

const begunFor = (lease: Lease, claim: string): Lease => ({
  ...lease,
  vote: { claim, nonce: 'n', phase: 'begun', lapses_ms: null },
});
const mutations: Record<string, Partial<World>> = {
  'begin without the current vote': {
    next: (lease, event) =>
      event.type === 'begin'
        ? { lease: begunFor(lease, event.claim), answer: { type: 'begun' } }
        : next(lease, event),
  },
  'a vote that overwrites one that has begun': {
    next: (lease, event) => {
      const step = next(lease, event);
      const { answer } = step;
      const begun = answer.type === 'refused' && answer.reason === 'held-by' && answer.begun;
      return begun ? next({ ...step.lease, vote: null }, event) : step;
    },
  },
  'a late reply that is counted after the yield': { countsLateReplies: true },
  'a yield that frees the vote of another claim': {
    next: (lease, event) => {
      const step = next(lease, event);
      return event.type === 'yield' ? { ...step, lease: { ...step.lease, vote: null } } : step;
    },
  },
  'a failed settlement that frees the vote of another claim': {
    next: (lease, event) => {
      const step = next(lease, event);
      return event.type === 'settle' ? { ...step, lease: { ...step.lease, vote: null } } : step;
    },
  },
  'a restart that forgets that a vote has begun': { afterRestart: (lease) => ({ ...lease, vote: null }) },
};
for (const [name, mutation] of Object.entries(mutations)) {
  test(`the search finds what is wrong with ${name}`, () => {
    const broken = { ...world, ...mutation, next: forgetful(mutation.next ?? next) };
    assert.type(new Explorer(broken).explore()?.length, 'number');
  });
}
test('the search finds what is wrong with a confirmation that frees the vote of another claim', () => {
  const broken = forgetful((lease, event) => {
    const confirms = event.type === 'vote' && event.confirm.length > 0;
    return next(confirms ? { ...lease, vote: null } : lease, event);
  });
  assert.type(new Explorer({ ...world, next: broken, claims: confirming }).explore()?.length, 'number');
});

test.run();
