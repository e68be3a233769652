/** Frames over real connections, read late: the sender is held back, and nothing is lost. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readHighWaterBytes } from '../../mesh/limits.ts';
import type { Channel } from '../../mesh/ports.ts';
import { waitFor } from '../fakes/processes.ts';
import { soon, startTransport, stopTransports } from '../fakes/transports.ts';

const MiB = 1024 * 1024;
const frameBytes = MiB / 4;
const frames = 128;
const stall_ms = 30_000;
const patience = { deadline_ms: 60_000 };

const delay_ms = 25;
const servers: Server[] = [];

test.after.each(async () => {
  await stopTransports();
  for (const server of servers.splice(0)) server.close();
});

/** A port that passes on what it gets after a while: over a long way the windows of streams grow. @returns its number */
async function longWay(port: number): Promise<number> {
  const server = createServer((socket) => {
    const on = connect(port, '127.0.0.1');
    for (const [one, other] of [[socket, on], [on, socket]] as const) {
      one.on('data', (part) => setTimeout(() => other.write(part), delay_ms));
      one.on('error', () => {}).on('close', () => setTimeout(() => other.destroy(), 2 * delay_ms));
    }
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A channel with both of its ends, and what ends the connection. */
async function opened(): Promise<{ source: Channel; target: Channel; cut(): Promise<void> }> {
  const [from, to] = [await startTransport(), await startTransport()];
  const box: { target?: Channel } = {};
  await to.handle('/test/late/1', 4, (channel) => void (box.target = channel));
  const port = await longWay(Number(/tcp\/(\d+)/.exec(to.addresses()[0] ?? '')?.[1]));
  const link = await from.dial(to.peer, [`/ip4/127.0.0.1/tcp/${port}`], soon());
  const source = await from.open(link, '/test/late/1', soon());
  await source.write(new Uint8Array(1));
  const target = await waitFor(() => box.target, { ...patience, what: 'the other end' });
  assert.is((await target.read(MiB, stall_ms))?.length, 1);
  return { source, target, cut: () => from.stop() };
}

/** Writes all frames, each filled with its number. @returns how many have been taken so far */
function writing(source: Channel): { taken: number; done: Promise<void> } {
  const state = { taken: 0, done: Promise.resolve() };
  state.done = (async () => {
    for (; state.taken < frames; state.taken++) {
      await source.write(new Uint8Array(frameBytes).fill(state.taken));
    }
    await source.end();
  })();
  return state;
}

/** Resolves when the writer has been waiting for a while. */
async function stuck(writer: { taken: number }): Promise<void> {
  // longer than an answer takes that lets it go on
  let [before, looks] = [-1, 0];
  await waitFor(() => {
    looks = writer.taken === before ? looks + 1 : 0;
    before = writer.taken;
    return looks === 20 || undefined;
  }, { ...patience, what: 'the writer to wait' });
}

test('a reader that stops now and again holds its sender back each time, and gets all of it', async () => {
  const { source, target } = await opened();
  const writer = writing(source);
  let read = 0;
  const readOn = async (count: number) => {
    for (const end = read + count; read < end; read++) {
      assert.equal((await target.read(MiB, stall_ms))?.subarray(0, 1), Uint8Array.of(read));
    }
  };
  for (let round = 0; round < 8; round++) {
    await stuck(writer);
    const waiting = (writer.taken - read) * frameBytes;
    assert.ok(waiting < 6 * readHighWaterBytes, `${waiting} octets are on their way after ${read} frames`);
    await readOn(3 + round % 3);
  }
  await readOn(frames - read);
  await writer.done;
  assert.is(await target.read(MiB, stall_ms), undefined);
});

test('what has come before a connection ends is read, however late', async () => {
  const { source, target, cut } = await opened();
  // more than is read ahead, and less than is on its way without being read
  const count = readHighWaterBytes / frameBytes + 2;
  for (let i = 0; i < count; i++) await source.write(new Uint8Array(frameBytes).fill(i));
  await source.end();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await cut();
  for (let i = 0; i < count; i++) {
    assert.equal((await target.read(MiB, stall_ms))?.subarray(0, 1), Uint8Array.of(i));
  }
  assert.is(await target.read(MiB, stall_ms), undefined);
});

test.run();
