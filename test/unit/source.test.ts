/** What registrars say of sources, and when they are asked. The rest of `Sources` is tested over real sockets. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Fact } from '../../mesh/facts.ts';
import type { Mesh, Standing } from '../../mesh/mod.ts';
import { revocationOf } from '../../mesh/revocation.ts';
import { standingOf } from '../../mesh/source.ts';
import { tokenHash } from '../../mesh/submit-token.ts';
import { refusalLimits } from '../../src/limits.ts';
import { State } from '../../src/state.ts';
import { Sources } from '../../src/submit/source.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

const device = '2f7c2a3e-6a2f-4d0c-9d53-3d2f5e0a1b11';
const owner = { user: 'ada', device };
const token = 'a-token';
const now_ms = 1_000_000;

type Facts = Record<string, { time_ms: number; body: unknown }>;

/** The ledger of a node that knows these facts, by kind and subject. */
function known(facts: Facts) {
  const first = (kind: string, subject: string) => facts[`${kind} ${subject}`] as Fact | undefined;
  return { first, latest: first, about: () => [], identity: () => undefined };
}

const tokenFact = (expires_ms = now_ms + 1): Facts => ({
  [`token ${tokenHash(token).toHex()}`]: { time_ms: 1, body: { ...owner, expires_ms } },
});
const revokedFact = (what: 'user' | 'device', id: string, time_ms: number): Facts => ({
  [`revoked ${revocationOf(what, id)}`]: { time_ms, body: {} },
});

/** Sources of a node with these facts, whose registrar gives these answers in turn. */
function sourcesOf(facts: Facts, ...said: (Standing | undefined)[]) {
  const asked: unknown[] = [];
  const standing = (id: unknown) => {
    const answer = said[asked.push(id) - 1];
    return answer === undefined
      ? Promise.reject(new InkmeshError('timeout', 'it took too long'))
      : Promise.resolve(answer);
  };
  const self = { site: 'a' };
  const mesh = { ledger: known(facts), self, now_ms: () => now_ms, membership: { standingOf: standing } };
  const state = new State(tempDir());
  return { sources: new Sources(mesh as unknown as Mesh, state.audit), asked, state };
}

const valid: Standing = { standing: 'valid', owner, since_ms: null };
const shown = { token, user: null, address: '192.0.2.1' };

test('a source stands as the facts say: revoked before expired, by the earliest revocation', () => {
  const of = (facts: Facts) => standingOf(known(facts), { token: tokenHash(token) }, now_ms);
  assert.equal(of({}), { standing: 'unknown', owner: null, since_ms: null });
  assert.equal(of(tokenFact()), valid);
  assert.equal(of(tokenFact(now_ms)), { standing: 'expired', owner, since_ms: now_ms });
  const both = { ...revokedFact('device', device, 70), ...revokedFact('user', 'ada', 60) };
  assert.equal(of({ ...tokenFact(now_ms), ...both }), { standing: 'revoked', owner, since_ms: 60 });
  const credential = standingOf(known(both), { credential: owner }, now_ms);
  assert.equal(credential, { standing: 'revoked', owner, since_ms: 60 });
  assert.equal(standingOf(known({}), { credential: owner }, now_ms), valid);
});

test('a token that only the registrar has heard of is its user’s, and submits', async () => {
  const { sources, asked, state } = sourcesOf({}, valid, valid);
  assert.equal(await sources.owner(shown), { user: 'ada' });
  assert.is(sources.userOf(token), 'ada');
  assert.ok(await sources.confirm({ user: 'ada', token, address: '' }));
  assert.is(asked.length, 1, 'the answer holds for a moment');
  const others = await Promise.all(
    [1, 2, 3].map(() => sources.confirm({ user: 'ada', token: 'new', address: '' })),
  );
  assert.equal([others, asked.length], [[true, true, true], 2], 'those at once ask together');
  assert.equal(state.audit.list(10), []);
  state.close();
});

test('a registrar that does not answer is not waited for again at once, and nothing is confirmed', async () => {
  const { sources, asked, state } = sourcesOf(tokenFact(), undefined, valid);
  for (let i = 0; i < 3; i++) assert.not(await sources.confirm({ user: 'ada', token, address: '' }));
  assert.is(asked.length, 1);
  state.close();
});

test('who a registrar or the facts have shut out submits nothing', async () => {
  const byRegistrar = sourcesOf(tokenFact(), { standing: 'revoked', owner, since_ms: 5 });
  const refused = await refusalOf(() => byRegistrar.sources.confirm({ user: 'ada', token, address: '' }));
  assert.match(refused, /^unauthenticated: .*revoked/);
  const byFacts = sourcesOf(revokedFact('device', device, 5), valid);
  assert.match(
    await refusalOf(() => byFacts.sources.confirm({ ...owner, address: '' })),
    /^unauthenticated: /,
  );
  const unheard = sourcesOf(tokenFact(), { standing: 'unknown', owner: null, since_ms: null });
  assert.not(
    await unheard.sources.confirm({ user: 'ada', token, address: '' }),
    'a registrar that lags behind says nothing',
  );
  for (const { state } of [byRegistrar, byFacts, unheard]) state.close();
});

test('an address that guesses makes nobody ask a registrar any more', async () => {
  const { sources, asked, state } = sourcesOf(
    {},
    ...Array(50).fill({ ...valid, standing: 'unknown', owner: null }),
  );
  const limited: string[] = [];
  for (let i = 0; i < refusalLimits.maxFailures + 5; i++) {
    limited.push(await refusalOf(() => sources.owner({ ...shown, token: `guess-${i}` })));
  }
  assert.is(asked.length, refusalLimits.maxFailures);
  assert.is(limited.filter((said) => said.startsWith('busy: too many')).length, 5);
  for (const bad of ['', 'x'.repeat(300), 'a b', 'ä']) {
    const elsewhere = { token: bad, user: null, address: '192.0.2.2' };
    assert.is(await sources.owner(elsewhere), undefined);
  }
  assert.is(asked.length, refusalLimits.maxFailures, 'what can be no token is not asked for');
  state.close();
});

test.run();
