import { systemClock } from '../../src/clock.ts';
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createRequest, generateKeys } from '../../mesh/authority.ts';
import { verifyIdentity } from '../../mesh/certificate.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import { tokenLife_ms } from '../../mesh/limits.ts';
import { generateHostKey, redeem, type RedeemOptions } from '../../mesh/mod.ts';
import type { Invite } from '../../mesh/ports.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { deviceOf } from '../../mesh/submit-token.ts';
import { hashSecret, newSecret } from '../../mesh/token.ts';
import { certifiedNode, type FakeMesh, type FakeNode, type NodeKeys, startMesh } from '../fakes/mesh.ts';
import { fakeAuthority, refusalOf } from '../fakes/organisation.ts';
import { anyMethod, type Rogue, startRogue } from '../fakes/rogue.ts';

const hour_ms = 3600_000;

let mesh: FakeMesh;
let registrar: FakeNode;
test.before(async () => {
  mesh = await startMesh(2);
  [registrar] = mesh.nodes as [FakeNode];
});

test.after(async () => await mesh.stop());

function invite(changes: Partial<Invite> = {}): Uint8Array {
  const secret = newSecret();
  registrar.state.invites.put({
    ...{ secretHash: hashSecret(secret), kind: 'node', site: 'a', user: null, roles: [], usesLeft: 1 },
    ...{ expires_ms: Date.now() + hour_ms, tokenLife_ms: null },
    ...changes,
  });
  return secret;
}

const invitation = (user = 'ada', changes: Partial<Invite> = {}) =>
  invite({ kind: 'user', user, ...changes });

const usesLeft = (secret: Uint8Array) => registrar.state.invites.get(hashSecret(secret))?.usesLeft;

type Changes = Partial<RedeemOptions> & { name?: string };

async function join(secret: Uint8Array, changes: Changes = {}) {
  const { name = `n-${crypto.randomUUID().slice(0, 8)}`, ...rest } = changes;
  const options = await redemption(secret, { kind: 'node', name, addresses: [] });
  return await redeem({ ...options, ...rest });
}

async function login(secret: Uint8Array, device: string = crypto.randomUUID(), tokenHash = randomBytes(32)) {
  return await redeem(
    await redemption(secret, { kind: 'user', device, tokenHash: new Uint8Array(tokenHash) }),
  );
}

async function redemption(secret: Uint8Array, subject: RedeemOptions['subject']): Promise<RedeemOptions> {
  return {
    ...{ secret, subject, clock: systemClock, listen: [] },
    hostKey: (await generateHostKey()).hostKey,
    rootFingerprint: Uint8Array.fromHex(mesh.authority.trust.fingerprint),
    addresses: [registrar.address],
    request: await createRequest(await generateKeys()),
  };
}

test('a join token makes a node of the site and the roles that it was given for', async () => {
  const { hostKey, peerId } = await generateHostKey();
  const secret = invite({ site: 'b', roles: ['front'] });
  const given = await join(secret, { name: 'b1', hostKey });
  const identity = await verifyIdentity(mesh.authority.trust, given.leaf, given.issuers, Date.now());
  if (identity.kind !== 'node') throw new Error('not a node');
  assert.is(identity.peerId, peerId);
  assert.is(identity.site, 'b');
  assert.is(identity.name, 'b1');
  assert.equal(identity.roles, ['front']);
  assert.is(given.trust.fingerprint, mesh.authority.trust.fingerprint);
  assert.is(usesLeft(secret), 0);
});

test('an invitation makes a device of its user', async () => {
  const device = crypto.randomUUID();
  const hash = randomBytes(32);
  const given = await login(invitation('ada'), device, hash);
  const identity = await verifyIdentity(mesh.authority.trust, given.leaf, given.issuers, Date.now());
  assert.is(identity.kind === 'user' && identity.user, 'ada');
  assert.is(given.tls, undefined);
  const { expires_ms = 0, ...owner } = deviceOf(registrar.mesh.ledger, hash) ?? {};
  assert.equal(owner, { user: 'ada', device });
  const left_ms = expires_ms - Date.now();
  assert.ok(left_ms > 0 && left_ms <= tokenLife_ms && left_ms > tokenLife_ms - hour_ms, String(left_ms));
});

