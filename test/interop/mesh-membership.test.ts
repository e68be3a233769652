/** Certificates are renewed while nodes run, registrars make registrars, and whoever is revoked is refused everywhere. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createRequest, generateKeys } from '../../mesh/authority.ts';
import { type NodeIdentity, verifyIdentity } from '../../mesh/certificate.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import { renewLapsed } from '../../mesh/lapsed.ts';
import { generateHostKey, redeem } from '../../mesh/mod.ts';
import { nameKind, nameTaken } from '../../mesh/node-names.ts';
import { viewPurpose } from '../../mesh/protocol.ts';
import { renewPurpose } from '../../mesh/renew.ts';
import { signRequest } from '../../mesh/request.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { cancelProof, tokenHash, tokenKind } from '../../mesh/submit-token.ts';
import { hashSecret, newSecret } from '../../mesh/token.ts';
import { systemClock } from '../../src/clock.ts';
import {
  certifiedNode,
  claim,
  type FakeMesh,
  type FakeNode,
  patience_ms,
  startMesh,
  store,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { fakeUser, refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

const day_ms = 24 * 3600_000;

let mesh: FakeMesh;
let registrar: FakeNode;

test.before(async () => {
  mesh = await startMesh(3);
  [registrar] = mesh.nodes as [FakeNode];
});

test.after(async () => await mesh.stop());

const certified = (name: string, age_ms: number) =>
  certifiedNode(mesh.authority, { name }, Date.now() - age_ms);

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  return await waitFor(look, { deadline_ms: patience_ms, what });
}

async function revoke(what: 'node' | 'device' | 'user', id: string): Promise<void> {
  const subject = revocationOf(what, id);
  await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, subject, {});
  await untilKnown(mesh.nodes.filter(({ running }) => running), 'revoked', subject);
}

/** Redeems a fresh token for a new machine at a registrar. */
async function join(at: FakeNode, name: string) {
  const secret = newSecret();
  at.state.invites.put({
    ...{ secretHash: hashSecret(secret), kind: 'node', site: 'a', user: null, roles: [], usesLeft: 1 },
    ...{ expires_ms: Date.now() + day_ms, tokenLife_ms: null },
  });
  return await redeem({
    ...{ secret, clock: systemClock, listen: [], addresses: [at.address] },
    hostKey: (await generateHostKey()).hostKey,
    rootFingerprint: Uint8Array.fromHex(mesh.authority.trust.fingerprint),
    request: await createRequest(await generateKeys()),
    subject: { kind: 'node', name, addresses: [] },
  });
}

test('a node has its certificate renewed in time, keeps it, and is known by it without a restart', async () => {
  const node = await mesh.add('due', { keys: await certified('due', 70 * day_ms) });
  const [given] = await until(
    'the certificate to be renewed',
    () => node.kept.length > 0 ? node.kept : undefined,
  );
  await until(
    'the new one to be in use',
    () => node.mesh.self.notAfter > Date.now() + 80 * day_ms || undefined,
  );
  assert.equal(given?.leaf, node.mesh.self.der);
  assert.is(node.mesh.self.peerId, node.peer);
  for (const other of mesh.nodes) {
    await until(`${other.name} to know the new one`, () => {
      const known = other.mesh.ledger.identity(node.peer);
      return known !== undefined && known.notAfter === node.mesh.self.notAfter || undefined;
    });
  }
  // what it says from now on is heard, and a newcomer accepts it
  const newcomer = await mesh.add('newcomer');
  await until(
    'the newcomer to reach it',
    () => newcomer.mesh.members().some(({ identity }) => identity.peerId === node.peer) || undefined,
  );
  await mesh.drop(newcomer);
  await mesh.drop(node);
});

test('a registrar renews its own', async () => {
  const keys = await certifiedNode(
    mesh.authority,
    { name: 'r1', roles: ['registrar'] },
    Date.now() - 70 * day_ms,
  );
  const alone = await mesh.add('r1', { keys, peers: [], authority: mesh.authority });
  await until('it to be renewed', () => alone.mesh.self.notAfter > Date.now() + 80 * day_ms || undefined);
  assert.equal(alone.mesh.self.roles, ['registrar']);
  await mesh.drop(alone);
});

const lapsed = (identity: NodeIdentity, keys: { hostKey: Uint8Array; issuers: Uint8Array[] }) =>
  renewLapsed({
    ...{ hostKey: keys.hostKey, issuers: keys.issuers, identity, clock: systemClock },
    trust: mesh.authority.trust,
    addresses: ['127.0.0.1:1', mesh.nodes[1]!.address, registrar.address],
  });

test('a node that has lapsed gets a new certificate from outside, unless it is revoked or too late', async () => {
  const keys = await certified('lapsed', 100 * day_ms);
  const given = await lapsed(keys.identity, keys);
  assert.equal(given.issuers, [mesh.authority.meshIssuer.der]);
  await revoke('node', keys.identity.peerId);
  assert.match(await refusalOf(() => lapsed(keys.identity, keys)), /^forbidden: this node is revoked/);
});

test('nobody renews with the certificate of another', async () => {
  const [mine, theirs] = [await certified('mine', 70 * day_ms), await certified('theirs', 70 * day_ms)];
  assert.match(await refusalOf(() => lapsed(theirs.identity, mine)), /^unauthenticated: /);
});

