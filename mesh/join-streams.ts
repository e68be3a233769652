/** Two streams as one way: what comes on one goes out on the other, and a slow reader holds its sender back. */
import type { Stream } from '@libp2p/interface';

export interface Joined {
  /** told of octets that have come on the first stream, for the second */
  forth(octets: number): void;
  back(octets: number): void;
  /** once, when both are at their end */
  ended(): void;
}

/** Joins two streams until both have ended, or one is reset. @returns what resets both */
export function joinStreams(one: Stream, other: Stream, joined: Joined): (reason: Error) => void {
  let open = 2;
  const abort = (reason: Error) => {
    for (const stream of [one, other]) stream.abort(reason);
  };
  const closed = (event: { error?: Error }) => {
    if (event.error !== undefined) abort(event.error);
    if (--open === 0) joined.ended();
  };
  for (const stream of [one, other]) stream.addEventListener('close', closed, { once: true });
  pass(one, other, joined.forth);
  pass(other, one, joined.back);
  return abort;
}

function pass(from: Stream, to: Stream, count: (octets: number) => void): void {
  from.addEventListener('message', ({ data }) => {
    if (to.writeStatus !== 'writable') return;
    count(data.byteLength);
    if (!to.send(data) && from.readStatus === 'readable') from.pause();
  });
  to.addEventListener('drain', () => {
    // the stream's own listener sends the rest in a microtask, which may fill it again
    queueMicrotask(() => {
      if (!to.writableNeedsDrain && from.readStatus === 'paused') from.resume();
    });
  });
  const finish = () => void to.close().catch((error: Error) => to.abort(error));
  from.addEventListener('remoteCloseWrite', finish, { once: true });
  if (from.remoteWriteStatus !== 'writable') finish();
}
