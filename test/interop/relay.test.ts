/** Circuit relay between real transports: what passes through a relay, and what its rules and their change end. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { relayOf } from '../../mesh/address.ts';
import { createTransport } from '../../mesh/host.ts';
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Channel, Link, RelayRules, Transport } from '../../mesh/ports.ts';
import { systemClock } from '../../src/clock.ts';
import { waitFor } from '../fakes/processes.ts';

const echo = '/test/echo/1';
const patience = { deadline_ms: 30_000 };
const open: RelayRules = { mayReserve: () => true, mayPass: () => true, trusts: () => true };
const running: Transport[] = [];

async function transport(relay: boolean, rules: RelayRules): Promise<Transport> {
  const hostKey = privateKeyToProtobuf(await generateKeyPair('Ed25519'));
  const made = await createTransport({
    ...{ key: hostKey, listen: ['/ip4/127.0.0.1/tcp/0'], organisation: '0'.repeat(64), mdns: false, relay },
    clock: systemClock,
  });
  made.relayBy(rules);
  await made.handle(echo, 4, (channel) => void answer(channel));
  await made.start();
  running.push(made);
  return made;
}

async function answer(channel: Channel): Promise<void> {
  try {
    for (let frame = await channel.read(1 << 20, 5000); frame; frame = await channel.read(1 << 20, 5000)) {
      await channel.write(frame);
    }
    await channel.end();
  } catch (error) {
    channel.abort(error as Error);
  }
}

const soon = () => AbortSignal.timeout(5000);

/** What comes back over a link, octet for octet. */
async function echoed(from: Transport, link: Link, sent: Uint8Array): Promise<Uint8Array> {
  const channel = await from.open(link, echo, soon());
  await channel.write(sent);
  const got = await channel.read(1 << 20, 5000);
  await channel.end();
  return got ?? new Uint8Array(0);
}

/** A node that has itself reached through a relay, and where. */
async function reserved(relay: Transport, node: Transport): Promise<string> {
  const link = await node.dial(relay.peer, relay.addresses(), soon());
  await node.reserveAt(link);
  return await waitFor(() => node.addresses().find((address) => relayOf(address) === relay.peer), {
    ...patience,
    what: 'an address at the relay',
  });
}

test.after.each(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

test('a node is reached through a relay, with more than circuit relay usually lets pass', async () => {
  const [hub, a, b] = [
    await transport(true, open),
    await transport(false, open),
    await transport(false, open),
  ];
  const address = await reserved(hub, a);
  const link = await b.dial(a.peer, [address], soon());
  assert.is(link.relay, hub.peer);
  assert.is(link.peer, a.peer);
  const sent = crypto.getRandomValues(new Uint8Array(64 * 1024));
  for (let i = 0; i < 16; i++) assert.equal(await echoed(b, link, sent), sent);
  assert.is(a.links(b.peer)[0]?.relay, hub.peer, 'both ends know that it is relayed');
});

test('a relay takes nobody whom its rules refuse', async () => {
  const hub = await transport(true, { ...open, mayReserve: () => false });
  const a = await transport(false, open);
  const link = await a.dial(hub.peer, hub.addresses(), soon());
  try {
    await a.reserveAt(link);
    assert.unreachable('the reservation was made');
  } catch (error) {
    assert.instance(error, Error);
  }
  assert.is(a.addresses().find((address) => relayOf(address) !== null), undefined);
});

test('a relay lets nothing pass that its rules refuse, and a node takes nothing from a relay that it does not trust', async () => {
  let passes = false;
  let trusted = true;
  const hub = await transport(true, { ...open, mayPass: () => passes });
  const a = await transport(false, { ...open, trusts: () => trusted });
  const b = await transport(false, open);
  const address = await reserved(hub, a);
  const refused = async () => {
    const error = await b.dial(a.peer, [address], soon()).then(() => undefined, (thrown: Error) => thrown);
    assert.ok(error, 'the connection was made');
  };
  await refused();
  passes = true;
  trusted = false;
  await refused();
  trusted = true;
  assert.is((await b.dial(a.peer, [address], soon())).relay, hub.peer);
});

test('what passes through a relay ends at once when it is told so', async () => {
  const [hub, a, b] = [
    await transport(true, open),
    await transport(false, open),
    await transport(false, open),
  ];
  const link = await b.dial(a.peer, [await reserved(hub, a)], soon());
  await echoed(b, link, new Uint8Array(10));
  hub.endRelayed(a.peer);
  await waitFor(() => b.links(a.peer).length === 0 && a.links(b.peer).length === 0 || undefined, {
    ...patience,
    what: 'the relayed connection to end at both ends',
  });
  assert.is(b.links(hub.peer).length, 1, 'the connection to the relay itself stays');
});

test('a node that has lost its relay can be reached through it again', async () => {
  const [hub, a, b] = [
    await transport(true, open),
    await transport(false, open),
    await transport(false, open),
  ];
  await reserved(hub, a);
  for (const link of a.links(hub.peer)) link.close();
  await waitFor(() => a.addresses().every((address) => relayOf(address) === null) || undefined, {
    ...patience,
    what: 'the address at the relay to go',
  });
  const link = await b.dial(a.peer, [await reserved(hub, a)], soon());
  assert.is(link.relay, hub.peer);
});

test.run();
