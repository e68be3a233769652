import { Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createTransport, generateHostKey } from '../../mesh/mod.ts';
import type { Transport } from '../../mesh/ports.ts';
import { systemClock } from '../../src/clock.ts';

const soon = () => AbortSignal.timeout(10_000);
const frames = Array.from({ length: 40 }, (_, i) => new Uint8Array(100).fill(i));

async function transport(): Promise<Transport> {
  const { hostKey } = await generateHostKey();
  return await createTransport({
    ...{ key: hostKey, listen: ['/ip4/127.0.0.1/tcp/0'], organisation: 'a'.repeat(64) },
    ...{ mdns: false, relay: false, clock: systemClock },
  });
}

test('small frames go to the system together, in order, and none is lost when the node stops', async () => {
  const [from, to] = [await transport(), await transport()];
  const { write } = Socket.prototype;
  let writes = 0;
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>) {
    writes++;
    return write.apply(this, args);
  } as typeof write;
  try {
    const received: number[] = [];
    const done = new Promise<void>((resolve) =>
      void to.handle('/test/1', 1, async (channel) => {
        for (let frame; (frame = await channel.read(1000, 10_000)) !== undefined;) {
          received.push(frame[0] ?? -1);
        }
        resolve();
      })
    );
    for (const one of [from, to]) {
      one.report({ opened: () => {}, closed: () => {}, found: () => {} });
      await one.start();
    }
    const link = await from.dial(to.peer, to.addresses(), soon());
    const channel = await from.open(link, '/test/1', soon());
    writes = 0;
    for (const frame of frames) void channel.write(frame);
    await channel.end();
    await from.stop();
    await done;
    assert.equal(received, frames.map((_, i) => i));
    assert.ok(writes < frames.length / 2, `${writes} writes`);
  } finally {
    Socket.prototype.write = write;
    await to.stop();
  }
});

test.run();
