import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { Decrypter } from 'age-encryption';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  createOrganisation,
  fromPem,
  generateKeys,
  importKeyPair,
  issueNode,
  issueTls,
  issueUser,
} from '../../mesh/authority.ts';
import { readTrust, urns, verifyIdentity } from '../../mesh/certificate.ts';
import {
  authorityProfile,
  certify,
  clientAuth,
  distinguishedName,
  leafProfile,
  serverAuth,
} from '../../mesh/profile.ts';
import { fakeAuthority, fakePeer, refusalOf } from '../fakes/organisation.ts';

const now = Date.UTC(2026, 5, 1, 12);
const day_ms = 24 * 3_600_000;
const year_ms = 365 * day_ms;

const made = await createOrganisation('Bäckerei, O=Müller', now);
const ours = made.authority;
const theirs = await fakeAuthority('Bäckerei, O=Müller', now);
const { trust } = ours;
const issuers = [ours.meshIssuer.der];
const keys = await generateKeys();
const { publicKey } = keys;

const pc = {
  name: 'pc-1',
  site: 'a',
  peerId: fakePeer('A'),
  roles: ['registrar', 'front'],
  publicKey,
} as const;
const ada = { user: 'ada.l@example.org', device: crypto.randomUUID(), roles: ['admin'], publicKey } as const;
const nodeNames = { node: pc.name, site: pc.site, peer: pc.peerId };
const userNames = { user: ada.user, device: ada.device };
const leaf = await issueNode(ours, pc, now);

/** A certificate by an issuer of ours with whatever extensions, which the API would not issue. */
function craft(
  extensions: x509.Extension[],
  { by = ours.meshIssuer, key = publicKey, lifetime_ms = day_ms, name = 'crafted' } = {},
): Promise<Uint8Array> {
  const { subjectName, publicKey: issuerKey } = new x509.X509Certificate(new Uint8Array(by.der));
  return certify({
    issuer: { name: subjectName, publicKey: issuerKey, key: by.key },
    subject: distinguishedName({ CN: name }),
    publicKey: key,
    lifetime_ms,
    extensions,
  }, now);
}

/** The key of our root, out of the file that is kept offline. */
async function rootIssuer(): Promise<{ der: Uint8Array; key: CryptoKey }> {
  const decrypter = new Decrypter();
  decrypter.addPassphrase(made.passphrase);
  const pem = await decrypter.decrypt(made.rootFile, 'text');
  const at = pem.indexOf('-----BEGIN PRIVATE KEY-----');
  return { der: fromPem(pem.slice(0, at)), key: (await importKeyPair(pem.slice(at))).privateKey };
}

const refused = (der: Uint8Array, chain: readonly Uint8Array[] = issuers, at = now) =>
  refusalOf(() => verifyIdentity(trust, der, chain, at));

test('a node and a user are who their certificates say', async () => {
  const node = await verifyIdentity(trust, leaf, issuers, now);
  if (node.kind !== 'node') throw new Error('expected a node');
  const { name, site, peerId, roles } = node;
  assert.equal({ name, site, peerId, roles }, {
    name: 'pc-1',
    site: 'a',
    peerId: fakePeer('A'),
    roles: ['registrar', 'front'],
  });
  assert.is(node.notAfter, now + 90 * day_ms);
  assert.equal(node.der, leaf);
  assert.equal(await spkiOf(node.publicKey), await spkiOf(publicKey));

  const user = await verifyIdentity(trust, await issueUser(ours, ada, now), issuers, now);
  if (user.kind !== 'user') throw new Error('expected a user');
  assert.is(user.user, ada.user);
  assert.is(user.device, ada.device);
  assert.equal(user.roles, ['admin']);
});

test('issuers may come in any order, with others, with the root', async () => {
  await verifyIdentity(trust, leaf, [theirs.meshIssuer.der, ours.tlsIssuer.der, trust.root, ...issuers], now);
});

test('an organisation of the same name is another organisation', async () => {
  const foreign = await issueNode(theirs, pc, now);
  assert.match(await refused(foreign, [theirs.meshIssuer.der]), /^unauthenticated: .*does not belong/);
  assert.match(await refused(foreign, [theirs.meshIssuer.der, theirs.trust.root]), /^unauthenticated/);
  assert.match(await refused(foreign), /^unauthenticated: .*issuer did not come along/);
  assert.match(await refused(leaf, []), /^unauthenticated: .*issuer did not come along/);
});

