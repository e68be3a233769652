import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { endOf, generateKeys, issueTls } from '../../mesh/authority.ts';
import type { NodeIdentity } from '../../mesh/certificate.ts';
import { encode } from '../../mesh/codec.ts';
import type { Fact } from '../../mesh/facts.ts';
import { tlsSubject } from '../../mesh/issue.ts';
import { maxFactBodyBytes, maxKeyRegistrars, maxSealedNodes } from '../../mesh/limits.ts';
import { type Role, siteHosts } from '../../mesh/names.ts';
import { generateSealKey } from '../../mesh/mod.ts';
import { sealRecipient } from '../../mesh/seal.ts';
import { siteTask } from '../../mesh/site-issue.ts';
import {
  hasSiteKey,
  openSiteKey,
  sealSiteKey,
  type SiteFacts,
  type SiteKeyBody,
  siteKeyKind,
} from '../../mesh/site-key.ts';
import { fakeAuthority, fakePeer, refusalOf } from '../fakes/organisation.ts';

const day_ms = 24 * 3600_000;
const now = Date.UTC(2027, 0, 1);

/** Nodes are called by a letter, which their seal is too. */
class Known implements SiteFacts {
  readonly #nodes = new Map<string, NodeIdentity>();
  readonly #revoked = new Set<string>();
  body: SiteKeyBody | undefined;

  add(letter: string, roles: readonly Role[], site = 'a'): this {
    this.#nodes.set(
      letter,
      { name: letter, site, roles, peerId: fakePeer(letter) } as unknown as NodeIdentity,
    );
    return this;
  }

  revoke(letter: string): this {
    this.#revoked.add(`node:${fakePeer(letter)}`);
    return this;
  }

  sealedFor(letters: string, leaf: Uint8Array): this {
    this.body = { leaf, for: [...letters], sealed: new Uint8Array(1) };
    return this;
  }

  latest(kind: string, subject: string): Fact | undefined {
    const isKey = kind === siteKeyKind.name && subject === 'a' && this.body !== undefined;
    return isKey ? { body: this.body } as Fact : undefined;
  }

  first(kind: string, subject: string): Fact | undefined {
    return kind === 'revoked' && this.#revoked.has(subject) ? { time_ms: now } as Fact : undefined;
  }

  about(): readonly Fact[] {
    return [];
  }

  identity(): NodeIdentity | undefined {
    return undefined;
  }

  nodes(): NodeIdentity[] {
    return [...this.#nodes.values()];
  }

  sealOf(peer: string): string | undefined {
    return this.nodes().find(({ peerId }) => peerId === peer)?.name;
  }
}

const authority = await fakeAuthority('Test works', now - 30 * day_ms);
const issue = async (site: string, at: number, by = authority) => {
  const { publicKey, privateKey } = await generateKeys();
  const { dns, mdns } = siteHosts(site);
  const leaf = await issueTls(by, { publicKey, commonName: site, dnsNames: [dns, mdns], addresses: [] }, at);
  return { leaf, key: privateKey };
};
const { leaf: fresh } = await issue('a', now);
const { leaf: due } = await issue('a', now - 61 * day_ms);
const { leaf: nearlyOver } = await issue('a', now - 76 * day_ms);

const site = () => new Known().add('R', ['registrar']).add('S', ['registrar']).add('F', ['front']);
const task = (known: Known, own = 'R') => {
  const found = siteTask(known, 'a', own, now);
  return found === undefined ? 'nothing' : `${found.what} ${[...found.recipients].sort().join('')}`;
};

test('a site without a front node has no key', () => {
  const known = new Known().add('R', ['registrar']).add('P', []).add('G', ['front'], 'b');
  assert.is(task(known), 'nothing');
});

test('the first front node of a site has a key made, for it and the registrars', () => {
  assert.is(task(site().add('P', ['panel'])), 'make FRS');
});

test('there is nothing to do while all who need it have it', () => {
  assert.is(task(site().sealedFor('RSF', fresh)), 'nothing');
});

