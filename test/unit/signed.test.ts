import { createPublicKey, verify as nodeVerify } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generateKeys } from '../../mesh/authority.ts';
import { check } from '../../mesh/codec.ts';
import { organisationName, peerId, siteName, userName, uuid } from '../../mesh/names.ts';
import { sign, signedRecordSchema, verify } from '../../mesh/signed.ts';
import { refusalOf } from '../fakes/organisation.ts';

const keys = await generateKeys();
const payload = new TextEncoder().encode('what is signed');

test('a signature holds for its key, context and payload', async () => {
  const signature = await sign(keys.privateKey, 'inkmesh fact 1', payload);
  assert.is(signature.length, 64);
  assert.ok(await verify(keys.publicKey, 'inkmesh fact 1', payload, signature));
});

test('a signature holds for nothing else', async () => {
  const signature = await sign(keys.privateKey, 'inkmesh fact 1', payload);
  const other = await generateKeys();
  assert.not(await verify(keys.publicKey, 'inkmesh grant 1', payload, signature));
  assert.not(await verify(keys.publicKey, 'inkmesh fact 1', payload.subarray(1), signature));
  assert.not(await verify(other.publicKey, 'inkmesh fact 1', payload, signature));
  for (const at of [0, 31, 32, 63]) {
    const tampered = signature.slice();
    tampered[at] = (tampered[at] ?? 0) ^ 1;
    assert.not(await verify(keys.publicKey, 'inkmesh fact 1', payload, tampered));
  }
  for (const length of [0, 63, 65]) {
    assert.not(await verify(keys.publicKey, 'inkmesh fact 1', payload, new Uint8Array(length)));
  }
});

test('another implementation of ES256 verifies the documented bytes', async () => {
  const signature = await sign(keys.privateKey, 'inkmesh receipt 1', payload);
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey));
  const key = createPublicKey({ key: spki as Buffer, format: 'der', type: 'spki' });
  const message = new Uint8Array([...new TextEncoder().encode('inkmesh receipt 1'), 0, ...payload]);
  assert.ok(nodeVerify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature));
});

test('a signed record has a bounded payload, a whole signature and nothing else', async () => {
  const schema = signedRecordSchema(8);
  const record = { payload: new Uint8Array(8), signature: new Uint8Array(64) };
  assert.equal(check(schema, record), record);
  for (
    const bad of [
      { ...record, payload: new Uint8Array(9) },
      { ...record, payload: new Uint8Array(0) },
      { ...record, signature: new Uint8Array(63) },
      { ...record, more: 1 },
    ]
  ) {
    assert.match(await refusalOf(() => check(schema, bad)), /^bad-request/);
  }
});

test('names stay in their alphabet', async () => {
  const good = [
    [siteName, 'a'],
    [siteName, 'site-2'],
    [siteName, 'a'.repeat(63)],
    [userName, 'Ada.Lovelace+print@example.org'],
    [organisationName, 'Bäckerei Müller & Söhne'],
    [peerId, `12D3KooW${'A'.repeat(44)}`],
    [uuid, '0b0e8a1e-3d0f-4c2b-9f0a-1f2e3d4c5b6a'],
  ] as const;
  for (const [schema, name] of good) assert.is(check(schema, name), name);
  const bad = [
    [siteName, ''],
    [siteName, '-a'],
    [siteName, 'a-'],
    [siteName, 'A'],
    [siteName, 'a.b'],
    [siteName, 'a\n'],
    [siteName, 'a'.repeat(64)],
    [userName, '.hidden'],
    [userName, 'a/b'],
    [userName, 'a:b'],
    [userName, 'a\n'],
    [userName, 'a'.repeat(65)],
    [organisationName, ''],
    [organisationName, ' a'],
    [organisationName, 'a\u202eb'],
    [organisationName, 'a\nb'],
    [organisationName, 'e\u0301'],
    [peerId, `12D3KooW${'0'.repeat(44)}`],
    [uuid, '0B0E8A1E-3D0F-4C2B-9F0A-1F2E3D4C5B6A'],
    [uuid, '0b0e8a1e-3d0f-1c2b-9f0a-1f2e3d4c5b6a'],
  ] as const;
  for (const [schema, name] of bad) {
    assert.match(await refusalOf(() => check(schema, name)), /^bad-request/, JSON.stringify(name));
  }
});

test.run();
