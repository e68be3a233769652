import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ListenLimits } from '../../src/limits.ts';
import { listen } from '../../src/listen.ts';
import { selfSigned, type TestCertificate } from '../fakes/certificate.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const limits: ListenLimits = { maxConnections: 8, headers_ms: 300, idle_ms: 500, maxOpenRequests: 4 };
const answer_ms = 2.5 * limits.idle_ms;
const soon = { deadline_ms: 30_000, what: 'the server to end the connection' };
const head = ['POST / HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked', '', ''].join('\r\n');

interface Client {
  readonly socket: Duplex;
  /** what the server has said */
  said: string;
  closed: boolean;
  end(): void;
}

interface Server {
  /** how many requests were looked at */
  asked: number;
  /** how many bodies broke off */
  broken: number;
  open(options?: { silent: boolean }): Promise<Client>;
  stop(): Promise<void>;
}

/** A server that reads what it gets, and takes its time for a body that says so. */
async function start(tls: TestCertificate | undefined, some: Partial<ListenLimits>): Promise<Server> {
  const fetch = async (request: Request) => {
    made.asked += 1;
    const body = await request.text().catch((thrown: unknown) => {
      made.broken += 1;
      throw thrown;
    });
    if (body === 'slow') await new Promise((resolve) => setTimeout(resolve, answer_ms));
    return new Response('read');
  };
  const options = { fetch, address: '127.0.0.1', port: 0, what: 'a test', ...(tls && { tls }) };
  const listening = await listen(options, { ...limits, ...some });
  const made: Server = {
    asked: 0,
    broken: 0,
    open: async ({ silent } = { silent: false }) => {
      const { port } = listening;
      const plain = tls === undefined || silent;
      const socket = plain
        ? connect(port, '127.0.0.1')
        : connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
      const client: Client = { socket, said: '', closed: false, end: () => socket.destroy() };
      socket.on('data', (data) => client.said += String(data));
      socket.on('error', () => {});
      socket.on('end', () => client.closed = true);
      socket.on('close', () => client.closed = true);
      const opened = once(socket, plain ? 'connect' : 'secureConnect');
      // a server that is full closes it at once
      await Promise.race([opened, once(socket, 'close')]).catch(() => {});
      return client;
    },
    stop: async () => {
      const closed = listening.close();
      listening.kill();
      await closed;
    },
  };
  return made;
}

/** Sends these octets one by one until the connection ends. @returns how long it took, ms */
async function trickle(client: Client, octets: string): Promise<number> {
  const started = performance.now();
  let at = 0;
  const timer = setInterval(() => {
    if (!client.closed && at < octets.length) client.socket.write(octets.charAt(at++));
  }, 50);
  try {
    await waitFor(() => client.closed ? true : undefined, soon);
    return performance.now() - started;
  } finally {
    clearInterval(timer);
  }
}

const answered = (client: Client) =>
  waitFor(() => client.said.includes('read') ? true : undefined, { deadline_ms: 8000, what: 'the answer' });

const endless = `GET / HTTP/1.1\r\nx: ${'y'.repeat(2000)}`;

for (const scheme of ['http', 'https']) {
  if (scheme === 'https' && !requireTools(['openssl'])) continue;
  const tls = scheme === 'https' ? selfSigned() : undefined;

  const withServer = (
    name: string,
    body: (server: Server) => Promise<void>,
    some: Partial<ListenLimits> = {},
  ) =>
    test(`${scheme}: ${name}`, async () => {
      const server = await start(tls, some);
      try {
        await body(server);
      } finally {
        await server.stop();
      }
    });

  withServer('a client that says nothing is dropped', async (server) => {
    const client = await server.open({ silent: true });
    await waitFor(() => client.closed ? true : undefined, soon);
  });

  withServer('a client that sends its headers octet by octet is dropped', async (server) => {
    assert.ok(await trickle(await server.open(), endless) >= limits.headers_ms / 2);
  });

  withServer('so is one that does it with its second request', async (server) => {
    const client = await server.open();
    client.socket.write(`${head}2\r\nab\r\n0\r\n\r\n`);
    await answered(client);
    assert.not(client.closed);
    await trickle(client, endless);
  });

  withServer('a client that stops in the middle of a body is dropped', async (server) => {
    const client = await server.open();
    client.socket.write(`${head}2\r\nab\r\n`);
    await waitFor(() => client.closed ? true : undefined, soon);
    await waitFor(() => server.broken === 1 ? true : undefined, { ...soon, what: 'the reader to be told' });
  });

  withServer('one whose body comes slowly is not', async (server) => {
    const client = await server.open();
    client.socket.write(head);
    const started = performance.now();
    while (performance.now() - started < answer_ms) {
      client.socket.write('1\r\na\r\n');
      await new Promise((resolve) => setTimeout(resolve, limits.idle_ms / 8));
    }
    client.socket.write('0\r\n\r\n');
    await answered(client);
  });

  withServer('neither is one that waits for its answer', async (server) => {
    const client = await server.open();
    client.socket.write(`${head}4\r\nslow\r\n0\r\n\r\n`);
    await answered(client);
  });

  withServer(
    'of too many connections the one that has rested longest makes room, none with a request',
    async (server) => {
      const busy = await server.open();
      busy.socket.write(`${head}1\r\na\r\n`);
      const resting = await server.open();
      const third = await server.open();
      await waitFor(() => resting.closed ? true : undefined, soon);
      third.socket.write(`${head}1\r\na\r\n`);
      await waitFor(() => server.asked === 2 ? true : undefined, soon);
      const fourth = await server.open();
      await waitFor(() => fourth.closed ? true : undefined, soon);
      assert.not(busy.closed || third.closed);
      busy.socket.write('0\r\n\r\n');
      await answered(busy);
    },
    { maxConnections: 2, headers_ms: 10_000, idle_ms: 10_000 },
  );

  withServer(
    'a connection that asks on and on before it is answered is ended, what it has sent is not done',
    async (server) => {
      const client = await server.open();
      const slow = `${head}4\r\nslow\r\n0\r\n\r\n`;
      client.socket.write(slow.repeat(2000));
      await waitFor(() => client.closed ? true : undefined, soon);
      assert.ok(server.asked <= limits.maxOpenRequests, `${server.asked} requests were looked at`);
    },
  );
}

if (requireTools(['openssl'])) {
  test('a client that asks for another name is shown the certificate of that name, while there is one', async () => {
    const [own, other, renewed] = [selfSigned(), selfSigned(), selfSigned()];
    const fetch = () => new Response('read');
    const server = await listen({ fetch, address: '127.0.0.1', port: 0, what: 'a test', tls: own }, limits);
    const shown = async (servername: string) => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: server.port,
        servername,
        rejectUnauthorized: false,
      });
      await once(socket, 'secureConnect');
      const { raw } = socket.getPeerCertificate();
      socket.destroy();
      return createHash('sha256').update(raw).digest('hex');
    };
    try {
      server.serveAs(['site.test', 'site.local'], other);
      assert.is(await shown('site.test'), other.fingerprint);
      assert.is(await shown('SITE.local'), other.fingerprint);
      assert.is(await shown('localhost'), own.fingerprint);
      server.renew(renewed);
      assert.is(await shown('site.test'), other.fingerprint);
      assert.is(await shown('localhost'), renewed.fingerprint);
      server.serveAs(['site.test'], undefined);
      assert.is(await shown('site.test'), renewed.fingerprint);
    } finally {
      const closed = server.close();
      server.kill();
      await closed;
    }
  });
}

test.run();
