import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { issueNode } from '../../mesh/authority.ts';
import type { KnownFacts } from '../../mesh/facts.ts';
import { signGrant, signWith } from '../../mesh/grant.ts';
import { newJobId } from '../../mesh/job-id.ts';
import type { Role } from '../../mesh/names.ts';
import { ownerViewed, ownerWhoSent, permitted } from '../../mesh/permission.ts';
import type { Piece } from '../../mesh/ports.ts';
import { viewPurpose } from '../../mesh/protocol.ts';
import { signRequest } from '../../mesh/request.ts';
import { signView, signVoucher, verifyVoucher, type Voucher, type Vouching } from '../../mesh/voucher.ts';
import { fakeAuthority, fakePeer, fakeUser, refusalOf } from '../fakes/organisation.ts';
import { generateKeys } from '../../mesh/authority.ts';

const now = Date.UTC(2026, 5, 1, 12);
const day_ms = 24 * 3600_000;

const ours = await fakeAuthority('Ours', now);
const theirs = await fakeAuthority('Theirs', now);
const { trust } = ours;

async function node(roles: readonly Role[], authority = ours): Promise<Vouching> {
  const { publicKey, privateKey: key } = await generateKeys();
  const subject = { name: 'p1', site: 'a', peerId: fakePeer('P'), roles, publicKey };
  const certificate = await issueNode(authority, subject, now);
  return { certificate, issuers: [authority.meshIssuer.der], key };
}

const panel = await node(['front', 'panel']);
const claim = `${fakePeer('C')}/0b0e8a1e-3d0f-4c2b-9f0a-1f2e3d4c5b6a`;
const job = newJobId(fakePeer('A'));
const release: Omit<Voucher, 'nonce' | 'issued'> = {
  ...{ user: 'ada', job, claimant: fakePeer('C'), action: 'release', target: 'printer-a' },
  ...{ options: new Uint8Array([1, 2]), confirm: [] },
};
const piece = { job, owner: 'ada', submitter: null } as unknown as Piece;

/** Facts of which these subjects are revoked. */
const facts = (...revoked: string[]) =>
  ({
    first: (kind: string, subject: string) =>
      kind === 'revoked' && revoked.includes(subject) ? { time_ms: 0 } : undefined,
  }) as unknown as KnownFacts;

const site = 'a';
const judging = { trust, known: facts(), site, now_ms: now };

const allowed = (voucher: Uint8Array, known = facts(), of = piece, at = now) =>
  permitted({ voucher }, of, claim, { trust, known, site, now_ms: at });

test('a panel node’s voucher allows what a grant of its user would', async () => {
  const voucher = await signVoucher(panel, release, now);
  const nonce = (await verifyVoucher(trust, voucher, now)).voucher.nonce.toHex();
  const { panel: by, ...given } = await allowed(voucher);
  assert.equal(given, { nonce, target: 'printer-a', confirm: [], prints: true });
  assert.is(by?.peerId, fakePeer('P'), 'who has vouched is told');
  const cancels = await signVoucher(panel, { ...release, action: 'cancel', target: '' }, now);
  const permission = await allowed(cancels);
  assert.is(permission.prints, false);
  assert.is(permission.target, '-');
});

test('it allows nothing of another user, of another job, or for another claimant', async () => {
  const voucher = await signVoucher(panel, release, now);
  const refused = (other: Partial<Piece>) =>
    refusalOf(() => allowed(voucher, facts(), { ...piece, ...other } as Piece));
  assert.match(await refused({ owner: 'eve' }), /^forbidden: .*somebody else/);
  assert.match(await refused({ job: newJobId(fakePeer('A')) }), /^forbidden: .*another job/);
  const elsewhere = await signVoucher(panel, { ...release, claimant: fakePeer('D') }, now);
  assert.match(await refusalOf(() => allowed(elsewhere)), /^forbidden: .*another node/);
});

test('only a node of this organisation with the role panel vouches', async () => {
  for (const roles of [[], ['front', 'registrar', 'relay']] as const) {
    const other = await signVoucher(await node(roles), release, now);
    assert.match(await refusalOf(() => allowed(other)), /^forbidden: .*role panel/);
  }
  const stranger = await signVoucher(await node(['panel'], theirs), release, now);
  assert.match(await refusalOf(() => allowed(stranger)), /^unauthenticated/);
  const ada = await fakeUser(ours, 'ada', now, ['admin']);
  assert.match(await refusalOf(async () => allowed(await signVoucher(ada, release, now))), /^forbidden/);
  const forged = await signVoucher({ ...panel, key: ada.key }, release, now);
  assert.match(await refusalOf(() => allowed(forged)), /^unauthenticated: the signature/);
});

