/** Streams of real connections joined in a third peer, as a relay does it: how they end, and what is lost. */
import { connect, createServer, type Socket } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { joinStreams } from '../../mesh/join-streams.ts';
import { waitFor } from '../fakes/processes.ts';
import { type Rogue, startRogue } from '../fakes/rogue.ts';

const [start, end] = ['/test/start/1', '/test/end/1'];
const KiB = 1024;
const patience = { deadline_ms: 30_000 };
const stops: (() => unknown)[] = [];

test.after.each(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function peer(): Promise<Rogue> {
  const rogue = await startRogue({ listen: true });
  stops.push(() => rogue.stop());
  return rogue;
}

/** A port where connections go on to another one, until they are cut. */
async function cuttable(port: number): Promise<{ port: number; cut(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const on = connect(port, '127.0.0.1');
    for (const [one, other] of [[socket, on], [on, socket]] as const) {
      sockets.add(one);
      one.on('error', () => {}).on('close', () => other.destroy()).pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  stops.push(() => (cut(), server.close()));
  return { port: (server.address() as { port: number }).port, cut };
}

interface Way {
  /** of who has asked */
  source: Stream;
  /** of who is reached */
  target: Stream;
  /** the two in between */
  middle: readonly [Stream, Stream];
  /** octets that the target has got */
  got: number;
  ended: boolean;
  /** ends the connection between the source and the middle */
  cut(): void;
}

/** @param gone which of the streams in between ends before they are joined */
async function joined(gone?: 0 | 1): Promise<Way> {
  const [source, middle, target] = [await peer(), await peer(), await peer()];
  const made: Partial<Way> = { got: 0, ended: false };
  const way = made as Way;
  await target.host.handle(end, (stream) => {
    stream.addEventListener('message', ({ data }) => void (way.got += data.byteLength));
    made.target = stream;
  });
  await middle.host.handle(start, async (one) => {
    const other = await middle.host.dialProtocol(multiaddr(target.address), end);
    made.middle = [one, other];
    if (gone !== undefined) made.middle[gone].abort(new Error('gone'));
    joinStreams(one, other, { forth: () => {}, back: () => {}, ended: () => made.ended = true });
  });
  const between = await cuttable(Number(/tcp\/(\d+)/.exec(middle.address ?? '')?.[1]));
  made.cut = between.cut;
  made.source = await source.host.dialProtocol(
    multiaddr(`/ip4/127.0.0.1/tcp/${between.port}/p2p/${middle.peer}`),
    start,
  );
  made.source.send(new Uint8Array(1));
  if (gone === undefined) {
    await waitFor(() => way.got === 1 || undefined, { ...patience, what: 'the target to be reached' });
  }
  return way;
}

/** Has the target read nothing, and the source send until the middle holds it back, and a little more. @returns octets */
async function heldBack(way: Way): Promise<number> {
  way.target.pause();
  let octets = 0;
  const send = (count: number) => {
    way.source.send(new Uint8Array(count));
    octets += count;
  };
  await waitFor(() => {
    if (way.middle[0].readStatus === 'paused') return true;
    if (!way.source.writableNeedsDrain) send(16 * KiB);
    return undefined;
  }, { ...patience, what: 'the source to be held back' });
  send(64 * KiB);
  return octets;
}

const over = (way: Way) => waitFor(() => way.ended || undefined, { ...patience, what: 'the way to end' });

test('what was sent before its end arrives, however late it is read', async () => {
  const way = await joined();
  const octets = await heldBack(way);
  const closing = way.source.close();
  await waitFor(() => way.middle[0].remoteWriteStatus !== 'writable' || undefined, {
    ...patience,
    what: 'the end to come to the middle',
  });
  assert.ok(way.middle[0].readBufferLength > 0, 'nothing was held back in the middle');
  way.target.resume();
  await closing;
  await waitFor(() => way.target.remoteWriteStatus !== 'writable' || undefined, {
    ...patience,
    what: 'the end to come to the target',
  });
  assert.is(way.got, 1 + octets);
  await way.target.close();
  await over(way);
});

test('the connection of who is held back is lost: the way ends, and nothing else', async () => {
  const way = await joined();
  await heldBack(way);
  way.cut();
  await waitFor(() => way.middle[0].status !== 'open' || undefined, { ...patience, what: 'the loss' });
  way.target.resume();
  await over(way);
  await waitFor(() => way.target.status !== 'open' || undefined, { ...patience, what: 'the target to know' });
});

test('so it does when nothing is under way', async () => {
  const way = await joined();
  way.cut();
  await over(way);
  await waitFor(() => way.target.status !== 'open' || undefined, { ...patience, what: 'the target to know' });
});

test('of two streams of which one has ended already, the other one ends', async () => {
  for (const which of [0, 1] as const) {
    const way = await joined(which);
    await over(way);
    assert.not.equal(way.middle[1 - which]!.status, 'open');
  }
});

test.run();
