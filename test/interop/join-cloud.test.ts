/** Joining where only a cloud node can be reached: it leads to a registrar, and neither reads nor issues anything. */
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { meshAddress } from '../../mesh/address.ts';
import { createRequest, generateKeys } from '../../mesh/authority.ts';
import { verifyIdentity } from '../../mesh/certificate.ts';
import { serveLead } from '../../mesh/lead.ts';
import { maxJoinerBytes, maxJoinersPerAddress } from '../../mesh/limits.ts';
import { generateHostKey, redeem, type RedeemOptions, renewLapsed } from '../../mesh/mod.ts';
import { policyOf } from '../../mesh/policy.ts';
import type { Invite, Link, Transport } from '../../mesh/ports.ts';
import { Rpc } from '../../mesh/rpc.ts';
import { hashSecret, newSecret } from '../../mesh/token.ts';
import { systemClock } from '../../src/clock.ts';
import { startSquid } from '../fakes/between.ts';
import { type DoorServer, startDoor } from '../fakes/door.ts';
import {
  age_ms,
  certifiedNode,
  type FakeMesh,
  type FakeNode,
  patience_ms,
  startMesh,
} from '../fakes/mesh.ts';
import { anyMethod } from '../fakes/rogue.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { echoed, openRules, soon, startTransport, stopTransports } from '../fakes/transports.ts';

const hour_ms = 3600_000;
const day_ms = 24 * hour_ms;

const doors: DoorServer[] = [];
const open = async () => {
  const at = await startDoor();
  doors.push(at);
  return at;
};

let mesh: FakeMesh;
let registrar: FakeNode;
let cloud: FakeNode;
let at: DoorServer;

test.before(async () => {
  mesh = await startMesh(1);
  [registrar] = mesh.nodes as [FakeNode];
  at = await open();
  cloud = await mesh.add('cloud', { site: 'cloud', roles: ['cloud', 'relay'], door: at.door });
  await mesh.connected();
});

test.after.each(stopTransports);
test.after(async () => {
  await mesh.stop();
  await Promise.all(doors.map((one) => one.stop()));
});

function invite(changes: Partial<Invite> = {}): Uint8Array {
  const secret = newSecret();
  registrar.state.invites.put({
    ...{ secretHash: hashSecret(secret), kind: 'node', site: 'b', user: null, roles: [], usesLeft: 1 },
    ...{ expires_ms: Date.now() + hour_ms, tokenLife_ms: null },
    ...changes,
  });
  return secret;
}

async function joining(secret: Uint8Array, changes: Partial<RedeemOptions> = {}) {
  const { hostKey, peerId } = await generateHostKey();
  const given = await redeem({
    ...{ secret, clock: systemClock, listen: [], hostKey },
    // nobody is to dial that
    subject: { kind: 'node', name: `n-${crypto.randomUUID().slice(0, 8)}`, addresses: ['192.0.2.1:9264'] },
    rootFingerprint: Uint8Array.fromHex(mesh.authority.trust.fingerprint),
    addresses: [at.url],
    request: await createRequest(await generateKeys()),
    ...changes,
  });
  return { given, peerId };
}

test('a machine joins through a cloud node, whose registrar’s site has not even turned relay on', async () => {
  assert.is(policyOf(registrar.mesh.ledger, 'a').relay, false);
  const { given, peerId } = await joining(invite());
  const identity = await verifyIdentity(mesh.authority.trust, given.leaf, given.issuers, Date.now());
  assert.equal(identity.kind === 'node' && [identity.peerId, identity.site], [peerId, 'b']);
  assert.is(given.through, at.url);
  assert.is(given.reachable, null, 'nobody could try');
  assert.is(cloud.mesh.relayed().joining, 1);
  await waitFor(() => cloud.mesh.relayed().circuits === 0 || undefined, {
    ...{ deadline_ms: patience_ms, what: 'the circuit to be gone' },
  });
});

test('so does a user’s device, without a mark of the cloud: it sees no secret', async () => {
  const tokenHash = crypto.getRandomValues(new Uint8Array(32));
  const subject = { kind: 'user', device: crypto.randomUUID(), tokenHash } as const;
  const { given } = await joining(invite({ kind: 'user', user: 'ada' }), { subject });
  const identity = await verifyIdentity(mesh.authority.trust, given.leaf, given.issuers, Date.now());
  assert.equal([given.user, identity.roles], ['ada', []]);
});

test('what the registrar says of a token is heard, and directly is tried first where that is named first', async () => {
  assert.match(await refusalOf(() => joining(newSecret())), /^unauthenticated: this token is not known here/);
  const { given } = await joining(invite(), { addresses: [registrar.address, at.url] });
  assert.is(given.through, null);
});

