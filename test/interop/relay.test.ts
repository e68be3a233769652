/** Circuit relay between real transports: what passes through a relay, and what its rules and their change end. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { relayOf } from '../../mesh/address.ts';
import { echoed, openRules, reserved, soon, startTransport, stopTransports } from '../fakes/transports.ts';
import { waitFor } from '../fakes/processes.ts';

const patience = { deadline_ms: 10_000 };
const open = openRules;
const transport = (relay: boolean, rules = open) => startTransport({ relay }, rules);

test.after.each(stopTransports);

test('a node is reached through a relay, with more than circuit relay usually lets pass', async () => {
  const [hub, a, b] = [
    await transport(true),
    await transport(false),
    await transport(false),
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
  const a = await transport(false);
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
  const b = await transport(false);
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
    await transport(true),
    await transport(false),
    await transport(false),
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
    await transport(true),
    await transport(false),
    await transport(false),
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
