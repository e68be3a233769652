/** Who gets a new certificate, with which names and roles, and who does not. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type NodeIdentity, type UserIdentity, verifyIdentity } from '../../mesh/certificate.ts';
import type { Fact, KnownFacts } from '../../mesh/facts.ts';
import { renewGrace_ms } from '../../mesh/limits.ts';
import { leaf_ms } from '../../mesh/profile.ts';
import type { Rpc } from '../../mesh/rpc.ts';
import {
  isDue,
  renewedDevice,
  renewedNode,
  renewMethod,
  serveRenewal,
  verifyRenewable,
} from '../../mesh/renew.ts';
import { refuseRevoked, revocationOf, revokedKind, revokedSince } from '../../mesh/revocation.ts';
import { certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority, fakePeer, fakeUser, refusalOf } from '../fakes/organisation.ts';

const day_ms = 24 * 3600_000;
const now = Date.now();
const authority = await fakeAuthority('Test works', now - 200 * day_ms);
const { trust } = authority;

/** A directory that has these revocations, and one certificate. */
function directory(revoked: readonly string[] = [], newest?: NodeIdentity): KnownFacts {
  const fact = (kind: string, subject: string): Fact | undefined =>
    kind === 'revoked' && revoked.includes(subject)
      ? { doc: 'directory', author: fakePeer('R'), seq: 1, kind, subject, time_ms: now, body: {} }
      : undefined;
  return {
    first: fact,
    latest: fact,
    about: (kind, subject) => [fact(kind, subject) ?? []].flat(),
    identity: (peer) => newest?.peerId === peer ? newest : undefined,
  };
}

const nodeSince = async (issued_ms: number, roles: readonly ('front' | 'registrar')[] = []) =>
  (await certifiedNode(authority, { name: 'a7', site: 'b', roles }, issued_ms)).identity;

async function renewed(node: NodeIdentity, known = directory()): Promise<NodeIdentity> {
  const given = await renewedNode(authority, known, node, ['10.1.2.3', '8.8.8.8'], now);
  const identity = await verifyIdentity(trust, given.leaf, given.issuers, now);
  if (identity.kind !== 'node') throw new TypeError('not a node');
  return identity;
}

test('a certificate is due when a third of its life is left', () => {
  assert.not(isDue({ notAfter: now + leaf_ms / 3 + 1 }, now));
  assert.ok(isDue({ notAfter: now + leaf_ms / 3 }, now));
  assert.ok(isDue({ notAfter: now - 1 }, now));
});

test('a renewed node is the same, for 90 days more', async () => {
  const old = await nodeSince(now - 70 * day_ms, ['front']);
  const next = await renewed(old);
  const names = ({ name, site, peerId, roles }: NodeIdentity) => [name, site, peerId, roles];
  assert.equal(names(next), names(old));
  const key = (identity: NodeIdentity) => crypto.subtle.exportKey('jwk', identity.publicKey);
  assert.is((await key(next)).x, (await key(old)).x);
  assert.ok(Math.abs(next.notAfter - now - leaf_ms) < 2000);
});

test('nobody has one renewed that is not due', async () => {
  const fresh = await nodeSince(now);
  assert.match(await refusalOf(() => renewed(fresh)), /^conflict: this certificate is not due yet/);
});

test('who is revoked gets no certificate any more', async () => {
  const node = await nodeSince(now - 70 * day_ms);
  const known = directory([revocationOf('node', node.peerId)]);
  assert.match(await refusalOf(() => renewed(node, known)), /^forbidden: this node is revoked/);
});

test('an old certificate does not bring back the roles that it had', async () => {
  const was = await certifiedNode(authority, { name: 'a7', roles: ['registrar'] }, now - 80 * day_ms);
  const newer = { ...was.identity, roles: [], notAfter: was.identity.notAfter + day_ms };
  assert.equal((await renewed(was.identity, directory([], newer))).roles, []);
  const older = { ...was.identity, roles: [], notAfter: was.identity.notAfter - day_ms };
  assert.equal((await renewed(was.identity, directory([], older))).roles, ['registrar']);
});