test('dates are those of the whole chain, with an hour for slow clocks', async () => {
  assert.is(await refused(leaf, issuers, now - 3_600_000), '');
  assert.match(await refused(leaf, issuers, now - 3_602_000), /valid from .*clock/);
  assert.is(await refused(leaf, issuers, now + 90 * day_ms), '');
  assert.match(
    await refused(leaf, issuers, now + 90 * day_ms + 1),
    /the certificate expired at 2026-08-30T12:00/,
  );
  const late = now + 5 * year_ms;
  assert.match(await refused(await issueNode(ours, pc, late), issuers, late + 1), /the issuer expired/);
  assert.match(await refused(leaf, issuers, NaN), /^unauthenticated/);
  const long = await craft(leafProfile(clientAuth, urns(nodeNames)), { lifetime_ms: 10 * year_ms });
  const identity = await verifyIdentity(trust, long, issuers, now);
  assert.is(identity.notAfter, now + 5 * year_ms);
});

test('the TLS issuer, the root and a leaf cannot certify an identity', async () => {
  const extensions = leafProfile(clientAuth, urns(nodeNames));
  const byTls = await craft(extensions, { by: ours.tlsIssuer });
  assert.match(await refused(byTls, [ours.tlsIssuer.der]), /^unauthenticated: .*not the mesh issuer/);
  assert.match(await refused(byTls), /^unauthenticated/);
  const byRoot = await craft(extensions, { by: await rootIssuer() });
  assert.match(await refused(byRoot, [trust.root]), /^unauthenticated: .*path length/);
  const byLeaf = await craft(extensions, { by: { der: leaf, key: keys.privateKey } });
  assert.match(await refused(byLeaf, [leaf, ...issuers]), /^unauthenticated/);
});

test('a TLS certificate is no identity', async () => {
  const tls = await issueTls(
    ours,
    { publicKey, commonName: 'pc-1', dnsNames: ['pc-1.local'], addresses: [] },
    now,
  );
  assert.match(await refused(tls, [ours.tlsIssuer.der]), /^unauthenticated: .*not the mesh issuer/);
});

test('an issuer below an issuer is refused: the path has one length', async () => {
  const own = await generateKeys();
  const usage = new x509.ExtendedKeyUsageExtension([clientAuth]);
  const sub = await craft([...authorityProfile(0), usage], { key: own.publicKey, name: 'sub' });
  const byMine = await craft(leafProfile(clientAuth, urns(nodeNames)), {
    by: { der: sub, key: own.privateKey },
  });
  assert.match(await refused(byMine, [sub, ...issuers]), /^unauthenticated: .*does not belong/);

  const root = await rootIssuer();
  for (
    const [profile, complaint] of [
      [authorityProfile(1), /the path length 1, not 0/],
      [[new x509.BasicConstraintsExtension(true, undefined, true)], /the path length unbounded/],
      [[new x509.BasicConstraintsExtension(true, 0, false)], /may not issue/],
      [[new x509.BasicConstraintsExtension(true, 0, true)], /may not sign certificates/],
      [[], /may not issue/],
    ] as const
  ) {
    const der = await craft([...profile, usage], { by: root, key: own.publicKey, name: 'sub' });
    const below = await craft(leafProfile(clientAuth, urns(nodeNames)), { by: { der, key: own.privateKey } });
    assert.match(await refused(below, [der]), complaint);
  }
});

test('a leaf that is a CA, or whose key is for more, is refused', async () => {
  const [, usage, extended, names] = leafProfile(clientAuth, urns(nodeNames));
  const [constraints] = leafProfile(clientAuth, []);
  if (!constraints || !usage || !extended || !names) throw new Error('expected four extensions');
  const { digitalSignature, keyCertSign } = x509.KeyUsageFlags;
  const ca = new x509.BasicConstraintsExtension(true, 0, true);
  const signer = new x509.KeyUsagesExtension(digitalSignature | keyCertSign, true);
  const server = new x509.ExtendedKeyUsageExtension([serverAuth]);
  const unknown = new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0]));
  const harmless = new x509.Extension('1.2.3.4', false, new Uint8Array([5, 0]));
  assert.is(await refused(await craft([constraints, usage, extended, names])), '');
  assert.is(await refused(await craft([usage, extended, names, harmless])), '');
  for (
    const [extensions, complaint] of [
      [[ca, usage, extended, names], /is an issuer/],
      [[constraints, signer, extended, names], /for signatures, and for nothing else/],
      [[constraints, extended, names], /for signatures, and for nothing else/],
      [[constraints, usage, server, names], /not for the mesh/],
      [[constraints, usage, names], /not for the mesh/],
      [[constraints, usage, extended], /never both or neither/],
      [[constraints, usage, extended, names, unknown], /critical extension/],
      [[constraints, usage, extended, names, names], /twice/],
    ] as const
  ) {
    assert.match(await refused(await craft([...extensions])), complaint);
  }
});