test('a node whose certificate has lapsed renews it through the cloud', async () => {
  const old = await certifiedNode(mesh.authority, { name: 'old', site: 'b' }, Date.now() - age_ms);
  const { leaf, issuers } = await renewLapsed({
    ...{ ...old, trust: mesh.authority.trust, addresses: [at.url], clock: systemClock },
  });
  const { notAfter } = await verifyIdentity(mesh.authority.trust, leaf, issuers, Date.now());
  assert.ok(notAfter > Date.now() + 80 * day_ms);
});

if (requireTools(['squid'])) {
  test('the way to the cloud may be an HTTP proxy', async () => {
    const squid = await startSquid();
    process.env['HTTPS_PROXY'] = squid.url;
    try {
      assert.is((await joining(invite())).given.through, at.url);
      const tunnelled = () => squid.log().includes(`CONNECT 127.0.0.1:${at.port}`) || undefined;
      await waitFor(tunnelled, { deadline_ms: patience_ms, what: 'the proxy to tell of a tunnel' });
    } finally {
      delete process.env['HTTPS_PROXY'];
      await squid.stop();
    }
  });
}

test('nobody becomes a member over a connection that is there to join', async () => {
  // whoever has not said hello to the cloud yet gets such a one: in mid-transfer it would end
  const keys = await certifiedNode(mesh.authority, { name: 'early', site: 'b' });
  const early = await startTransport({ key: keys.hostKey, listen: [] });
  const { peer } = await early.dial(null, [meshAddress(at.url)], soon());
  const link = await early.dial(registrar.peer, [`${meshAddress(at.url)}/p2p/${peer}/p2p-circuit`], soon());
  assert.ok(link.limited);
  const hello = { leaf: keys.identity.der, issuers: keys.issuers, time_ms: Date.now(), addresses: [] };
  const call = new Rpc(early, systemClock, () => {}).call(link.peer, anyMethod('hello'), hello, { link });
  assert.match(await refusalOf(() => call), /^unavailable: this connection is there to join/);
  assert.not.ok(registrar.mesh.members().some(({ identity }) => identity.peerId === early.peer));
});

test('without a registrar the cloud says so', async () => {
  await registrar.stop();
  assert.match(
    await refusalOf(() => joining(newSecret())),
    /^unavailable: no registrar is connected to the cloud/,
  );
  await registrar.start();
  await mesh.connected();
});

/** A relay that leads to what it likes. */
async function rogueCloud(...registrars: Transport[]): Promise<{ hub: Transport; url: string }> {
  const { door, url } = await open();
  const peers = registrars.map(({ peer }) => peer);
  const rules = { ...openRules, isMember: (peer: string) => peers.includes(peer), registrars: () => peers };
  const hub = await startTransport({ listen: [], relay: true, door }, rules);
  await serveLead(new Rpc(hub, systemClock, () => {}), () => peers);
  for (const one of registrars) await one.dial(hub.peer, [meshAddress(url)], soon());
  return { hub, url };
}

test('the secret is not sent to whom a rogue cloud leads', async () => {
  const impostor = await startTransport();
  const asked: string[] = [];
  for (const method of ['enrol-offer', 'enrol']) {
    await impostor.handle(`/inkmesh/${method}/1`, 4, (channel) => {
      asked.push(method);
      channel.abort(new Error('never mind'));
    });
  }
  const { url } = await rogueCloud(impostor);
  await refusalOf(() => joining(invite(), { addresses: [url] }));
  assert.equal(asked, ['enrol-offer']);
});

test('who is no member gets to registrars only, for a few octets, and few of one address do at a time', async () => {
  const [target, other] = [await startTransport(), await startTransport()];
  const { hub, url } = await rogueCloud(target);
  await other.dial(hub.peer, [meshAddress(url)], soon());
  const through = async (to: Transport): Promise<[Transport, Link]> => {
    const stranger = await startTransport({ listen: [] });
    await stranger.dial(hub.peer, [meshAddress(url)], soon());
    const circuit = `${meshAddress(url)}/p2p/${hub.peer}/p2p-circuit`;
    return [stranger, await stranger.dial(to.peer, [circuit], soon())];
  };
  const refused = (to: Transport) => through(to).then(() => assert.unreachable('it got through'), () => {});
  await refused(other);
  assert.equal(hub.relayed().refused, { admission: 1 });
  const [stranger, link] = await through(target);
  const sent = new Uint8Array(maxJoinerBytes / 4);
  assert.equal(await echoed(stranger, link, sent), sent);
  const more = await echoed(stranger, link, sent).catch(() => undefined);
  assert.is.not(more?.length, sent.length, 'it was let through');
  await waitFor(() => hub.relayed().circuits === 0 || undefined, {
    ...{ deadline_ms: patience_ms, what: 'the circuit to end' },
  });
  for (let n = 0; n < maxJoinersPerAddress; n++) await through(target);
  await refused(target);
  assert.equal(hub.relayed().refused, { admission: 1, address: 1 });
  assert.is(hub.relayed().joining, 1 + maxJoinersPerAddress);
});

test.run();
