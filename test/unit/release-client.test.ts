/** What the browser's script makes, against what the nodes make and check. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generateKeys, readRequest } from '../../mesh/authority.ts';
import { encode } from '../../mesh/codec.ts';
import { signGrant, verifyGrant } from '../../mesh/grant.ts';
import { signRequest, verifyRequest } from '../../mesh/request.ts';
import { fromBase64, toBase64, toBase64url } from '../../src/release/client/base64.js';
import { encode as encodeInBrowser } from '../../src/release/client/cbor.js';
import { certificationRequest } from '../../src/release/client/csr.js';
import { optionsOf, rangesOf } from '../../src/release/client/options.js';
import {
  signGrant as grantInBrowser,
  signRequest as requestInBrowser,
} from '../../src/release/client/signing.js';
import { fakeAuthority, fakePeer, fakeUser } from '../fakes/organisation.ts';

const octets = fc.uint8Array({ maxLength: 300 });
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.nat(),
    fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
    fc.string({ unit: 'grapheme', maxLength: 80 }),
    octets,
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(fc.string({ maxLength: 30 }).filter((key) => key !== '__proto__'), tie('value'), {
      maxKeys: 30,
      noNullPrototype: true,
    }),
  ),
})).value;

test('the browser’s CBOR is the nodes’, octet by octet', () => {
  fc.assert(
    fc.property(plain, (value) => {
      assert.equal(encodeInBrowser(value as never), encode(value));
    }),
    { numRuns: 1000 },
  );
  for (const edge of [0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    assert.equal(encodeInBrowser(edge), encode(edge), String(edge));
  }
});

test('what is no plain value is not encoded', () => {
  for (const value of [-1, 1.5, NaN, undefined, () => {}, 2 ** 60]) {
    assert.throws(() => encodeInBrowser(value as never), TypeError as never);
  }
});

test('base64 of any octets is what it says', () => {
  fc.assert(fc.property(octets, (value) => {
    assert.is(toBase64(value), Buffer.from(value).toString('base64'));
    assert.is(toBase64url(value), Buffer.from(value).toString('base64url'));
    assert.equal(fromBase64(toBase64url(value)), Uint8Array.from(value));
  }));
});

test('a grant and a request of the browser are taken by the nodes, and have the octets of theirs', async () => {
  const now = Date.now();
  const authority = await fakeAuthority('Example', now);
  const { trust } = authority;
  const credential = await fakeUser(authority, 'ada', now);
  const browser = { ...credential, device: crypto.randomUUID(), site: 'a' };
  const grant = {
    job: '6ba7b810-9dad-81d1-80b4-00c04fd430c8',
    action: 'release' as const,
    claimant: fakePeer('B'),
    target: 'printer-a',
    options: encodeInBrowser({ copies: 2 }),
    confirm: [],
  };
  const made = await verifyGrant(trust, await grantInBrowser(browser, grant, now), now);
  assert.is(made.by.user, credential.user);
  const { nonce: _, issued, ...same } = made.grant;
  assert.equal(same, grant);
  assert.is(issued, now);
  assert.is(
    (await signGrant(credential, grant, now)).length,
    (await grantInBrowser(browser, grant, now)).length,
  );

  const target = { method: 'POST', path: '/v1/jobs/x/release', audience: grant.claimant };
  const body = new TextEncoder().encode('{}');
  const signed = await requestInBrowser(browser, { ...target, body }, now);
  const { by, bodyHash } = await verifyRequest(trust, signed, target, now);
  assert.is(by.user, credential.user);
  assert.equal(bodyHash, new Uint8Array(await crypto.subtle.digest('SHA-256', body)));
  assert.is((await signRequest(credential, target, now)).length < signed.length, true);
});

test('a certification request of the browser is one', async () => {
  for (let i = 0; i < 40; i++) {
    const keys = await generateKeys();
    await readRequest(await certificationRequest(keys));
  }
});

test('a form’s fields become options, and what is wrong is named', () => {
  assert.equal(optionsOf({}), { options: {} });
  assert.equal(optionsOf({ copies: ' 3 ', sides: 'one-sided', media: '', 'page-ranges': '1-3, 7' }), {
    options: { copies: 3, sides: 'one-sided', 'page-ranges': [[1, 3], [7, 7]] },
  });
  assert.equal(optionsOf({ copies: '0' }), { wrong: 'copies' });
  assert.equal(optionsOf({ copies: '2.5' }), { wrong: 'copies' });
  assert.equal(optionsOf({ 'page-ranges': '3-1' }), { wrong: 'page-ranges' });
  for (const text of ['', 'x', '1,', '0', '5-2', '1-3,3', '1 2']) assert.is(rangesOf(text), undefined, text);
});

test.run();
