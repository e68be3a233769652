/** The mesh over WebSocket on the port of an HTTP server: between real transports, through a door. */
import { randomBytes } from 'node:crypto';
import { request } from 'node:https';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { multiaddr } from '@multiformats/multiaddr';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { meshAddress, relayOf } from '../../mesh/address.ts';
import type { Transport } from '../../mesh/ports.ts';
import { webSockets } from '../../mesh/websocket.ts';
import { type DoorServer, startDoor } from '../fakes/door.ts';
import { waitFor } from '../fakes/processes.ts';
import { echoed, reserved, soon, startTransport, stopTransports } from '../fakes/transports.ts';

type Components = Parameters<ReturnType<typeof webSockets>>[0];

const MiB = 1024 * 1024;
const doors: DoorServer[] = [];
const leftOpen: Duplex[] = [];

/** A relay that is reached by WebSocket only. */
async function cloud(
  options: Parameters<typeof startDoor>[0] = {},
): Promise<{ hub: Transport; at: DoorServer }> {
  const at = await startDoor(options);
  doors.push(at);
  return { hub: await startTransport({ listen: [], relay: true, door: at.door }), at };
}

const edge = () => startTransport({ listen: [] });

test.after.each(async () => {
  await stopTransports();
  for (const socket of leftOpen.splice(0)) socket.destroy();
  await Promise.all(doors.splice(0).map((one) => one.stop()));
});

for (const tls of [true, false]) {
  test(`a node dials the cloud by its URL, ${tls ? 'over TLS' : 'in the clear'}, and is reached through it`, async () => {
    const { hub, at } = await cloud({ tls });
    assert.equal(hub.addresses(), [meshAddress(at.url)]);
    const [a, b] = [await edge(), await edge()];
    const link = await a.dial(null, [meshAddress(at.url)], soon());
    assert.is(link.peer, hub.peer);
    const sent = new Uint8Array(randomBytes(MiB));
    assert.equal(await echoed(a, link, sent), sent);
    assert.match(hub.links(a.peer)[0]?.remote ?? '', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws$/);
    const address = await reserved(hub, a);
    assert.is(address, `${meshAddress(at.url)}/p2p/${hub.peer}/p2p-circuit`);
    const relayed = await b.dial(a.peer, [address], soon());
    assert.is(relayed.relay, hub.peer);
    for (let i = 0; i < 8; i++) assert.equal(await echoed(b, relayed, sent), sent);
    assert.is(relayOf(address), hub.peer);
  });
}

test('a WebSocket that ends, ends the link at both ends', async () => {
  const { hub, at } = await cloud();
  const a = await edge();
  const link = await a.dial(hub.peer, [meshAddress(at.url)], soon());
  link.close();
  const gone = () => a.links().length + hub.links().length === 0 && at.door.counts.open === 0 || undefined;
  await waitFor(gone, { deadline_ms: 10_000, what: 'the link to end at both ends' });
});

test('pages are served on the same port, and another upgrade is refused with an answer', async () => {
  const { at } = await cloud();
  const ask = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const asked = request(at.url, { rejectUnauthorized: false, headers, path: '/mesh' });
      asked.on('response', (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject)
        .end();
    });
  assert.is(await ask({}), 200);
  assert.is(await ask({ connection: 'upgrade', upgrade: 'websocket' }), 400);
  assert.ok((at.door.counts.turned['handshake'] ?? 0) > 0);
});

test('a client has the address that the server says, and none without one', async () => {
  let from = '192.0.2.1';
  const { hub, at } = await cloud({ tls: false, from: () => from });
  const dial = async () => (await edge()).dial(hub.peer, [meshAddress(at.url)], soon());
  await dial();
  const remote = await waitFor(() => hub.links()[0]?.remote, { deadline_ms: 10_000, what: 'the link' });
  assert.match(remote, /^\/ip4\/192\.0\.2\.1\//);
  from = 'nobody';
  assert.instance(await dial().catch((error) => error), Error);
  assert.equal(at.door.counts, { open: 1, turned: { closed: 1 } });
});

const handshake = (path: string, upgrade: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`;

/** What a server says until it ends the connection of a client that does not end it. */
function told(port: number, octets: string): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write(octets));
    socket.on('data', (data) => said += String(data)).on('error', () => {});
    socket.on('end', () => resolve(said));
    leftOpen.push(socket);
  });
}

test('who asks for another protocol, or elsewhere, gets a page', async () => {
  const { at } = await cloud({ tls: false });
  const page = (path: string, upgrade: string) => told(at.port, handshake(path, upgrade) + last);
  const last = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
  for (const upgrade of ['TLS/1.0, HTTP/1.1', 'h2c']) assert.match(await page('/mesh', upgrade), /a page/);
  assert.match(await page('/', 'websocket'), /a page/);
  assert.equal(at.door.counts, { open: 0, turned: {} });
});

for (const tls of [false, true]) {
  test(`a socket that is refused is let go of, though its client keeps it${tls ? ', over TLS' : ''}`, async () => {
    const sockets: Duplex[] = [];
    const at = await startDoor({ tls, from: () => 'nobody', seen: (socket) => sockets.push(socket) });
    const socket = tls
      ? connectTls({ port: at.port, host: '127.0.0.1', rejectUnauthorized: false })
      : connect({ port: at.port, host: '127.0.0.1', allowHalfOpen: true });
    leftOpen.push(socket);
    let said = '';
    socket.on('data', (data) => said += String(data)).on('error', () => {});
    socket.once(tls ? 'secureConnect' : 'connect', () => socket.write(handshake('/mesh', 'websocket')));
    await waitFor(() => sockets[0]?.destroyed || undefined, {
      ...{ deadline_ms: 30_000, what: 'the server to let go of the socket' },
    });
    assert.match(said, /^HTTP\/1\.1 503 /);
    await at.stop();
  });
}

test('an upgrade is refused while an earlier request is still to be answered', async () => {
  const { at } = await cloud({ tls: false });
  const said = await told(
    at.port,
    `GET /never HTTP/1.1\r\nHost: x\r\n\r\n${handshake('/mesh', 'websocket')}`,
  );
  assert.is(said, '');
  assert.equal(at.door.counts, { open: 0, turned: {} });
});

test('a dial that is called off when its connection is there fails, and that is all', async () => {
  const { at } = await cloud({ tls: false });
  const controller = new AbortController();
  const { signal } = controller;
  const remove = signal.removeEventListener.bind(signal);
  // which is what is done when the connection is there
  signal.removeEventListener = (...given: Parameters<typeof remove>) => {
    remove(...given);
    controller.abort(new Error('called off'));
  };
  const nothing = { upgrader: {}, logger: { forComponent: () => () => {} } };
  const transport = webSockets(undefined)(nothing as unknown as Components);
  const dialling = { ...nothing, signal } as unknown as Parameters<typeof transport.dial>[1];
  const error = await transport.dial(multiaddr(meshAddress(at.url)), dialling).catch((thrown) => thrown);
  assert.is(error.message, 'called off');
  // what nobody listens to ends the process
  await new Promise((resolve) => setImmediate(resolve));
});

test.run();