test('mixed, doubled, missing and foreign names are refused', async () => {
  const dns = { type: 'dns', value: 'pc-1.local' } as const;
  const foreign = { type: 'url', value: 'https://example.org/' } as const;
  const upper = { type: 'url', value: `urn:inkmesh:node:PC-1` } as const;
  for (
    const [names, complaint] of [
      [urns({ ...nodeNames, ...userNames }), /never both/],
      [urns({ ...nodeNames, user: 'ada' }), /never both/],
      [urns({ ...userNames, peer: pc.peerId }), /never both/],
      [urns({ role: 'admin' }), /never both or neither/],
      [urns({ ...nodeNames, role: 'admin' }), /roles/],
      [urns({ ...userNames, role: 'registrar' }), /roles/],
      [urns({ ...nodeNames, role: 'king' }), /roles/],
      [urns({ ...nodeNames, role: ['front', 'front'] }), /each role once/],
      [urns({ ...nodeNames, site: ['a', 'b'] }), /more than one site/],
      [urns({ ...userNames, user: ['ada', 'bob'] }), /more than one user/],
      [urns({ node: 'pc-1', site: 'a' }), /peerId/],
      [urns({ user: 'ada' }), /device/],
      [urns({ ...nodeNames, peer: 'nobody' }), /PeerId/],
      [urns({ ...nodeNames, printer: 'p' }), /not of the mesh/],
      [[...urns(nodeNames), dns], /not of the mesh/],
      [[...urns(nodeNames), foreign], /not of the mesh/],
      [[...urns({ site: 'a', peer: pc.peerId }), upper], /name of a node/],
    ] as const
  ) {
    const refusal = await refused(await craft(leafProfile(clientAuth, [...names])));
    assert.match(refusal, /^unauthenticated/);
    assert.match(refusal, complaint);
  }
});

test('a key that is not on P-256 is refused', async () => {
  const p384 = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, [
    'sign',
    'verify',
  ]);
  const der = await craft(leafProfile(clientAuth, urns(nodeNames)), { key: p384.publicKey });
  assert.match(await refused(der), /^unauthenticated/);
});

test('a certificate is refused after a change of any byte', async () => {
  for (let at = 0; at < leaf.length; at++) {
    const tampered = leaf.slice();
    tampered[at] = (tampered[at] ?? 0) ^ (1 << (at % 8));
    assert.match(await refused(tampered), /^unauthenticated/, `byte ${at}`);
  }
  const [issuer = new Uint8Array()] = issuers;
  for (let at = 0; at < issuer.length; at += 7) {
    const tampered = issuer.slice();
    tampered[at] = (tampered[at] ?? 0) ^ 0x10;
    assert.match(await refused(leaf, [tampered]), /^unauthenticated/, `byte ${at} of the issuer`);
  }
});

test('a certificate that is cut off, lengthened, not DER, too big or one too many is refused', async () => {
  for (let length = 0; length < leaf.length; length += 37) {
    assert.match(await refused(leaf.slice(0, length)), /^unauthenticated/);
  }
  assert.match(await refused(new Uint8Array([...leaf, 0])), /^unauthenticated/);
  assert.match(await refused(leaf, [new Uint8Array([...ours.meshIssuer.der, 0])]), /^unauthenticated/);
  // the same SEQUENCE with its length in three octets instead of two
  assert.is(leaf[1], 0x82);
  assert.match(
    await refused(new Uint8Array([0x30, 0x83, 0, ...leaf.slice(2)])),
    /^unauthenticated: .*not in DER/,
  );
  const big = new x509.Extension('1.2.3.4', false, new Uint8Array(4096));
  const profile = leafProfile(clientAuth, urns(nodeNames));
  assert.match(await refused(await craft([...profile, big])), /more than 4096 bytes/);
  assert.match(
    await refused(leaf, Array.from({ length: 5 }, () => ours.meshIssuer.der)),
    /more than 4 issuer/,
  );
});

test('a root is read with its name and its fingerprint, or refused', async () => {
  assert.is(trust.organisation, 'Bäckerei, O=Müller');
  assert.match(trust.fingerprint, /^[0-9a-f]{64}$/);
  assert.equal(await readTrust(trust.root), trust);
  assert.not.equal(theirs.trust.fingerprint, trust.fingerprint);
  const tampered = trust.root.slice();
  tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1;
  for (const der of [leaf, ours.meshIssuer.der, tampered, trust.root.slice(0, -1), new Uint8Array(5000)]) {
    assert.match(await refusalOf(() => readTrust(der)), /^bad-request/);
  }
});

async function spkiOf(key: CryptoKey): Promise<string> {
  return new Uint8Array(await crypto.subtle.exportKey('spki', key)).toHex();
}

test.run();
