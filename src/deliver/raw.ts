/** RAW printing (AppSocket, port 9100): the document, and a job header where the printer knows one. It says nothing. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { InkmeshError } from '../../mesh/errors.ts';
import { deliverLimits } from '../limits.ts';
import { endpointOf, openTcp } from './connect.ts';
import type { Attempt, Attempted, Outcome, Probe } from './deliver.ts';
import { formatObstacle } from './formats.ts';
import { type Wrapping, wrapping } from './pjl.ts';
import { inTime, pause, reasonOf, Source } from './source.ts';

const defaultPort = 9100;

/** @returns `sent` at best: all octets were taken, and the printer has closed the connection or had time to */
export async function deliverRaw(attempt: Attempt): Promise<Attempted> {
  const { printer: { formats = [] }, ticket, user, waiting } = attempt;
  const reason = formatObstacle(formats, ticket);
  if (reason !== undefined) return { outcome: 'failed', reason };
  const source = new Source(attempt);
  const [opened, blocked] = await Promise.all([open(attempt), waiting.ask()]);
  if ('failed' in opened) return { ...opened.failed, elsewhere: true };
  let { socket } = opened;
  // what it says is of no interest, but its end is not seen without reading; octets left unread would turn our close
  // into a reset, which takes back what is under way
  socket.resume();
  try {
    await attempt.begin();
    if (blocked?.firm) {
      socket.destroy();
      const again = await openWhenReady(attempt, blocked.reason);
      if ('failed' in again) return again.failed;
      socket = again.socket.resume();
    }
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
  // a port that is busy with another job takes the connection and ends it
  if (hasEnded(socket)) {
    socket.destroy();
    return { outcome: 'failed', reason: 'the printer closed the connection before it was sent anything' };
  }
  const how = wrapping(formats, ticket, user);
  try {
    await send(socket, source, how, attempt);
    return { outcome: 'sent', ...noted(how), ...source.times };
  } catch (thrown) {
    return { outcome: source.begun ? 'interrupted' : 'failed', reason: reasonOf(thrown), ...source.times };
  } finally {
    socket.destroy();
  }
}

const hasEnded = (socket: Socket) => socket.destroyed || socket.readableEnded;

type Opened = { socket: Socket } | { failed: Outcome };

async function open({ target, limits }: Attempt): Promise<Opened> {
  try {
    return { socket: await openTcp(endpointOf(target, defaultPort), limits.connect_ms) };
  } catch (thrown) {
    return { failed: { outcome: 'failed', reason: reasonOf(thrown) } };
  }
}

/** Nothing takes back what a RAW printer has: one that has stopped gets nothing until somebody has been there. */
async function openWhenReady(attempt: Attempt, blocked: string): Promise<Opened> {
  const { waiting, limits, signal } = attempt;
  try {
    waiting.note(blocked);
    do await pause(limits.look_ms, signal); while (await waiting.look() !== 'free');
  } catch (thrown) {
    return { failed: { outcome: 'failed', reason: reasonOf(thrown) } };
  }
  return await open(attempt);
}

function noted({ without }: Wrapping): Pick<Outcome, 'reason'> {
  return without.length === 0
    ? {}
    : { reason: `sent without what the printer cannot be told: ${without.join(', ')}` };
}

async function send(socket: Socket, source: Source, how: Wrapping, attempt: Attempt): Promise<void> {
  const { limits, signal } = attempt;
  let error: Error | undefined;
  const closed = new Promise<void>((resolve) => {
    socket.on('error', (thrown) => error = thrown);
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
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
  if (how.head.length > 0) socket.write(how.head);
  const finish = () => new Promise<void>((resolve) => socket.end(how.tail, () => resolve()));
  await source.pump({
    write: async (chunk) => {
      if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), broken]);
    },
    end: () => Promise.race([finish(), broken]),
    over: () => false,
  });
  // a printer that keeps its side open says nothing by that
  const patience = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, limits.rawClose_ms);
    closed.then(() => clearTimeout(timer));
  });
  await inTime(Promise.race([closed, patience]), limits.stall_ms, signal, 'unreachable');
  if (error !== undefined) throw new InkmeshError('unavailable', `the printer broke off: ${error.message}`);
}

/** All that RAW can tell: whether somebody listens. */
export async function probeRaw(uri: URL): Promise<Probe> {
  const socket = await openTcp(endpointOf(uri, defaultPort), deliverLimits.connect_ms);
  socket.destroy();
  return {};
}
