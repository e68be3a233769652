/** Circuit relay between real transports: what passes through a relay, and what its rules and their change end. */
import { lpStream } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { relayOf } from '../../mesh/address.ts';
import { encodeStopConnect, hopProtocol, stopProtocol } from '../../mesh/circuit.ts';
import type { Channel, Link } from '../../mesh/ports.ts';
import { echoed, openRules, reserved, soon, startTransport, stopTransports } from '../fakes/transports.ts';
import { type Rogue, startRogue, withRogue } from '../fakes/rogue.ts';
import { waitFor } from '../fakes/processes.ts';

const MiB = 1024 * 1024;
const patience = { deadline_ms: 30_000 };
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

test('a connection to a relay that flaps a hundred times, also while it is asked, leaves nothing behind', async () => {
  let takes = true;
  const hub = await transport(true, { ...open, mayReserve: () => takes });
  const [a, b] = [await transport(false), await transport(false)];
  const through = () => a.addresses().filter((address) => relayOf(address) === hub.peer);
  const lost = async (link: Link) => {
    link.close();
    await waitFor(() => a.links(hub.peer).length + through().length === 0 || undefined, {
      ...patience,
      what: 'the address at the relay to go',
    });
  };
  const dial = () => a.dial(hub.peer, hub.addresses(), soon());
  for (let flap = 0; flap < 100; flap++) {
    takes = flap % 4 !== 0;
    const link = await dial();
    const asking = a.reserveAt(link).then(() => true, () => false);
    // lost before the relay has answered, or refused, or granted
    if (flap % 4 === 1) link.close();
    const granted = await asking;
    if (flap % 4 !== 1) assert.is(granted, takes, `${flap}`);
    assert.ok(through().length <= hub.addresses().length, through().join());
    await lost(link);
  }
  takes = true;
  const address = await reserved(hub, a);
  assert.is((await b.dial(a.peer, [address], soon())).relay, hub.peer);
  assert.is(hub.relayed().reservations, 1);
});

test('who does not read holds its sender back, and the relay keeps a little only', async () => {
  let passed = 0;
  const hub = await transport(true, { ...open, carried: (_from, _to, octets) => passed += octets });
  const [a, b] = [await transport(false), await transport(false)];
  const held: Channel[] = [];
  await a.handle('/test/stuck/1', 4, (channel) => void held.push(channel));
  const link = await b.dial(a.peer, [await reserved(hub, a)], soon());
  const channel = await b.open(link, '/test/stuck/1', soon());
  let written = 0;
  const writing = (async () => {
    for (; written < 64 * MiB; written += MiB) await channel.write(new Uint8Array(MiB));
  })();
  let before = -1;
  await waitFor(async () => {
    const still = passed === before && passed > 0;
    before = passed;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return still && passed === before || undefined;
  }, { ...patience, what: 'the sender to wait' });
  assert.ok(passed < 8 * MiB, `${passed} octets came to the relay`);
  assert.ok(written < 16 * MiB, `${written} octets were taken`);
  let read = 0;
  for (let frame; read < 64 && (frame = await held[0]!.read(MiB, 10_000)) !== undefined; read++) {
    assert.is(frame.length, MiB);
  }
  await writing;
  assert.is(read, 64, 'all of it arrives once it is read');
});

test('what a relay does not grant is counted by why, and costs it nothing', async () => {
  const members = new Set<string>();
  const hub = await transport(true, { ...open, isMember: (peer) => members.has(peer), mayPass: () => false });
  const [a, b] = [await transport(false), await transport(false)];
  assert.instance(await reserved(hub, a).catch((error) => error), Error);
  members.add(a.peer);
  const address = await reserved(hub, a);
  const tries = async () =>
    await b.dial(a.peer, [address], soon()).then(() => assert.unreachable(), () => {});
  await tries();
  members.add(b.peer);
  await tries();
  const rogue = await startRogue();
  const at = { peer: hub.peer, address: `${hub.addresses()[0]}/p2p/${hub.peer}` };
  const frame = (length: number, ...octets: number[]) =>
    Buffer.concat([
      Buffer.from(length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7]),
      Buffer.from(octets),
    ]);
  await withRogue(rogue, async () => {
    // longer than a message may be; a message that is none; a field that is longer than its message; no such type
    for (const octets of [frame(16_000), frame(2, 0xff, 0xff), frame(3, 0x12, 0x7f, 0), frame(2, 8, 9)]) {
      await rogue.send(at, hopProtocol, octets);
    }
  });
  assert.equal(hub.relayed(), {
    reservations: 1,
    circuits: 0,
    joining: 0,
    refused: { admission: 2, policy: 1, malformed: 4 },
  });
});

test('who goes away, or may not pass any more, before his circuit is made has none', async () => {
  let passes = true;
  const hub = await transport(true, { ...open, mayPass: () => passes });
  const [source, target] = [await startRogue(), await startRogue()];
  const askHub = async ({ host }: Rogue, message: Uint8Array) => {
    const address = multiaddr(`${hub.addresses()[0]}/p2p/${hub.peer}`);
    const stream = await (await host.dial(address)).newStream(hopProtocol);
    const framed = lpStream(stream);
    await framed.write(message);
    return { stream, answer: async () => (await framed.read()).subarray() };
  };
  const takes: (() => Promise<void>)[] = [];
  await target.host.handle(stopProtocol, (stream) => {
    // type STATUS, status OK
    takes.push(() => lpStream(stream).write(Uint8Array.of(8, 1, 0x20, 100)));
  });
  // type CONNECT instead of that of the other protocol
  const wanted = encodeStopConnect(target.host.peerId.toMultihash().bytes).with(1, 1);
  const ask = async () => {
    const asked = await askHub(source, wanted);
    const take = await waitFor(() => takes.pop(), { ...patience, what: 'the target to be asked' });
    return { ...asked, take };
  };
  const circuits = () => hub.relayed().circuits;
  const without = () => waitFor(() => circuits() === 0 || undefined, { ...patience, what: 'no circuit' });
  await withRogue(source, () =>
    withRogue(target, async () => {
      await (await askHub(target, Uint8Array.of(8, 0))).answer();
      const gone = await ask();
      assert.is(circuits(), 1);
      gone.stream.abort(new Error('never mind'));
      // the target takes it when the relay knows
      await (await askHub(source, Uint8Array.of(0xff, 0xff))).answer();
      await gone.take();
      await without();
      const refused = await ask();
      passes = false;
      await refused.take();
      // type STATUS, status PERMISSION_DENIED
      assert.equal([...await refused.answer()], [8, 2, 0x28, 0xca, 1]);
      await without();
      passes = true;
      const ended = await ask();
      hub.endRelayed(target.peer);
      await without();
      await ended.take().catch(() => {});
    }));
});

test.run();
