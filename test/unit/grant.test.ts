import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { decode, encode } from '../../mesh/codec.ts';
import { type Credential, type Grant, signGrant, signWith, verifyGrant } from '../../mesh/grant.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { signRequest, verifyRequest } from '../../mesh/request.ts';
import { fakeAuthority, fakeNode, fakePeer, fakeUser, refusalOf } from '../fakes/organisation.ts';

const now = Date.UTC(2026, 5, 1, 12);
const minute_ms = 60_000;
const day_ms = 24 * 60 * minute_ms;

const ours = await fakeAuthority('Ours', now);
const theirs = await fakeAuthority('Theirs', now);
const ada = await fakeUser(ours, 'ada', now);
const eve = await fakeUser(theirs, 'eve', now);
const node = await fakeNode(ours, 'pc-1', now);
const { trust } = ours;

const release: Omit<Grant, 'nonce' | 'issued'> = {
  job: newJobId(fakePeer('A')),
  claimant: fakePeer('C'),
  action: 'release',
  target: 'printer-a',
  options: new Uint8Array([1, 2, 3]),
  confirm: [`${fakePeer('B')}/0b0e8a1e-3d0f-4c2b-9f0a-1f2e3d4c5b6a`],
};
const cancel = { ...release, action: 'cancel', target: '', confirm: [] } as const;
const target = { method: 'POST', path: '/api/jobs?x=1', audience: fakePeer('A') };

const record = v.strictObject({
  certificate: v.instance(Uint8Array),
  issuers: v.array(v.instance(Uint8Array)),
  payload: v.instance(Uint8Array),
  signature: v.instance(Uint8Array),
});

test('a grant says who gave what, and is new each time', async () => {
  for (const asked of [release, cancel]) {
    const { grant, by } = await verifyGrant(trust, await signGrant(ada, asked, now), now);
    const { nonce, issued, ...said } = grant;
    assert.equal(said, asked);
    assert.is(issued, now);
    assert.is(nonce.length, 16);
    assert.is(by.kind, 'user');
    assert.is(by.user, 'ada');
    const again = await verifyGrant(trust, await signGrant(ada, asked, now), now);
    assert.not.equal(again.grant.nonce, nonce);
  }
});

test('a grant is valid from 30 s before to 120 s after it was issued', async () => {
  const grant = await signGrant(ada, release, now);
  for (const at of [now - 30_000, now, now + 120_000]) await verifyGrant(trust, grant, at);
  assert.match(
    await refusalOf(() => verifyGrant(trust, grant, now + 120_001)),
    /^forbidden: .*two minutes old/,
  );
  assert.match(await refusalOf(() => verifyGrant(trust, grant, now - 30_001)), /^forbidden: .*in the future/);
  assert.match(await refusalOf(() => verifyGrant(trust, grant, NaN)), /^unauthenticated/);
});

test('a grant of another organisation is refused, under whatever issuers', async () => {
  const grant = await signGrant(eve, release, now);
  assert.match(
    await refusalOf(() => verifyGrant(trust, grant, now)),
    /^unauthenticated: .*organisation Ours/,
  );
  const dressed = await signGrant({ ...eve, issuers: ada.issuers }, release, now);
  assert.match(await refusalOf(() => verifyGrant(trust, dressed, now)), /^unauthenticated/);
});

test('a grant by a node is refused', async () => {
  const grant = await signGrant(node, release, now);
  assert.match(
    await refusalOf(() => verifyGrant(trust, grant, now)),
    /^forbidden: the node pc-1 cannot sign/,
  );
});

test('a grant signed with another key than the certified one is refused', async () => {
  const grant = await signGrant({ ...ada, key: eve.key }, release, now);
  assert.match(await refusalOf(() => verifyGrant(trust, grant, now)), /^unauthenticated: the signature/);
});

test('a grant whose certificate has expired is refused', async () => {
  const later = now + 91 * day_ms;
  const grant = await signGrant(ada, release, later);
  assert.match(
    await refusalOf(() => verifyGrant(trust, grant, later)),
    /^unauthenticated: the certificate expired/,
  );
});

test('a grant is refused after any change to what was signed', async () => {
  const parts = decode(record, await signGrant(ada, release, now));
  const changes = [
    { payload: flip(parts.payload, 5) },
    { payload: flip(parts.payload, parts.payload.length - 1) },
    { signature: flip(parts.signature, 40) },
    { certificate: flip(parts.certificate, parts.certificate.length - 1) },
    {
      certificate:
        decode(record, await signGrant(await fakeUser(ours, 'bob', now), release, now)).certificate,
    },
    { issuers: [] },
  ];
  for (const change of changes) {
    const bad = encode({ ...parts, ...change });
    assert.match(
      await refusalOf(() => verifyGrant(trust, bad, now)),
      /^unauthenticated/,
      Object.keys(change)[0],
    );
  }
});