test('an invitation says how long the submit token holds', async () => {
  const hash = randomBytes(32);
  await login(invitation('ada', { tokenLife_ms: 5000 }), crypto.randomUUID(), hash);
  const left_ms = (deviceOf(registrar.mesh.ledger, hash)?.expires_ms ?? Infinity) - Date.now();
  assert.ok(left_ms <= 5000, String(left_ms));
});

test('a secret that nobody gave out is refused, and so is one that has expired', async () => {
  const unknown = /^unauthenticated: this token is not known here/;
  assert.match(await refusalOf(() => join(newSecret())), unknown);
  assert.match(await refusalOf(() => login(newSecret())), unknown);
  const late = invite({ expires_ms: Date.now() - 1 });
  assert.match(await refusalOf(() => join(late)), /^unauthenticated: this token has expired/);
  assert.is(usesLeft(late), 1);
});

test('a used token is refused, to the machine that has used it too', async () => {
  const secret = invite();
  const { hostKey } = await generateHostKey();
  await join(secret, { hostKey, name: 'twice' });
  assert.match(await refusalOf(() => join(secret)), /^unauthenticated: this token has been used up/);
  const again = await refusalOf(() => join(secret, { hostKey, name: 'twice' }));
  assert.match(again, /^unauthenticated: this token has been used up/);
  const forUser = invitation();
  await login(forUser);
  assert.match(await refusalOf(() => login(forUser)), /^unauthenticated: this token has been used up/);
});

test('of two machines that redeem a token at once one gets in', async () => {
  const secret = invite();
  const answers = await Promise.all([1, 2, 3].map(() => refusalOf(() => join(secret))));
  assert.is(answers.filter((answer) => answer === '').length, 1);
  assert.is(answers.filter((answer) => answer.includes('used up')).length, 2);
});

test("a user's invitation makes no node, a join token no user, and neither is spent by trying", async () => {
  const [forUser, forNode] = [invitation(), invite()];
  assert.match(await refusalOf(() => join(forUser)), /^unauthenticated: this token is not known here/);
  assert.match(await refusalOf(() => login(forNode)), /^unauthenticated: this token is not known here/);
  assert.equal([usesLeft(forUser), usesLeft(forNode)], [1, 1]);
});

test('a name that another node has is refused, and the token is not spent', async () => {
  const secret = invite();
  assert.match(await refusalOf(() => join(secret, { name: 'a2' })), /^conflict: another node is called "a2"/);
  assert.is(usesLeft(secret), 1);
});

test('a request that does not prove its key is refused, and the token is not spent', async () => {
  const secret = invite();
  const request = await createRequest(await generateKeys());
  request[request.length - 1] = (request.at(-1) ?? 0) ^ 1;
  for (const wrong of [request, randomBytes(200)]) {
    assert.match(
      await refusalOf(() => join(secret, { request: wrong })),
      /^bad-request: the certificate request/,
    );
  }
  assert.is(usesLeft(secret), 1);
});

test('a submit token that another device has gets no certificate, and the invitation is not spent', async () => {
  const hash = randomBytes(32);
  await login(invitation('ada'), crypto.randomUUID(), hash);
  const secret = invitation('mallory');
  const refused = await refusalOf(() => login(secret, crypto.randomUUID(), hash));
  assert.match(refused, /^conflict: this submit token is known already/);
  assert.is(usesLeft(secret), 1);
});

test('nobody enrols as a revoked user, and a revoked node does not come back', async () => {
  const revoke = (subject: string) =>
    registrar.mesh.ledger.state(revokedKind, () => directoryDoc, subject, {});
  await revoke(revocationOf('user', 'tom'));
  assert.match(await refusalOf(() => login(invitation('tom'))), /^forbidden: the user tom is revoked/);
  const { hostKey, peerId } = await generateHostKey();
  await join(invite(), { hostKey, name: 'stolen' });
  await revoke(revocationOf('node', peerId));
  assert.match(
    await refusalOf(() => join(invite(), { hostKey, name: 'stolen' })),
    /^forbidden: this node is revoked/,
  );
  // its name is free for the machine that takes its place
  assert.is((await join(invite(), { name: 'stolen' })).site, 'a');
});