test('a site may refuse what a browser signs that has enrolled at a cloud node', async () => {
  const policy = (cloud: 'refuse' | 'accept') =>
    ({
      first: () => undefined,
      latest: (kind: string, subject: string) =>
        kind === 'site' && subject === site ? { body: { cloud } } : undefined,
    }) as unknown as KnownFacts;
  const judge = (known: KnownFacts) => ({ ...judging, known });
  for (const roles of [['cloud'], []] as const) {
    const ada = await fakeUser(ours, 'ada', now, roles);
    const grant = await signGrant(ada, {
      ...{ job, claimant: fakePeer('C'), action: 'release', target: 'printer-a' },
      ...{ options: new Uint8Array(0), confirm: [] },
    }, now);
    const proof = await signRequest(ada, { ...viewPurpose, audience: fakePeer('C') }, now);
    const releases = (known: KnownFacts) => permitted({ grant }, piece, claim, judge(known));
    const views = (known: KnownFacts) => ownerViewed(fakePeer('C'), proof, judge(known));
    for (const asks of [releases, views]) {
      await asks(policy('accept'));
      if (roles.length === 0) await asks(policy('refuse'));
      else assert.match(await refusalOf(() => asks(policy('refuse'))), /^forbidden: site a takes no/);
    }
  }
});

test('neither a revoked panel node nor a revoked user gets anything by it', async () => {
  const voucher = await signVoucher(panel, release, now);
  const proof = await signView(panel, 'ada', fakePeer('C'), now);
  const view = (known: KnownFacts) => ownerViewed(fakePeer('C'), proof, { ...judging, known });
  for (const revoked of [`node:${fakePeer('P')}`, 'user:ada']) {
    assert.match(await refusalOf(() => allowed(voucher, facts(revoked))), /^forbidden: .*revoked/);
    assert.match(await refusalOf(() => view(facts(revoked))), /^forbidden: .*revoked/);
  }
  assert.is((await view(facts('user:eve'))).user, 'ada');
});

test('it holds from 30 s before to 120 s after it was issued', async () => {
  const voucher = await signVoucher(panel, release, now);
  for (const at of [now - 30_000, now + 120_000]) await allowed(voucher, facts(), piece, at);
  for (const at of [now - 30_001, now + 120_001, now + 91 * day_ms]) {
    assert.ok(await refusalOf(() => allowed(voucher, facts(), piece, at)));
  }
});

test('a grant is no voucher, a voucher no grant, and neither is a view', async () => {
  const ada = await fakeUser(ours, 'ada', now);
  const { user: _, ...fields } = release;
  const grant = await signGrant(ada, fields, now);
  assert.match(await refusalOf(() => allowed(grant)), /^unauthenticated/);
  const voucher = await signVoucher(panel, release, now);
  const asGrant = () => permitted({ grant: voucher }, piece, claim, judging);
  assert.match(await refusalOf(asGrant), /^unauthenticated/);
  const dressed = await signWith(panel, 'inkmesh view 1', release);
  assert.match(await refusalOf(() => allowed(dressed)), /^unauthenticated/);
});

test('a view is for one node, and for tickets only', async () => {
  const proof = await signView(panel, 'ada', fakePeer('C'), now);
  const seen = (from: string) => ownerViewed(from, proof, judging);
  const shown = await seen(fakePeer('C'));
  assert.equal([shown.user, shown.panel?.peerId], ['ada', fakePeer('P')]);
  assert.match(await refusalOf(() => seen(fakePeer('D'))), /^forbidden: .*another node/);
  assert.match(
    await refusalOf(() => ownerWhoSent(fakePeer('C'), proof, trust, facts(), now)),
    /^bad-request/,
  );
  const ada = await fakeUser(ours, 'ada', now);
  const own = await signRequest(ada, { ...viewPurpose, audience: fakePeer('C') }, now);
  const itself = await ownerViewed(fakePeer('C'), own, judging);
  assert.equal(itself, { user: 'ada', panel: null });
  for (const bad of ['panel:', 'panel:***', 'panel:AAAA']) {
    assert.match(await refusalOf(() => ownerViewed(fakePeer('C'), bad, judging)), /^bad-request/);
  }
});

test.run();
