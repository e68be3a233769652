/** The mesh over WebSocket through what companies put in between: an HTTP proxy, and a reverse proxy. */
import { connect, createServer, type Socket } from 'node:net';
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { meshAddress } from '../../mesh/address.ts';
import { type Between, startNginx, startSquid } from '../fakes/between.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { type DoorServer, startDoor } from '../fakes/door.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { echoed, reserved, soon, startTransport, stopTransports } from '../fakes/transports.ts';

const document = new Uint8Array(1024 * 1024).map((_, i) => i * 7);
const doors: DoorServer[] = [];
const between: Between[] = [];

const edge = () => startTransport({ listen: [] });

async function cloud(tls: boolean) {
  const at = await startDoor({ tls });
  doors.push(at);
  return { hub: await startTransport({ listen: [], relay: true, door: at.door }), at };
}

/** Runs with variables of the environment that are there meanwhile. */
async function withEnvironment(variables: Record<string, string>, body: () => Promise<void>): Promise<void> {
  Object.assign(process.env, variables);
  try {
    await body();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
  }
}

test.after.each(async () => {
  await stopTransports();
  await Promise.all([...doors.splice(0), ...between.splice(0)].map((one) => one.stop()));
});

if (requireTools(['squid'])) {
  test('an edge node goes through a proxy that lets CONNECT pass only, but for what NO_PROXY lists', async () => {
    const { hub, at } = await cloud(true);
    const squid = await startSquid();
    between.push(squid);
    const dial = async () => {
      const node = await edge();
      return { node, link: await node.dial(null, [meshAddress(at.url)], soon()) };
    };
    await withEnvironment({ HTTPS_PROXY: squid.url }, async () => {
      const [a, b] = [await dial(), await dial()];
      assert.equal(await echoed(a.node, a.link, document), document);
      const address = await reserved(hub, a.node);
      const relayed = await b.node.dial(a.node.peer, [address], soon());
      assert.equal(await echoed(b.node, relayed, document), document);
    });
    await stopTransports();
    const tunnels = () =>
      squid.log().split('\n').filter((line) => line.includes(`CONNECT 127.0.0.1:${at.port}`));
    await waitFor(() => tunnels().length === 2 || undefined, {
      ...{ deadline_ms: 30_000, what: 'the proxy to tell of two tunnels' },
    });
    assert.not.match(squid.log(), / (GET|POST) /);
    await at.stop();
    const again = await cloud(true);
    await withEnvironment({ HTTPS_PROXY: squid.url, NO_PROXY: '127.0.0.1' }, async () => {
      await (await edge()).dial(again.hub.peer, [meshAddress(again.at.url)], soon());
    });
    assert.is(tunnels().length, 2);
  });
}

test('a proxy that refuses, says nothing or is none is told of as unreachable', async () => {
  const { at } = await cloud(true);
  const answers = [
    'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n',
    'SSH-2.0-x\r\n\r\n',
    'a'.repeat(20_000),
  ];
  for (const answer of answers) {
    const proxy = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(answer);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as { port: number };
    await withEnvironment({ HTTPS_PROXY: `http://ada:secret@127.0.0.1:${port}` }, async () => {
      const error = await (await edge()).dial(null, [meshAddress(at.url)], soon()).catch((thrown) => thrown);
      assert.is(error.code, 'unavailable');
      assert.not.match(String(error.cause), /secret/);
    });
    proxy.close();
  }
});

test('a proxy leads to a cloud in the clear too, and its password may be anything', async () => {
  const { hub, at } = await cloud(false);
  const heads: string[] = [];
  const open = new Set<Socket>();
  const proxy = createServer((socket) => {
    socket.once('data', (head) => {
      heads.push(String(head));
      const on = connect(at.port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      socket.pipe(on).pipe(socket);
      for (const one of [socket, on]) open.add(one.on('error', () => {}));
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as { port: number };
  try {
    await withEnvironment({ HTTP_PROXY: `http://ada:50%@127.0.0.1:${port}` }, async () => {
      const node = await edge();
      const link = await node.dial(hub.peer, [meshAddress(at.url)], soon());
      assert.equal(await echoed(node, link, document), document);
    });
    assert.match(heads[0] ?? '', `Basic ${btoa('ada:50%')}\r\n`);
  } finally {
    for (const socket of open) socket.destroy();
    proxy.close();
  }
});

if (requireTools(['nginx', 'openssl'])) {
  test('nodes reach a cloud behind nginx, with pages and WebSockets on its one port', async () => {
    const { hub, at } = await cloud(false);
    const nginx = await startNginx(at.port, selfSigned());
    between.push(nginx);
    const [a, b] = [await edge(), await edge()];
    const there = [meshAddress(nginx.url)];
    const link = await a.dial(null, there, soon());
    assert.is(link.peer, hub.peer);
    assert.equal(await echoed(a, link, document), document);
    await a.reserveAt(link);
    const address = await waitFor(() => a.addresses().find((one) => one.startsWith(there[0] ?? '')), {
      ...{ deadline_ms: 10_000, what: 'an address by way of nginx' },
    });
    const relayed = await b.dial(a.peer, [address], soon());
    assert.is(relayed.relay, hub.peer);
    assert.equal(await echoed(b, relayed, document), document);
  });
}

test.run();
