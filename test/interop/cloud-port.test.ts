/** The port of a cloud node, which the whole world reaches, under requests that nobody sends by mistake. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Logger, Upgrader } from '@libp2p/interface';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Bounds, type BoundsLimits } from '../../cloud/bounds.ts';
import { closePorts, openPorts, type Ports } from '../../cloud/ports.ts';
import { clientAddress } from '../../cloud/proxy.ts';
import { SocketDoor } from '../../mesh/websocket.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const deadline_ms = 30_000;
const opened: Ports[] = [];

interface Cloud {
  port: number;
  tls: boolean;
  bounds: Bounds;
}

test.after(() => {
  opened.forEach(closePorts);
});

if (requireTools(['openssl'])) {
  const keys = selfSigned();

  const start = async (tls: boolean, limits: Partial<BoundsLimits> = {}): Promise<Cloud> => {
    const address = clientAddress(['127.0.0.1']);
    const bounds = new Bounds(address, { body_ms: 30_000, maxPerAddress: 4, ...limits });
    const door = new SocketDoor([]);
    door.attach(
      { upgradeInbound: () => Promise.resolve() } as unknown as Upgrader,
      Object.assign(() => {}, { error: () => {}, trace: () => {} }) as unknown as Logger,
    );
    const fetch = async (request: Request) =>
      new Response(`${(await request.arrayBuffer()).byteLength} octets\n`);
    const ports = await openPorts({ address: '127.0.0.1', port: 0 }, {
      ...{ fetch, door, address, bounds, own: keys, tls: tls ? keys : undefined },
    });
    opened.push(ports);
    return { port: ports.public.port, tls, bounds };
  };

  /** Sends text, and keeps the connection. */
  const send = async ({ port, tls }: Cloud, text: string) => {
    const socket: Duplex = tls
      ? connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
      : connectTcp(port, '127.0.0.1');
    const got: Buffer[] = [];
    let closed = false;
    socket.on('data', (chunk: Buffer) => got.push(chunk)).on('error', () => {}).on(
      'close',
      () => closed = true,
    );
    await once(socket, tls ? 'secureConnect' : 'connect');
    socket.write(text);
    return { socket, said: () => Buffer.concat(got).toString(), closed: () => closed };
  };

  const first = async (cloud: Cloud, text: string): Promise<string> => {
    const { socket, said, closed } = await send(cloud, text);
    const answer = await waitFor(
      () => said() === '' && !closed() ? undefined : { line: said().split('\r\n')[0] },
      {
        ...{ deadline_ms, what: `an answer to ${text.split('\r\n')[0]}` },
      },
    );
    socket.destroy();
    return answer.line ?? '';
  };

  const asked = (target: string, ...more: string[]) =>
    [
      `GET ${target} HTTP/1.1`,
      'Host: cloud',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString('base64')}`,
      ...more,
      '\r\n',
    ].join('\r\n');
  const plain = 'GET /x HTTP/1.1\r\nHost: cloud\r\nConnection: close\r\n\r\n';

  for (const tls of [true, false]) {
    const how = tls ? 'HTTPS' : 'HTTP behind a proxy';

    test(`no request for a WebSocket ends the node: ${how}`, async () => {
      const cloud = await start(tls);
      for (
        const target of ['//', '///mesh', '/\\', 'http://', '/mesh/', '/mesh%2f', '//mesh', '*', '/?/mesh']
      ) {
        assert.not.match(await first(cloud, asked(target)), ' 101 ', target);
        assert.match(await first(cloud, plain), ' 200 ', `after ${target}`);
      }
      assert.match(await first(cloud, asked('/mesh?x=//')), ' 101 ');
      for (
        const from of [
          'fe80::1%eth0',
          'fe80::1%25/ws',
          '::ffff:1.2.3.4',
          '::',
          '[::1]',
          '999.1.1.1',
          '%',
          ',',
        ]
      ) {
        await first(cloud, asked('/mesh', `X-Forwarded-For: ${from}`));
        assert.match(await first(cloud, plain), ' 200 ', `after a client at ${from}`);
      }
      assert.match(await first(cloud, asked('/mesh', 'X-Forwarded-For: fe80::1%eth0')), ' 101 ');
    });

    test(`a body that comes in drips takes a connection for a while only: ${how}`, async () => {
      const cloud = await start(tls, { body_ms: 400 });
      const slow = await send(cloud, 'POST /x HTTP/1.1\r\nHost: cloud\r\nContent-Length: 1000\r\n\r\n');
      const drip = setInterval(() => slow.socket.write('x'), 50);
      await waitFor(() => slow.closed() || undefined, { deadline_ms, what: 'the slow one to be dropped' });
      clearInterval(drip);
      assert.is(slow.said(), '');
      assert.match(await first(cloud, plain), ' 200 ');
      assert.is(cloud.bounds.working, 0);
    });
  }

  test('one address has so many requests under way, and the others are served', async () => {
    const cloud = await start(false);
    const post = (from: string) =>
      `POST /x HTTP/1.1\r\nHost: cloud\r\nX-Forwarded-For: ${from}\r\nContent-Length: 9\r\n\r\n`;
    const slow = await Promise.all([1, 2, 3, 4].map(() => send(cloud, post('192.0.2.1'))));
    await waitFor(() => cloud.bounds.working === 4 || undefined, {
      deadline_ms,
      what: 'four to be under way',
    });
    assert.match(await first(cloud, post('192.0.2.1')), ' 429 ');
    assert.match(await first(cloud, `${post('192.0.2.2')}123456789`), ' 200 ');
    for (const { socket } of slow) socket.write('123456789');
    await waitFor(() => cloud.bounds.working === 0 || undefined, {
      deadline_ms,
      what: 'them to be answered',
    });
    assert.match(await first(cloud, `${post('192.0.2.1')}123456789`), ' 200 ');
    for (const { socket } of slow) socket.destroy();
    cloud.bounds.close();
    assert.match(await first(cloud, plain), ' 503 ');
  });
}

test.run();