test('a lapsed certificate can be renewed for its days of grace, and not longer', async () => {
  const { identity, issuers } = await certifiedNode(authority, { name: 'a7' }, now - 100 * day_ms);
  const verify = (at_ms: number) => verifyRenewable(trust, identity.der, issuers, at_ms);
  assert.is((await verify(now)).peerId, identity.peerId);
  assert.is((await verify(identity.notAfter + renewGrace_ms)).peerId, identity.peerId);
  const late = await refusalOf(() => verify(identity.notAfter + renewGrace_ms + 1000));
  assert.match(late, /^unauthenticated: the certificate expired/);
  const ahead = await certifiedNode(authority, { name: 'a7' }, now + 2 * day_ms);
  const early = await refusalOf(() => verifyRenewable(trust, ahead.identity.der, ahead.issuers, now));
  assert.match(early, /^unauthenticated: the certificate is valid from/);
});

test('a registrar issues by the clock that all agree on', async () => {
  const { identity, issuers } = await certifiedNode(authority, { name: 'a7' }, now - 70 * day_ms);
  const handlers = new Map<
    string,
    (incoming: object) => Promise<{ reply: { leaf: Uint8Array; issuers: Uint8Array[] } }>
  >();
  const rpc = { handle: ({ name }: { name: string }, serve: never) => void handlers.set(name, serve) };
  // 40 days behind that of this machine
  const agreed_ms = now - 40 * day_ms;
  await serveRenewal({
    ...{ rpc: rpc as unknown as Rpc, trust, ledger: directory(), log: () => {} },
    ...{ now_ms: () => agreed_ms, authority: () => authority },
  });
  const from = { from: identity.peerId, link: { remote: '/ip4/10.1.2.3/tcp/1' } };
  const ask = handlers.get(renewMethod.name) as NonNullable<ReturnType<typeof handlers.get>>;
  const asked = ask({ ...from, request: { leaf: identity.der, issuers } });
  assert.match(await refusalOf(() => asked), /^conflict: this certificate is not due yet/);
});

async function device(issued_ms: number): Promise<UserIdentity> {
  const { certificate, issuers } = await fakeUser(authority, 'ada', issued_ms, ['admin']);
  const identity = await verifyIdentity(trust, certificate, issuers, now);
  if (identity.kind !== 'user') throw new TypeError('not a user');
  return identity;
}

test('a device gets the same again, unless it or its user is revoked', async () => {
  const old = await device(now - 70 * day_ms);
  const { leaf, issuers } = await renewedDevice(authority, directory(), old, now);
  const next = await verifyIdentity(trust, leaf, issuers, now);
  assert.ok(next.kind === 'user' && next.user === 'ada' && next.device === old.device);
  assert.equal(next.roles, ['admin']);
  for (const subject of [revocationOf('device', old.device), revocationOf('user', 'ada')]) {
    const refused = await refusalOf(() => renewedDevice(authority, directory([subject]), old, now));
    assert.match(refused, /^forbidden: .* is revoked/);
  }
  const fresh = await device(now);
  assert.match(await refusalOf(() => renewedDevice(authority, directory(), fresh, now)), /^conflict: /);
});

test('a revocation is of one subject only', () => {
  const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const known = directory([revocationOf('device', one), revocationOf('user', 'eve')]);
  assert.is(revokedSince(known, 'device', one), now);
  assert.is(revokedSince(known, 'device', other), undefined);
  assert.is(revokedSince(known, 'node', one), undefined);
  assert.throws(() => refuseRevoked(known, { user: 'ada', device: one }), /this device is revoked/);
  assert.throws(() => refuseRevoked(known, { user: 'eve', device: other }), /the user eve is revoked/);
  refuseRevoked(known, { user: 'ada', device: other });
});

test('only registrars revoke, and only what there can be', async () => {
  const registrar = await nodeSince(now, ['registrar']);
  const fact = (subject: string) => ({
    ...{ doc: 'directory', author: registrar.peerId, seq: 1, kind: 'revoked', subject, time_ms: now },
    body: {},
  });
  const judge = (subject: string, by = registrar) => () => revokedKind.check(fact(subject), by, directory());
  for (const good of [`node:${fakePeer('A')}`, `device:${crypto.randomUUID()}`, 'user:ada']) {
    assert.is(await refusalOf(judge(good)), '');
  }
  for (const bad of ['node:a1', 'device:ada', 'user:', 'ada', 'site:a', 'user:../x']) {
    assert.match(await refusalOf(judge(bad)), /^bad-request: /, bad);
  }
  const plain = await nodeSince(now);
  assert.match(await refusalOf(judge('user:ada', plain)), /^forbidden: only a registrar/);
});

test.run();
