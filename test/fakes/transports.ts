/** Transports of real nodes that answer one protocol, an echo, and nothing of inkmesh. */
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { relayOf } from '../../mesh/address.ts';
import { createTransport, type HostOptions } from '../../mesh/host.ts';
import type { Channel, Link, RelayRules, Transport } from '../../mesh/ports.ts';
import { systemClock } from '../../src/clock.ts';
import { waitFor } from './processes.ts';

const echo = '/test/echo/1';
const wait_ms = 10_000;
const running: Transport[] = [];

/** Everybody may do everything. */
export const openRules: RelayRules = {
  ...{ isMember: () => true, mayReserve: () => true, mayPass: () => true, trusts: () => true },
  ...{ registrars: () => [], carried: () => {} },
};

export async function startTransport(
  options: Partial<HostOptions> = {},
  rules: RelayRules = openRules,
): Promise<Transport> {
  const made = await createTransport({
    key: privateKeyToProtobuf(await generateKeyPair('Ed25519')),
    ...{ listen: ['/ip4/127.0.0.1/tcp/0'], organisation: '0'.repeat(64), mdns: false, relay: false },
    clock: systemClock,
    ...options,
  });
  made.relayBy(rules);
  await made.handle(echo, 4, (channel) => void answer(channel));
  await made.start();
  running.push(made);
  return made;
}

export async function stopTransports(): Promise<void> {
  await Promise.all(running.splice(0).map((one) => one.stop()));
}

async function answer(channel: Channel): Promise<void> {
  try {
    for (
      let frame = await channel.read(1 << 20, wait_ms);
      frame;
      frame = await channel.read(1 << 20, wait_ms)
    ) {
      await channel.write(frame);
    }
    await channel.end();
  } catch (error) {
    channel.abort(error as Error);
  }
}

export const soon = (): AbortSignal => AbortSignal.timeout(wait_ms);

/** A channel whose other end sends everything back. */
export function echoing(from: Transport, link: Link): Promise<Channel> {
  return from.open(link, echo, soon());
}

/** What comes back over a link, octet for octet. */
export async function echoed(from: Transport, link: Link, sent: Uint8Array): Promise<Uint8Array> {
  const channel = await echoing(from, link);
  await channel.write(sent);
  const got = await channel.read(1 << 20, wait_ms);
  await channel.end();
  return got ?? new Uint8Array(0);
}

/** Has a node reached through a relay. @returns where */
export async function reserved(relay: Transport, node: Transport): Promise<string> {
  const link = await node.dial(relay.peer, relay.addresses(), soon());
  await node.reserveAt(link);
  return await waitFor(() => node.addresses().find((address) => relayOf(address) === relay.peer), {
    ...{ deadline_ms: wait_ms, what: 'an address at the relay' },
  });
}
