/** The key of a site's name: one for all its front nodes, another one when one of them is shut out. */
import { X509Certificate } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fromPem, issueTls } from '../../mesh/authority.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import type { SiteTls } from '../../mesh/mod.ts';
import { openSiteKey, sealSiteKey, type SiteKeyBody, siteKeyKind, siteKeyOf } from '../../mesh/site-key.ts';
import { type FakeMesh, type FakeNode, patience_ms, startMesh } from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

let mesh: FakeMesh;
let first: FakeNode;
let second: FakeNode;
let third: FakeNode;
let elsewhere: FakeNode;

test.before(async () => {
  mesh = await startMesh(2);
});

test.after(async () => await mesh.stop());

const keyOf = (node: FakeNode): SiteTls | undefined => node.mesh.membership.siteKey.current;

/** Resolves when these all have one key, and not `before`. */
async function shared(nodes: readonly FakeNode[], before?: SiteTls): Promise<SiteTls> {
  return await waitFor(() => {
    const [one, ...others] = nodes.map(keyOf);
    const same = one !== undefined && others.every((other) => other?.certificate === one.certificate);
    return same && one.certificate !== before?.certificate ? one : undefined;
  }, { deadline_ms: patience_ms, what: `one key at ${nodes.map(({ name }) => name).join(', ')}` });
}

const bodyAt = (node: FakeNode) => siteKeyOf(node.mesh.ledger, 'a') as SiteKeyBody;

test('front nodes of a site get one key, with a certificate for the site’s names', async () => {
  first = await mesh.add('f1', { roles: ['front'] });
  second = await mesh.add('f2', { roles: ['front'] });
  const { certificate, key } = await shared([first, second]);
  assert.is(keyOf(second)?.key, key);
  const shown = new X509Certificate(certificate);
  assert.is(shown.subjectAltName, 'DNS:a.inkmesh.internal, DNS:inkmesh-a.local');
  assert.ok(shown.verify(new X509Certificate(mesh.authority.tlsIssuer.der).publicKey));
});

test('no other node has it: not one without the role, not one of another site', async () => {
  const [registrar, plain] = mesh.nodes as [FakeNode, FakeNode];
  elsewhere = await mesh.add('b1', { site: 'b', roles: ['front'] });
  const other = await shared([elsewhere]);
  assert.is(keyOf(registrar), undefined);
  assert.is(keyOf(plain), undefined);
  assert.not.equal(other.certificate, keyOf(first)?.certificate);
  for (const node of [plain, elsewhere]) {
    assert.match(await refusalOf(() => openSiteKey(node.keys.sealKey, bodyAt(node))), /^corrupt/);
  }
});

test('one that comes later gets the same key, so that who has pinned it notices nothing', async () => {
  const before = keyOf(first);
  third = await mesh.add('f3', { roles: ['front'] });
  const { certificate } = await shared([first, second, third]);
  assert.is(certificate, before?.certificate);
});

test('it is there after a restart, without a registrar', async () => {
  const before = keyOf(second);
  const [registrar] = mesh.nodes as [FakeNode];
  await second.stop();
  await registrar.stop();
  await second.start();
  assert.equal(keyOf(second), before);
  await registrar.start();
  await mesh.connected();
});

test('a certificate that is due is renewed for the same key', async () => {
  const before = keyOf(first);
  const [registrar] = mesh.nodes as [FakeNode];
  const { ledger } = registrar.mesh;
  const { publicKey, privateKey } = await openSiteKey(registrar.keys.sealKey, bodyAt(registrar));
  const old = { publicKey, commonName: 'a', dnsNames: ['a.inkmesh.internal'], addresses: [] };
  const leaf = await issueTls(mesh.authority, old, Date.now() - 61 * 24 * 3600_000);
  await ledger.state(siteKeyKind, () => directoryDoc, 'a', {
    ...await sealSiteKey(leaf, privateKey, bodyAt(registrar).for),
  });
  await shared([first, second, third], before);
  const after = await waitFor(() => {
    const key = keyOf(first);
    const { validTo } = new X509Certificate(key?.certificate ?? '');
    return Date.parse(validTo) > Date.now() + 80 * 24 * 3600_000 ? key : undefined;
  }, { deadline_ms: patience_ms, what: 'the certificate to be renewed' });
  assert.is(after.key, before?.key);
  assert.is(
    new X509Certificate(after.certificate).subjectAltName,
    'DNS:a.inkmesh.internal, DNS:inkmesh-a.local',
  );
});

test('when a front node is revoked the others get another key, which it cannot open', async () => {
  const before = keyOf(first);
  const [registrar] = mesh.nodes as [FakeNode];
  await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf('node', third.peer), {});
  const after = await shared([first, second], before);
  assert.is.not(after.key, before?.key);
  assert.match(await refusalOf(() => openSiteKey(third.keys.sealKey, bodyAt(first))), /^corrupt/);
  assert.equal(fromPem(after.certificate), new Uint8Array(bodyAt(first).leaf));
  assert.equal(first.mesh.supers().map(({ name }) => name).sort(), ['f1', 'f2']);
});

test.run();
