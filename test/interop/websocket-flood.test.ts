/** Rogue peers at the port of a cloud node: thousands of WebSockets that say nothing, or something else. */
import { connect, type Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { meshAddress, socketPath } from '../../mesh/address.ts';
import { maxSocketMessageBytes, maxSocketsPerAddress } from '../../mesh/limits.ts';
import type { Transport } from '../../mesh/ports.ts';
import { type DoorServer, startDoor } from '../fakes/door.ts';
import { waitFor } from '../fakes/processes.ts';
import { echoed, soon, startTransport, stopTransports } from '../fakes/transports.ts';

const connections = 10_000;
const abreast = 100;
const patience = { deadline_ms: 60_000 };
const handshake = [
  ...[`GET ${socketPath} HTTP/1.1`, 'Host: cloud', 'Connection: Upgrade', 'Upgrade: websocket'],
  ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''],
].join('\r\n');

let from = '192.0.2.1';
let at: DoorServer;
let hub: Transport;
const open = new Set<Socket>();

test.before(async () => {
  at = await startDoor({ tls: false, from: () => from });
  hub = await startTransport({ listen: [], relay: true, door: at.door });
});

test.after(async () => {
  for (const socket of open) socket.destroy();
  await stopTransports();
  await at.stop();
});

/** Asks for a WebSocket, and says what follows when it has been given. @returns the status of the answer, 0 for none */
function ask(then: (socket: Socket) => void = () => {}): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(at.port, '127.0.0.1', () => socket.write(handshake));
    open.add(socket);
    socket.on('error', () => {}).on('close', () => {
      open.delete(socket);
      resolve(0);
    });
    socket.once('data', (answer) => {
      resolve(Number(/^HTTP\/1.1 (\d+)/.exec(answer.toString('latin1'))?.[1]));
      then(socket);
    });
  });
}

async function memberGetsIn(address: string): Promise<void> {
  const flooded = from;
  const node = await startTransport({ listen: [] });
  const link = await waitFor(() => {
    from = address;
    return node.dial(hub.peer, [meshAddress(at.url)], soon()).catch(() => undefined);
  }, { ...patience, what: 'a node to get in' });
  const sent = new Uint8Array(100_000).fill(7);
  assert.equal(await echoed(node, link, sent), sent);
  link.close();
  from = flooded;
}

test('10,000 connections of one address are bounded and counted, and another address gets in meanwhile', async () => {
  const answers = new Map<number, number>();
  let most = 0;
  for (let asked = 0; asked < connections; asked += abreast) {
    for (const status of await Promise.all(Array.from({ length: abreast }, () => ask()))) {
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    most = Math.max(most, at.door.counts.open);
    if (asked === connections / 2) await memberGetsIn('192.0.2.2');
  }
  assert.ok(most <= maxSocketsPerAddress + 1, `${most} were open at once`);
  const { turned } = at.door.counts;
  const counted = Object.values(turned).reduce((sum, count) => sum + count, 0) + most;
  assert.ok(counted >= connections / 2, JSON.stringify({ turned, most, answers: [...answers] }));
  for (const socket of open) socket.destroy();
  await waitFor(() => at.door.counts.open === 0 || undefined, { ...patience, what: 'the door to be empty' });
  await memberGetsIn('192.0.2.1');
});

test('a frame that is too long, or is none, ends its connection', async () => {
  const long = Buffer.alloc(14);
  long.set([0x82, 0xff]);
  long.writeBigUInt64BE(BigInt(maxSocketMessageBytes + 1), 2);
  for (const octets of [long, Buffer.from([0xff, 0xff, 0, 0, 0, 0]), Buffer.from([0x81, 0x80, 0, 0, 0, 0])]) {
    const ended = new Promise<void>((resolve) => {
      void ask((socket) => {
        socket.once('close', () => resolve());
        socket.write(octets);
      });
    });
    await ended;
  }
  await memberGetsIn('192.0.2.3');
});

test.run();
