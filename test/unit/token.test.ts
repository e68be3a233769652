import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../mesh/codec.ts';
import { formatToken, hashSecret, type JoinToken, newSecret, parseToken } from '../../mesh/token.ts';
import { refusalOf } from '../fakes/organisation.ts';

const forNode: JoinToken = {
  kind: 'node',
  root: new Uint8Array(32).fill(7),
  secret: newSecret(),
  site: 'a',
  expires: 1_790_000_000_000,
  addresses: ['192.168.1.2:9264', '/ip4/192.168.1.2/tcp/9264/p2p/12D3KooW'],
};
const forUser: JoinToken = { ...forNode, kind: 'user', user: 'ada@example.org', addresses: [] };

/** A token of these fields, in CBOR, with the checksum that belongs to it. */
function seal(kind: 'n' | 'u', fields: unknown): string {
  const body = encode(fields);
  const sum = createHash('sha256').update(`ink1${kind}`).update(body).digest().subarray(0, 4);
  return `ink1${kind}${Buffer.concat([body, sum]).toString('base64url')}`;
}

test('what is formatted parses to the same token', () => {
  for (const token of [forNode, forUser]) {
    const text = formatToken(token);
    assert.match(text, token.kind === 'node' ? /^ink1n[\w-]+$/ : /^ink1u[\w-]+$/);
    assert.equal(parseToken(text), token);
  }
});

test('a token survives the line breaks of a mail', () => {
  const text = formatToken(forUser);
  assert.equal(parseToken(` ${text.slice(0, 30)}\r\n  ${text.slice(30)}\n`), forUser);
});

test('a token that is cut off at any place is refused with what to do', async () => {
  const text = formatToken(forNode);
  for (let length = 0; length < text.length; length++) {
    const refusal = await refusalOf(() => parseToken(text.slice(0, length)));
    assert.match(
      refusal,
      length < 5 ? /^bad-request: this is not a token/ : /^bad-request: .*copy all of it again/,
    );
  }
});

test('a token with any one character wrong is refused', async () => {
  const text = formatToken(forNode);
  for (let at = 0; at < text.length; at++) {
    const wrong = text[at] === 'A' ? 'B' : 'A';
    const typo = text.slice(0, at) + wrong + text.slice(at + 1);
    assert.match(await refusalOf(() => parseToken(typo)), /^bad-request/, `at ${at}`);
  }
});

test('a token of the other kind, of another version, or much too long is refused', async () => {
  const text = formatToken(forNode);
  for (
    const bad of [text.replace('ink1n', 'ink1u'), text.replace('ink1', 'ink2'), text + 'A'.repeat(5000), '']
  ) {
    assert.match(await refusalOf(() => parseToken(bad)), /^bad-request/);
  }
});

test('fields out of bounds are refused, also behind a right checksum', async () => {
  const bad: JoinToken[] = [
    { ...forNode, root: new Uint8Array(31) },
    { ...forNode, secret: new Uint8Array(15) },
    { ...forNode, secret: new Uint8Array(33) },
    { ...forNode, site: 'A B' },
    { ...forNode, expires: 0.5 },
    { ...forNode, addresses: Array.from({ length: 9 }, () => 'h:1') },
    { ...forNode, addresses: ['a b:1'] },
    { ...forNode, addresses: ['a'.repeat(257)] },
    { ...forNode, user: 'ada' },
    { ...forUser, user: '.ada' },
  ];
  for (const token of bad) {
    const { kind, root, secret, site, expires, addresses, user } = token;
    const fields = [root, secret, site, expires, addresses, ...(user === undefined ? [] : [user])];
    assert.match(await refusalOf(() => formatToken(token)), /^bad-request/);
    assert.match(
      await refusalOf(() => parseToken(seal(kind === 'node' ? 'n' : 'u', fields))),
      /^bad-request/,
    );
  }
  const { user: _, ...nobody } = forUser;
  assert.match(await refusalOf(() => formatToken(nobody)), /^bad-request/);
});

test('there is one form of a token: other bytes of the same fields are refused', async () => {
  const text = formatToken(forNode);
  assert.match(await refusalOf(() => parseToken(`${text}=`)), /^bad-request/);
  assert.match(await refusalOf(() => parseToken(seal('n', { root: 1 }))), /^bad-request/);
});

test('a secret is fresh, and kept as its SHA-256', () => {
  const secret = newSecret();
  assert.is(secret.length, 16);
  assert.not.equal(secret, newSecret());
  assert.is(hashSecret(secret), createHash('sha256').update(secret).digest('hex'));
});

test.run();