test('what is malformed or out of bounds is refused as such', async () => {
  const good = await signGrant(ada, release, now);
  const parts = decode(record, good);
  const bad = [
    new Uint8Array(0),
    good.subarray(0, -1),
    new Uint8Array([...good, 0]),
    new Uint8Array(64 * 1024),
    encode({ ...parts, more: 1 }),
    encode({ ...parts, issuers: Array.from({ length: 5 }, () => parts.issuers[0]) }),
    encode({ ...parts, certificate: new Uint8Array(4097) }),
  ];
  for (const bytes of bad) {
    assert.match(await refusalOf(() => verifyGrant(trust, bytes, now)), /^bad-request/);
  }
});

test('fields out of bounds are refused by the signer, and by the verifier when a rogue signs them', async () => {
  const bad = [
    { job: 'job-1' },
    { target: '' },
    { target: 'Printer A' },
    { action: 'cancel' },
    { action: 'reprint' },
    { options: new Uint8Array(1025) },
    { confirm: [''] },
    // what is no claim would get into the leases of all holders, which then could not be read any more
    { confirm: [`${release.confirm[0]}x`] },
    { confirm: [release.confirm[0]?.slice(0, -1)] },
    { confirm: [`${'B'.repeat(65)}/${crypto.randomUUID()}`] },
    { confirm: Array.from({ length: 65 }, () => release.confirm[0]) },
    { more: true },
  ];
  for (const change of bad) {
    const grant = { ...release, ...change } as Grant;
    const what = JSON.stringify(change).slice(0, 40);
    assert.match(await refusalOf(() => signGrant(ada, grant, now)), /^bad-request/, what);
    const rogue = await signWith(ada, 'inkmesh grant 1', {
      ...grant,
      nonce: new Uint8Array(16),
      issued: now,
    });
    assert.match(await refusalOf(() => verifyGrant(trust, rogue, now)), /^bad-request/, what);
  }
  for (const nonce of [new Uint8Array(15), new Uint8Array(17)]) {
    const rogue = await signWith(ada, 'inkmesh grant 1', { ...release, nonce, issued: now });
    assert.match(await refusalOf(() => verifyGrant(trust, rogue, now)), /^bad-request/);
  }
});

test('the largest grant passes', async () => {
  const claims = Array.from({ length: 64 }, () => `${'B'.repeat(64)}/${crypto.randomUUID()}`);
  const largest = { ...release, options: new Uint8Array(1024), confirm: claims };
  const { grant } = await verifyGrant(trust, await signGrant(ada, largest, now), now);
  assert.equal(grant.confirm, claims);
});

test('a request says who asked, for one method, path and node', async () => {
  const bodyHash = new Uint8Array(32).fill(9);
  const header = await signRequest(ada, { ...target, bodyHash }, now);
  assert.match(header, /^[\w-]+$/);
  const asked = await verifyRequest(trust, header, target, now);
  assert.is(asked.by.user, 'ada');
  assert.is(asked.issued, now);
  assert.is(asked.nonce.length, 16);
  assert.equal(asked.bodyHash, bodyHash);
  const bare = await verifyRequest(trust, await signRequest(ada, target, now), target, now);
  assert.is(bare.bodyHash, null);
  for (const other of [{ method: 'GET' }, { path: '/api/jobs' }, { audience: fakePeer('B') }]) {
    const expected = { ...target, ...other };
    assert.match(await refusalOf(() => verifyRequest(trust, header, expected, now)), /^forbidden: .*another/);
  }
});

test('a request is refused stale, of the future, by a stranger, by a node, malformed or too long', async () => {
  const refused = (who: Credential, at: number) =>
    refusalOf(async () => verifyRequest(trust, await signRequest(who, target, now), target, at));
  assert.is(await refused(ada, now + 120_000), '');
  assert.match(await refused(ada, now + 120_001), /^forbidden/);
  assert.match(await refused(ada, now - 30_001), /^forbidden/);
  assert.match(await refused(eve, now), /^unauthenticated/);
  assert.match(await refused(node, now), /^forbidden/);
  for (const header of ['', '***', 'AAAA', 'A'.repeat(100_000)]) {
    assert.match(await refusalOf(() => verifyRequest(trust, header, target, now)), /^bad-request/);
  }
});

test('a grant is no request, and a request no grant', async () => {
  const header = (await signGrant(ada, release, now)).toBase64({ alphabet: 'base64url' });
  assert.match(await refusalOf(() => verifyRequest(trust, header, target, now)), /^unauthenticated/);
  const grant = Uint8Array.fromBase64(await signRequest(ada, target, now), { alphabet: 'base64url' });
  assert.match(await refusalOf(() => verifyGrant(trust, grant, now)), /^unauthenticated/);
});

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

test.run();