test('a node that is no registrar enrols nobody', async () => {
  const secret = invite();
  const answer = await refusalOf(() => join(secret, { addresses: [mesh.nodes[1]!.address] }));
  assert.match(answer, /^unavailable: /);
  assert.is(usesLeft(secret), 1);
});

/** A peer that offers to enrol, and notes who falls for it. */
async function fakeRegistrar(
  hostKey: Uint8Array,
  offer: unknown,
): Promise<{ rogue: Rogue; secrets: unknown[] }> {
  const rogue = await startRogue({ hostKey, listen: true });
  const secrets: unknown[] = [];
  await rogue.rpc.handle(anyMethod('enrol-offer'), () => Promise.resolve({ reply: offer }));
  await rogue.rpc.handle(anyMethod('enrol'), ({ request }) => {
    secrets.push(request);
    return Promise.reject(new InkmeshError('busy', 'thank you'));
  });
  return { rogue, secrets };
}

const offerOf = (root: Uint8Array, { identity, issuers }: NodeKeys) => ({
  root,
  leaf: identity.der,
  issuers,
});

const pretenders: Record<string, { offer: () => Promise<[Uint8Array, unknown]>; refusal: RegExp }> = {
  'a registrar of another organisation': {
    offer: async () => {
      const other = await fakeAuthority('Test works', Date.now());
      const keys = await certifiedNode(other, { name: 'a1', roles: ['registrar'] });
      return [keys.hostKey, offerOf(other.trust.root, keys)];
    },
    refusal: /^unauthenticated: the node at this address belongs to another organisation/,
  },
  'a registrar of another organisation that shows our root': {
    offer: async () => {
      const other = await fakeAuthority('Test works', Date.now());
      const keys = await certifiedNode(other, { name: 'a1', roles: ['registrar'] });
      return [keys.hostKey, offerOf(mesh.authority.trust.root, keys)];
    },
    refusal: /^unauthenticated: /,
  },
  "a peer that shows the registrar's own certificate": {
    offer: async () => {
      const { hostKey } = await generateHostKey();
      return [hostKey, offerOf(mesh.authority.trust.root, registrar.keys)];
    },
    refusal: /^unauthenticated: the node at this address is not a registrar/,
  },
  'a node of ours that is no registrar': {
    offer: async () => {
      const keys = await certifiedNode(mesh.authority, { name: 'a8' });
      return [keys.hostKey, offerOf(mesh.authority.trust.root, keys)];
    },
    refusal: /^unauthenticated: the node at this address is not a registrar/,
  },
  'a peer that shows nothing that makes sense': {
    offer: async () => [(await generateHostKey()).hostKey, { root: randomBytes(99) }],
    refusal: /^bad-request: /,
  },
};

for (const [name, { offer, refusal }] of Object.entries(pretenders)) {
  test(`the secret is not sent to ${name}`, async () => {
    const { rogue, secrets } = await fakeRegistrar(...await offer());
    try {
      const secret = invite();
      assert.match(await refusalOf(() => join(secret, { addresses: [rogue.address ?? ''] })), refusal);
      assert.equal(secrets, []);
    } finally {
      await rogue.stop();
    }
  });
}

test('the next address is tried when one is not reached, or is not of the organisation', async () => {
  const other = await fakeAuthority('Other works', Date.now());
  const keys = await certifiedNode(other, { name: 'a1', roles: ['registrar'] });
  const { rogue } = await fakeRegistrar(keys.hostKey, offerOf(other.trust.root, keys));
  try {
    const addresses = ['127.0.0.1:1', rogue.address ?? '', registrar.address];
    assert.is((await join(invite(), { addresses })).site, 'a');
  } finally {
    await rogue.stop();
  }
});

test.run();