test('a device has its credential renewed through any node, and not when it is revoked', async () => {
  const [, through] = mesh.nodes as [FakeNode, FakeNode];
  const credential = await fakeUser(mesh.authority, 'ada', Date.now() - 70 * day_ms);
  const proof = (audience: string) => signRequest(credential, { ...renewPurpose, audience }, Date.now());
  for (const node of [registrar, through]) {
    const { leaf } = await node.mesh.membership.renewDevice(await proof(node.peer));
    assert.not.equal(leaf, credential.certificate);
  }
  const wrong = await proof(registrar.peer);
  assert.match(await refusalOf(() => through.mesh.membership.renewDevice(wrong)), /^forbidden: /);
  await revoke('user', 'ada');
  const late = await proof(through.peer);
  assert.match(await refusalOf(() => through.mesh.membership.renewDevice(late)), /^forbidden: .*revoked/);
});

test('a second registrar enrols like the first, also after a restart of the first', async () => {
  const [, second] = mesh.nodes as [FakeNode, FakeNode];
  assert.match(await refusalOf(() => join(second, 'too-early')), /^unavailable: this node is no registrar/);
  await until('the registrar to know its recipient', () => registrar.mesh.ledger.sealOf(second.peer));
  await registrar.mesh.membership.appoint(second.peer);
  assert.ok(second.mesh.membership.isRegistrar());
  assert.ok(second.mesh.self.roles.includes('registrar'));
  assert.is(second.keptAuthority?.root !== undefined, true, 'it has kept the issuers');
  assert.is((await join(second, 'by-the-second')).site, 'a');
  const elsewhere = () => second.mesh.membership.appoint('nobody');
  assert.match(await refusalOf(elsewhere), /^not-found: /);
});

test('only a registrar makes a registrar', async () => {
  const [, , third] = mesh.nodes as [FakeNode, FakeNode, FakeNode];
  const appointing = () => third.mesh.membership.appoint(registrar.peer);
  assert.match(await refusalOf(appointing), /^unavailable: this node is no registrar/);
});

test('of two machines that join under one name at once one gets it, at one registrar or at two', async () => {
  const [, second] = mesh.nodes as [FakeNode, FakeNode];
  const both = await Promise.all([join, join].map((one) => refusalOf(() => one(registrar, 'twin'))));
  assert.is(both.filter((refused) => refused === '').length, 1, both.join('; '));
  assert.match(both.join(), /another node is called "twin"/);
  // two registrars that have not heard each other give out one name: the earlier counts, wherever it is asked
  const peers = [(await generateHostKey()).peerId, (await generateHostKey()).peerId] as const;
  const facts = await Promise.all(
    [registrar, second].map((node, i) =>
      node.mesh.ledger.state(nameKind, () => directoryDoc, 'double', { peer: peers[i] ?? '' })
    ),
  );
  await until(
    'both to be known',
    () => mesh.nodes.every((node) => node.mesh.ledger.about('name', 'double').length === 2) || undefined,
  );
  const answers = mesh.nodes.map(({ mesh: { ledger } }) =>
    peers.map((peer) => nameTaken(ledger, 'double', peer))
  );
  assert.equal(answers, mesh.nodes.map(() => answers[0]));
  assert.is(
    answers[0]?.filter((taken) => taken).length,
    1,
    JSON.stringify(facts.map(({ time_ms }) => time_ms)),
  );
  // a name is free again when the node that had it is revoked
  const winner = peers[answers[0]?.indexOf(false) ?? 0] ?? '';
  await revoke('node', winner);
  for (const node of mesh.nodes) {
    assert.not(nameTaken(node.mesh.ledger, 'double', peers.find((peer) => peer !== winner) ?? ''));
  }
});

test('a revoked device claims nothing and sees nothing, wherever it asks', async () => {
  const eve = await user(mesh, 'eve');
  const job = await store(mesh, registrar, { owner: eve });
  const device = await deviceIn(eve.certificate);
  await revoke('device', device);
  for (const node of mesh.nodes) {
    assert.match(await refusalOf(() => claim(node, job)), /revoked/, node.name);
    const proof = await signRequest(
      eve,
      { ...viewPurpose, audience: registrar.peer },
      Date.now(),
    );
    assert.match(await refusalOf(() => node.mesh.custody.view(registrar.peer, { proof })), /revoked/);
  }
  // the user is not: another device of theirs prints it
  const other = await user(mesh, 'eve');
  const claimed = await claim(registrar, { ...job, owner: other });
  claimed.yield();
});

test('a revoked user cancels nothing by an address that a print dialog has kept', async () => {
  const token = `token ${crypto.randomUUID()}`;
  const hash = tokenHash(token);
  const device = crypto.randomUUID();
  await registrar.mesh.ledger.state(tokenKind, () => directoryDoc, hash.toHex(), {
    ...{ user: 'tom', device, expires_ms: Date.now() + day_ms },
  });
  await untilKnown(mesh.nodes, 'token', hash.toHex());
  const job = await store(mesh, registrar, {
    owner: await user(mesh, 'tom'),
    token,
    document: randomBytes(9000),
  });
  await revoke('user', 'tom');
  const cancelling = () => registrar.mesh.claimant.claim(job.id, { proof: cancelProof(token, job.id) }, '-');
  assert.match(await refusalOf(cancelling), /revoked/);
});

async function deviceIn(certificate: Uint8Array): Promise<string> {
  const { trust, meshIssuer } = mesh.authority;
  const identity = await verifyIdentity(trust, certificate, [meshIssuer.der], Date.now());
  if (identity.kind !== 'user') throw new TypeError('not a user');
  return identity.device;
}

test.run();