test('one more front node or registrar gets the same key', () => {
  assert.is(task(site().add('G', ['front']).sealedFor('RSF', fresh)), 'seal FGRS');
  assert.is(task(site().sealedFor('RF', fresh)), 'seal FRS');
});

test('a certificate with a third of its life left is renewed for the same key', () => {
  assert.is(task(site().sealedFor('RSF', due)), 'renew FRS');
});

test('who has had the key and is revoked, or no front node any more, makes it another one', () => {
  const revoked = site().add('G', ['front']).sealedFor('RSFG', fresh).revoke('G');
  assert.is(task(revoked), 'make FRS');
  assert.is(task(site().add('G', []).sealedFor('RSFG', fresh)), 'make FRS');
  assert.is(task(site().add('G', ['front'], 'b').sealedFor('RSFG', fresh)), 'make FRS');
  assert.is(task(site().sealedFor('RSF', fresh).revoke('S')), 'make FR');
});

test('a registrar that cannot open the key leaves it to one that can, until it is about to lapse', () => {
  assert.is(task(site().sealedFor('SF', fresh)), 'nothing');
  assert.is(task(site().sealedFor('SF', due)), 'nothing');
  assert.is(task(site().sealedFor('SF', nearlyOver)), 'make FRS');
  assert.is(task(site().sealedFor('F', fresh)), 'make FRS', 'when none can');
});

test('whoever has the key keeps it when there are more front nodes than it is sealed for', () => {
  const known = new Known().add('R', ['registrar']);
  const letters = [...'ABCDEFGHJK'];
  for (const letter of letters) known.add(letter, ['front']);
  const first = siteTask(known, 'a', 'R', now)?.recipients ?? [];
  assert.is(first.length, 1 + maxSealedNodes);
  known.sealedFor(`RK${'BCDEFGH'}`, fresh);
  assert.is(task(known), 'nothing');
  assert.ok(hasSiteKey(known, known.nodes().find(({ name }) => name === 'K')!));
  assert.not.ok(hasSiteKey(known, known.nodes().find(({ name }) => name === 'A')!));
});

test('the key of the longest names, for as many as can be, fits into a fact', async () => {
  const largest = await fakeAuthority('ü'.repeat(64), now);
  const { leaf, key } = await issue('s'.repeat(63), now, largest);
  const seals: string[] = [];
  while (seals.length < maxSealedNodes + maxKeyRegistrars) {
    seals.push(await sealRecipient(await generateSealKey()));
  }
  const body = await sealSiteKey(leaf, key, seals);
  const size = encode(body).length;
  assert.ok(size <= maxFactBodyBytes, `${size}: ${leaf.length}, ${body.sealed.length}`);
});

test('the key opens for whom it is sealed, and for nobody else', async () => {
  const [mine, other] = [await generateSealKey(), await generateSealKey()];
  const { leaf, key } = await issue('a', now);
  const body = await sealSiteKey(leaf, key, [await sealRecipient(mine)]);
  const { privateKey } = await openSiteKey(mine, body);
  const pkcs8 = async (one: CryptoKey) => new Uint8Array(await crypto.subtle.exportKey('pkcs8', one));
  assert.equal(await pkcs8(privateKey), await pkcs8(key));
  assert.match(await refusalOf(() => openSiteKey(other, body)), /^corrupt/);
  assert.match(
    await refusalOf(() => openSiteKey(mine, { ...body, leaf: fresh })),
    /^corrupt: the key is not/,
  );
});

test('the names of a site are no node’s', async () => {
  const { publicKey } = await generateKeys();
  const namesOf = (name: string, at: string) => tlsSubject(publicKey, name, at, []).dnsNames;
  assert.ok(namesOf('pc-1', 'a').includes('pc-1.local'));
  for (const at of ['a', 'b']) {
    for (const host of Object.values(siteHosts('a'))) {
      assert.not.ok(namesOf('inkmesh-a', at).includes(host));
      assert.not.ok(namesOf('a', at).includes(host));
    }
  }
  assert.equal(siteHosts('s'.repeat(63)).mdns.split('.')[0]?.length, 63);
  assert.ok(endOf(fresh) > now);
});

test.run();
