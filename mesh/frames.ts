/**
 * Length-prefixed frames over a libp2p stream: a 32-bit big-endian length, then that many octets. The reader
 * stops the sender (yamux's window) when more than `readHighWaterBytes` wait unread.
 */
import type { Stream } from '@libp2p/interface';
import { InkmeshError } from './errors.ts';
import { readHighWaterBytes, stallTimeout_ms, unreadHighWaterBytes } from './limits.ts';
import type { Channel, Clock } from './ports.ts';

const prefixBytes = 4;

export class Frames implements Channel {
  readonly #stream: Stream;
  readonly #clock: Clock;
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  #highWaterBytes = unreadHighWaterBytes;
  #isResuming = false;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Stream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    stream.addEventListener('message', (event) => {
      this.#chunks.push(event.data.subarray());
      this.#buffered += event.data.byteLength;
      this.#hold();
      this.#wake?.();
    });
    stream.addEventListener('remoteCloseWrite', () => this.#end());
    stream.addEventListener('close', (event) => this.#end(event.error));
    // what ended before anybody listened says so no more; what had come by then is told in a microtask before this one
    queueMicrotask(() => {
      if (stream.remoteWriteStatus !== 'writable' || stream.status !== 'open') this.#end();
    });
  }

  async read(maxBytes: number, stall_ms: number): Promise<Uint8Array | undefined> {
    const prefix = await this.#take(prefixBytes, stall_ms);
    if (prefix === undefined) return undefined;
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0);
    if (length > maxBytes) {
      throw new InkmeshError('too-large', `a frame of ${length} bytes is over the limit of ${maxBytes}`);
    }
    if (length === 0) return new Uint8Array(0);
    const frame = await this.#take(length, stall_ms);
    if (frame === undefined) {
      throw new InkmeshError('unavailable', 'the peer stopped in the middle of a frame');
    }
    return frame;
  }

  async write(frame: Uint8Array): Promise<void> {
    const prefix = new Uint8Array(prefixBytes);
    new DataView(prefix.buffer).setUint32(0, frame.length);
    this.#send(prefix);
    if (frame.length > 0) this.#send(frame);
    while (this.#stream.writableNeedsDrain && this.#stream.writeStatus === 'writable') {
      await this.#drained();
      // the stream's own drain listener sends the rest in a microtask, which may fill it again
      await Promise.resolve();
    }
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = () => {
        callOff();
        this.#stream.removeEventListener('drain', done);
        this.#stream.removeEventListener('close', done);
      };
      const done = () => {
        stop();
        resolve();
      };
      const callOff = this.#clock.after(stallTimeout_ms, () => {
        stop();
        reject(new InkmeshError('timeout', `the peer took nothing for ${stallTimeout_ms / 1000} s`));
      });
      this.#stream.addEventListener('drain', done);
      this.#stream.addEventListener('close', done);
    });
  }

  async end(): Promise<void> {
    if (this.#stream.writeStatus !== 'writable') return;
    try {
      await this.#stream.close();
    } catch (cause) {
      throw new InkmeshError('unavailable', 'the connection to the peer broke', {}, { cause });
    }
  }

  abort(reason: Error): void {
    this.#stream.abort(reason);
    this.#end(reason);
  }

  #send(data: Uint8Array): void {
    try {
      this.#stream.send(data);
    } catch (cause) {
      throw new InkmeshError('unavailable', 'the connection to the peer broke', {}, { cause });
    }
  }

  #end(failure?: Error): void {
    this.#ended = true;
    this.#failure ??= failure;
    this.#wake?.();
  }

  async #take(count: number, stall_ms: number): Promise<Uint8Array | undefined> {
    // what is asked for is waited for, however long it is
    this.#highWaterBytes = Math.max(readHighWaterBytes, count);
    while (this.#buffered < count) {
      if (this.#resume()) continue;
      if (this.#failure !== undefined || (this.#ended && this.#buffered > 0)) {
        throw new InkmeshError('unavailable', 'the connection to the peer broke', {}, {
          cause: this.#failure,
        });
      }
      if (this.#ended) return undefined;
      await this.#more(stall_ms);
    }
    const taken = this.#consume(count);
    if (this.#buffered <= readHighWaterBytes / 2) this.#resume();
    return taken;
  }

  /** Makes the sender wait if enough has come. */
  #hold(): void {
    // yamux asks for more at the end of `resume`, whatever has been said meanwhile
    if (this.#isResuming || this.#buffered <= this.#highWaterBytes) return;
    if (this.#stream.readStatus === 'readable') this.#stream.pause();
  }

  /** Lets the sender go on; what the stream held back arrives before this returns. True if it was paused. */
  #resume(): boolean {
    if (this.#stream.readStatus !== 'paused') return false;
    this.#isResuming = true;
    try {
      this.#stream.resume();
    } catch (thrown) {
      // a stream whose connection has gone gives what it has, and only then cannot ask for more
      if (this.#stream.status === 'open') throw thrown;
    } finally {
      this.#isResuming = false;
    }
    this.#hold();
    return true;
  }

  #more(stall_ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const callOff = this.#clock.after(stall_ms, () => {
        this.#wake = undefined;
        reject(new InkmeshError('timeout', `the peer sent nothing for ${stall_ms / 1000} s`));
      });
      this.#wake = () => {
        callOff();
        this.#wake = undefined;
        resolve();
      };
      if (this.#ended) this.#wake();
    });
  }

  #consume(count: number): Uint8Array {
    this.#buffered -= count;
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) {
      if (first.length === count) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const out = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const chunk = this.#chunks[0] as Uint8Array;
      const part = chunk.subarray(0, count - filled);
      out.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    return out;
  }
}
