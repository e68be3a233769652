import { Buffer } from 'node:buffer';
import { Decrypter } from 'age-encryption';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  createOrganisation,
  createRequest,
  exportAuthority,
  exportKey,
  fromPem,
  generateKeys,
  importAuthority,
  importKeyPair,
  issueNode,
  issueTls,
  issueUser,
  readRequest,
  toPem,
} from '../../mesh/authority.ts';
import { verifyIdentity } from '../../mesh/certificate.ts';
import { fakeAuthority, fakePeer, refusalOf } from '../fakes/organisation.ts';

const now = Date.UTC(2026, 5, 1, 12);

const made = await createOrganisation('Ours', now);
const ours = made.authority;
const theirs = await fakeAuthority('Theirs', now);
const { trust } = ours;
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
const leaf = await issueNode(ours, pc, now);

test('names and roles out of bounds are not certified', async () => {
  for (
    const subject of [
      { ...pc, name: 'PC 1' },
      { ...pc, site: '' },
      { ...pc, peerId: 'Qm' },
      { ...pc, roles: ['admin'] as const },
      { ...pc, roles: ['front', 'front'] as const },
    ]
  ) {
    assert.match(await refusalOf(() => issueNode(ours, subject, now)), /^bad-request/);
  }
  for (
    const subject of [
      { ...ada, user: 'a:b' },
      { ...ada, device: '1' },
      { ...ada, roles: ['relay'] as const },
    ]
  ) {
    assert.match(await refusalOf(() => issueUser(ours, subject, now)), /^bad-request/);
  }
  assert.match(await refusalOf(() => createOrganisation('a\nb', now)), /^bad-request/);
});

test('TLS names outside of the private domains and networks are not certified', async () => {
  const tls = {
    publicKey,
    commonName: 'pc-1',
    dnsNames: ['a.inkmesh.internal'],
    addresses: ['10.0.0.1', 'fe80::1'],
  };
  await issueTls(ours, tls, now);
  for (
    const dnsName of [
      'example.com',
      'inkmesh.internal.example.com',
      'notlocal',
      'pc-1',
      'A.local',
      '*.local',
      'a..local',
      '',
    ]
  ) {
    assert.match(
      await refusalOf(() => issueTls(ours, { ...tls, dnsNames: [dnsName] }, now)),
      /^bad-request/,
      dnsName,
    );
  }
  for (
    const address of ['8.8.8.8', '172.32.0.1', '2001:db8::1', 'fe80::1%eth0', '::ffff:10.0.0.1', '10.1', 'x']
  ) {
    const asked = { ...tls, addresses: [address] };
    assert.match(await refusalOf(() => issueTls(ours, asked, now)), /^bad-request/, address);
  }
  const none = { ...tls, dnsNames: [], addresses: [] };
  assert.match(await refusalOf(() => issueTls(ours, none, now)), /^bad-request/);
  const many = { ...tls, addresses: Array.from({ length: 33 }, () => '10.0.0.1') };
  assert.match(await refusalOf(() => issueTls(ours, many, now)), /^bad-request/);
});

test('the root file opens with its passphrase, and holds the root and its key', async () => {
  assert.match(made.passphrase, /^(?:[a-z2-7]{5}-){4}[a-z2-7]{5}$/);
  assert.is(Buffer.from(made.rootFile.slice(0, 22)).toString(), 'age-encryption.org/v1\n');
  const right = new Decrypter();
  right.addPassphrase(made.passphrase);
  const pem = await right.decrypt(made.rootFile, 'text');
  const at = pem.indexOf('-----BEGIN PRIVATE KEY-----');
  assert.equal(fromPem(pem.slice(0, at)), trust.root);
  const file = { certificate: pem.slice(0, at), key: pem.slice(at) };
  const authority = await importAuthority({ ...await exportAuthority(ours), meshIssuer: file });
  assert.equal(authority.meshIssuer.der, trust.root);

  const wrong = new Decrypter();
  wrong.addPassphrase(made.passphrase.replace(/^./, (first) => first === 'a' ? 'b' : 'a'));
  assert.instance(await wrong.decrypt(made.rootFile).catch((error: unknown) => error), Error);
});

test('an authority goes through JSON, and only with its own keys', async () => {
  const file = JSON.parse(JSON.stringify(await exportAuthority(ours)));
  const again = await importAuthority(file);
  assert.equal(again.trust, trust);
  await verifyIdentity(trust, await issueNode(again, pc, now), [again.meshIssuer.der], now);
  const other = await exportAuthority(theirs);
  for (
    const bad of [
      { ...file, root: other.root },
      { ...file, meshIssuer: other.meshIssuer },
      { ...file, tlsIssuer: { ...file.tlsIssuer, key: file.meshIssuer.key } },
      { ...file, meshIssuer: undefined },
      { ...file, more: 1 },
      null,
    ]
  ) {
    assert.match(await refusalOf(() => importAuthority(bad)), /^bad-request/);
  }
});

test('a request proves possession of its key', async () => {
  const request = await createRequest(keys);
  assert.equal(await spkiOf(await readRequest(request)), await spkiOf(publicKey));
  const other = await generateKeys();
  const stolen = await createRequest({ publicKey, privateKey: other.privateKey });
  assert.match(await refusalOf(() => readRequest(stolen)), /^bad-request: .*not signed with its key/);
  const tampered = request.slice();
  tampered[tampered.length - 1] = (tampered.at(-1) ?? 0) ^ 1;
  for (const bad of [tampered, request.slice(0, 50), new Uint8Array(0), new Uint8Array(2049), leaf]) {
    assert.match(await refusalOf(() => readRequest(bad)), /^bad-request/);
  }
});

test('keys and DER go through PEM', async () => {
  const pair = await importKeyPair(await exportKey(keys.privateKey));
  assert.equal(await spkiOf(pair.publicKey), await spkiOf(publicKey));
  assert.equal(fromPem(toPem('CERTIFICATE', leaf)), leaf);
  assert.equal(fromPem(toPem('CERTIFICATE', leaf).replaceAll('\n', '\r\n')), leaf);
  const pem = toPem('CERTIFICATE', leaf);
  for (const bad of ['', 'x', pem + pem, pem.slice(0, -10), pem.replace('M', '!'), pem + ' '.repeat(9000)]) {
    assert.match(await refusalOf(() => fromPem(bad)), /^bad-request/);
  }
  assert.match(await refusalOf(() => importKeyPair(pem)), /^bad-request/);
});

async function spkiOf(key: CryptoKey): Promise<string> {
  return new Uint8Array(await crypto.subtle.exportKey('spki', key)).toHex();
}

test.run();
