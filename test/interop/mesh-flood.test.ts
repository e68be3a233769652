import type { Stream } from '@libp2p/interface';
import { test } from 'uvu';
import { maxConnections, strangerLife_ms } from '../../mesh/limits.ts';
import { type FakeMesh, type FakeNode, patience_ms, prints, startMesh, store, user } from '../fakes/mesh.ts';
import { floodWithPings } from '../fakes/ping-flood.ts';
import { waitFor } from '../fakes/processes.ts';
import { type Rogue, startRogue, withRogue } from '../fakes/rogue.ts';

let mesh: FakeMesh;
let registrar: FakeNode;

test.before(async () => {
  mesh = await startMesh(3);
  [registrar] = mesh.nodes as [FakeNode];
});

test.after(async () => await mesh.stop());

const frame = (length: number) => {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length);
  return prefix;
};

/** A job goes through while whatever the test has done goes on. */
async function worksOn(): Promise<void> {
  await mesh.connected();
  await prints(await store(mesh, mesh.nodes[1]!, { owner: await user(mesh, 'ada') }), mesh.nodes[2]!);
}

/** Resolves when the node has ended a stream. */
async function untilEnded(stream: Stream, deadline_ms: number): Promise<void> {
  const ended = () => stream.status !== 'open' || stream.remoteWriteStatus !== 'writable';
  await waitFor(() => ended() || undefined, { deadline_ms, what: 'the node to end the stream' });
}

test('thousands of streams of a stranger are cut off, and members are served meanwhile', async () => {
  await withRogue(await startRogue(), async (rogue) => {
    const streams = async (protocol: string, count: number) => {
      const opened = Array.from({ length: count }, () => rogue.stream(registrar, protocol));
      return (await Promise.allSettled(opened)).flatMap((one) =>
        one.status === 'fulfilled' ? [one.value] : []
      );
    };
    const held: Stream[] = [];
    for (let round = 0; round < 20; round++) {
      for (const method of ['hello', 'vote']) held.push(...await streams(`/inkmesh/${method}/1`, 50));
    }
    for (const stream of held) {
      try {
        stream.send(frame(60_000));
      } catch {
        // reset already
      }
    }
    await worksOn();
    const alive = () =>
      held.filter(({ status, protocol }) => status === 'open' && protocol.includes('hello'));
    await waitFor(() => alive().length <= 2 || undefined, {
      deadline_ms: patience_ms,
      what: 'streams to be reset',
    });
  });
});

test('who asks for answers and reads none is cut off', async () => {
  // long before a stranger's time is over
  await floodWithPings(registrar.address, AbortSignal.timeout(strangerLife_ms / 2));
  await worksOn();
});

test('a request that never ends is given up', async () => {
  await withRogue(await startRogue(), async (rogue) => {
    const stream = await rogue.stream(registrar, '/inkmesh/hello/1');
    stream.send(Buffer.concat([frame(60_000), Buffer.of(1)]));
    await worksOn();
    await untilEnded(stream, 20_000);
  });
});

test('a member gets in although strangers hold every connection that a node takes', async () => {
  const rogues: Rogue[] = [];
  try {
    // few at a time: a node refuses more than ten connections that are being set up
    while (rogues.length < maxConnections + 8) {
      const more = await Promise.all(Array.from({ length: 4 }, () => startRogue()));
      rogues.push(...more);
      await Promise.allSettled(more.map((rogue) => rogue.connect(registrar)));
    }
    const late = await mesh.add('latecomer', { peers: [registrar.address] });
    await mesh.connected();
    await mesh.drop(late);
  } finally {
    await Promise.all(rogues.map((rogue) => rogue.stop()));
  }
});

test.run();
