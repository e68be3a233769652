import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Authority, generateKeys, issueNode, issueTls, issueUser } from '../../mesh/authority.ts';
import { generateHostKey, generateSealKey, tlsSubject } from '../../mesh/mod.ts';
import {
  readCredential,
  readNode,
  readRegistrar,
  readRun,
  refuseExisting,
  writeCredential,
  writeNode,
  writeRun,
} from '../../src/datadir.ts';
import { fakeAuthority, refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

const day_ms = 24 * 3600_000;

async function newNode(authority: Authority, dir: string, now = Date.now()) {
  const { hostKey, peerId } = await generateHostKey();
  const keys = await generateKeys();
  const { publicKey } = keys;
  const subject = { name: 'a1', site: 'a', peerId, roles: ['front'] as const, publicKey };
  const tls = await issueTls(authority, tlsSubject(publicKey, 'a1', 'a', []), now);
  await writeNode(dir, {
    ...{ hostKey, keys, root: authority.trust.root, registrars: ['127.0.0.1:9264'] },
    sealKey: await generateSealKey(),
    leaf: await issueNode(authority, subject, now),
    issuers: [authority.meshIssuer.der],
    tls: { leaf: tls, issuer: authority.tlsIssuer.der },
  });
  return { hostKey, peerId };
}

async function newCredential(authority: Authority, path: string, token: string | null = 'token') {
  const keys = await generateKeys();
  const subject = { user: 'ada', device: crypto.randomUUID(), roles: [], publicKey: keys.publicKey };
  const leaf = await issueUser(authority, subject, Date.now());
  const { root } = authority.trust;
  await writeCredential(path, {
    user: 'ada',
    site: 'a',
    keys,
    leaf,
    issuers: [authority.meshIssuer.der],
    root,
    token,
  });
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('a node reads back who it is', async () => {
  const dir = join(tempDir(), 'new', 'node');
  const authority = await fakeAuthority('Test works', Date.now());
  const { hostKey, peerId } = await newNode(authority, dir);
  const read = await readNode(dir);
  assert.equal(read.hostKey, hostKey);
  assert.is(read.identity.peerId, peerId);
  assert.equal(read.identity.roles, ['front']);
  assert.is(read.trust.fingerprint, authority.trust.fingerprint);
  assert.equal(read.registrars, ['127.0.0.1:9264']);
  assert.match(read.tls.cert, /^-----BEGIN CERTIFICATE-----[^]*-----BEGIN CERTIFICATE-----/);
  assert.is(await readRegistrar(dir), undefined);
});

test('what holds keys is for its owner’s eyes only', async () => {
  const dir = join(tempDir(), 'node');
  const authority = await fakeAuthority('Test works', Date.now());
  await newNode(authority, dir);
  await newCredential(authority, join(dir, 'ada.credential'));
  // users of the machine may pass through it to run.json, and see nothing else
  assert.is(modeOf(dir), '711');
  assert.is(modeOf(join(dir, 'node.json')), '600');
  assert.is(modeOf(join(dir, 'ada.credential')), '600');
});

test('a directory that is a node’s is not made another’s', async () => {
  const dir = tempDir();
  await refuseExisting(dir);
  await newNode(await fakeAuthority('Test works', Date.now()), dir);
  assert.match(await refusalOf(() => refuseExisting(dir)), /^conflict: .* belongs to a node already/);
});

test('what is no node, is damaged or has expired is refused, saying what to do', async () => {
  const authority = await fakeAuthority('Test works', Date.now() - 100 * day_ms);
  const empty = tempDir();
  assert.match(await refusalOf(() => readNode(empty)), /^not-found: .*inkmesh org init, or inkmesh join/);
  const expired = tempDir();
  await newNode(authority, expired, Date.now() - 99 * day_ms);
  assert.match(await refusalOf(() => readNode(expired)), /^unauthenticated: the certificate expired/);
  const damaged = tempDir();
  await newNode(authority, damaged);
  const path = join(damaged, 'node.json');
  const whole = readFileSync(path, 'utf8');
  writeFileSync(path, whole.slice(0, whole.length / 2));
  assert.match(await refusalOf(() => readNode(damaged)), /^corrupt: .*node\.json is damaged/);
  writeFileSync(path, JSON.stringify({ ...JSON.parse(whole) as object, more: 1 }));
  assert.match(await refusalOf(() => readNode(damaged)), /^bad-request: more/);
});

test('a user’s credential is no node’s, and a node’s no user’s', async () => {
  const dir = tempDir();
  const authority = await fakeAuthority('Test works', Date.now());
  await newNode(authority, dir);
  const credential = join(dir, 'ada.credential');
  await newCredential(authority, credential);
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const user = json(credential);
  const node = json(join(dir, 'node.json'));
  writeFileSync(join(dir, 'node.json'), JSON.stringify({ ...node, certificate: user['certificate'] }));
  assert.match(await refusalOf(() => readNode(dir)), /^corrupt: /);
  writeFileSync(credential, JSON.stringify({ ...user, certificate: node['certificate'] }));
  assert.match(await refusalOf(() => readCredential(credential)), /^corrupt: .*not a user/);
});

test('a credential reads back, with its token and without', async () => {
  const authority = await fakeAuthority('Test works', Date.now());
  for (const token of ['secret', null]) {
    const path = join(tempDir(), 'ada.credential');
    await newCredential(authority, path, token);
    const read = await readCredential(path);
    assert.equal([read.user, read.site, read.token], ['ada', 'a', token]);
    assert.is(read.identity.user, 'ada');
  }
  const missing = join(tempDir(), 'none');
  assert.match(await refusalOf(() => readCredential(missing)), /^not-found: .*inkmesh login/);
});

test('where a node listens is known only while there is one', async () => {
  const dir = tempDir();
  assert.match(await refusalOf(() => readRun(dir)), /^unavailable: no node runs in/);
  const run = { pid: 7, peer: 'p', ports: { http: null, mesh: 1, https: 2, release: 3 } };
  await writeRun(dir, run);
  assert.equal(await readRun(dir), run);
  writeFileSync(join(dir, 'run.json'), '{"pid": 0}');
  assert.match(await refusalOf(() => readRun(dir)), /^bad-request: /);
});

test.run();
