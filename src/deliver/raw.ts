/** RAW printing (AppSocket, port 9100): the document and nothing else, over one connection. The printer says nothing. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { InkmeshError } from '../../mesh/errors.ts';
import { deliverLimits } from '../limits.ts';
import { endpointOf, openTcp } from './connect.ts';
import type { Delivery, Outcome, Probe } from './deliver.ts';
import { inTime, reasonOf, Source } from './source.ts';

const defaultPort = 9100;

/** @returns `sent` at best: all octets were taken, and the printer has closed the connection or had time to */
export async function deliverRaw(delivery: Delivery): Promise<Outcome> {
  const source = new Source(delivery);
  let socket: Socket;
  try {
    socket = await openTcp(endpointOf(new URL(delivery.printer.uri), defaultPort));
  } catch (thrown) {
    return { outcome: 'failed', reason: reasonOf(thrown) };
  }
  try {
    await delivery.begin();
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
  try {
    await send(socket, source, delivery.signal);
    return { outcome: 'sent', ...source.times };
  } catch (thrown) {
    return { outcome: source.begun ? 'interrupted' : 'failed', reason: reasonOf(thrown), ...source.times };
  } finally {
    socket.destroy();
  }
}

async function send(socket: Socket, source: Source, signal: AbortSignal): Promise<void> {
  let error: Error | undefined;
  const closed = new Promise<void>((resolve) => {
    socket.on('error', (thrown) => error = thrown);
    socket.once('close', () => resolve());
  });
  const lost = async () => {
    await closed;
    throw new InkmeshError(
      'unavailable',
      `the printer closed the connection: ${error?.message ?? 'too early'}`,
    );
  };
  const broken = lost();
  broken.catch(() => {});
  // octets left unread would turn our close into a reset, which takes back what is under way
  socket.resume();
  await source.pump({
    write: async (chunk) => {
      if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), broken]);
    },
    end: () => Promise.race([new Promise<void>((resolve) => socket.end(() => resolve())), broken]),
    over: () => false,
  });
  // a printer that keeps its side open says nothing by that
  const patience = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, deliverLimits.rawClose_ms);
    closed.then(() => clearTimeout(timer));
  });
  await inTime(Promise.race([closed, patience]), deliverLimits.stall_ms, signal, 'unreachable');
  if (error !== undefined) throw new InkmeshError('unavailable', `the printer broke off: ${error.message}`);
}

/** All that RAW can tell: whether somebody listens. */
export async function probeRaw(uri: URL): Promise<Probe> {
  const socket = await openTcp(endpointOf(uri, defaultPort));
  socket.destroy();
  return {};
}
