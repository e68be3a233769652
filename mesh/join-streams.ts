/** Two streams as one way: what comes on one goes out on the other, and a slow reader holds its sender back. */
import type { Stream } from '@libp2p/interface';

export interface Joined {
  /** told of octets that have come on the first stream, for the second */
  forth(octets: number): void;
  back(octets: number): void;
  /** once, when both are at their end */
  ended(): void;
}

type Abort = (reason: Error) => void;

/**
 * Joins two streams until both have ended; one that is reset or lost takes the other with it.
 * @returns what resets both
 */
export function joinStreams(one: Stream, other: Stream, joined: Joined): Abort {
  let open = 2;
  const abort: Abort = (reason) => {
    for (const stream of [one, other]) stream.abort(reason);
  };
  for (const [stream, peer] of [[one, other], [other, one]] as const) {
    const closed = (error?: Error) => {
      if (error !== undefined) abort(error);
      // a stream ends without an error too when its connection is lost, and what the peer still says would go nowhere
      else if (peer.remoteWriteStatus === 'writable') peer.abort(new TypeError('the other end has gone'));
      if (--open === 0) joined.ended();
    };
    // what has closed already says so no more
    if (stream.status !== 'open') closed();
    else stream.addEventListener('close', ({ error }) => closed(error), { once: true });
  }
  pass(one, other, joined.forth, abort);
  pass(other, one, joined.back, abort);
  return abort;
}

/** What a listener throws would end the process: whatever fails ends both streams. */
function pass(from: Stream, to: Stream, count: (octets: number) => void, abort: Abort): void {
  let isResuming = false;
  const hold = () => {
    if (to.writableNeedsDrain && from.readStatus === 'readable') from.pause();
  };
  const finish = () => {
    // while it is paused, a stream may have been written to its end and still have data to give
    if (from.remoteWriteStatus === 'writable' || from.readBufferLength > 0) return;
    to.close().catch((error: Error) => to.abort(error));
  };
  const guarded = (body: () => void) => () => {
    try {
      body();
    } catch (thrown) {
      abort(thrown instanceof Error ? thrown : new TypeError(String(thrown)));
    }
  };
  const resume = () => {
    if (to.writableNeedsDrain || from.readStatus !== 'paused') return;
    isResuming = true;
    try {
      from.resume();
    } catch (thrown) {
      // a stream whose connection has gone gives what it has, and only then cannot ask for more
      if (from.status === 'open') throw thrown;
    } finally {
      isResuming = false;
    }
    hold();
  };
  from.addEventListener('message', ({ data }) =>
    guarded(() => {
      if (to.writeStatus !== 'writable') return;
      count(data.byteLength);
      to.send(data);
      // yamux asks for more at the end of `resume`, whatever has been said meanwhile
      if (!isResuming) hold();
      finish();
    })());
  // the stream's own listener sends the rest in a microtask, which may fill it again
  to.addEventListener('drain', () => queueMicrotask(guarded(resume)));
  for (const event of ['remoteCloseWrite', 'close'] as const) from.addEventListener(event, finish);
  finish();
}
