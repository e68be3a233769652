/** A channel over a simulated link: frames in both directions, each held back by its reader. */
import { InkmeshError } from '../../mesh/errors.ts';
import { readHighWaterBytes, stallTimeout_ms } from '../../mesh/limits.ts';
import type { Channel, Clock } from '../../mesh/ports.ts';
import type { Lane } from './lane.ts';

/** Octets that a frame costs beside its own: our length, yamux's header, Noise's length and tag. */
const frameOverheadBytes = 4 + 12 + 18;
const creditStepBytes = readHighWaterBytes / 4;

const broken = (cause?: Error) =>
  new InkmeshError('unavailable', 'the connection to the peer broke', {}, { cause });

export interface ChannelOptions {
  clock: Clock;
  /** how many octets are sent */
  count(octets: number): void;
  /** both directions have ended, or it broke */
  closed(channel: SimChannel): void;
}

export class SimChannel implements Channel {
  readonly #options: ChannelOptions;
  #out: Lane | undefined;
  #other: SimChannel | undefined;
  #inbox: Uint8Array[] = [];
  #ended = false;
  #outEnded = false;
  #failure: Error | undefined;
  /** sent and not yet known to be read */
  #onItsWay = 0;
  #uncredited = 0;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  join(out: Lane, other: SimChannel): void {
    this.#out = out;
    this.#other = other;
  }

  async read(maxBytes: number, stall_ms: number): Promise<Uint8Array | undefined> {
    while (this.#inbox.length === 0) {
      if (this.#failure !== undefined) throw broken(this.#failure);
      if (this.#ended) return undefined;
      await this.#until(stall_ms, 'the peer sent nothing', (wake) => this.#wakeReader = wake);
    }
    const frame = this.#inbox.shift()!;
    if (frame.length > maxBytes) {
      throw new InkmeshError(
        'too-large',
        `a frame of ${frame.length} bytes is over the limit of ${maxBytes}`,
      );
    }
    this.#uncredited += frame.length;
    if (this.#uncredited >= creditStepBytes) {
      const octets = this.#uncredited;
      this.#uncredited = 0;
      this.#out?.post(() => this.#other?.credit(octets));
    }
    return frame;
  }

  async write(frame: Uint8Array): Promise<void> {
    if (this.#failure !== undefined || this.#outEnded) throw broken(this.#failure);
    const copy = frame.slice();
    this.#options.count(frame.length + frameOverheadBytes);
    this.#onItsWay += frame.length;
    this.#out?.post(() => this.#other?.arrived(copy));
    while (this.#onItsWay > readHighWaterBytes && this.#failure === undefined) {
      await this.#until(stallTimeout_ms, 'the peer took nothing', (wake) => this.#wakeWriter = wake);
    }
  }

  end(): Promise<void> {
    if (!this.#outEnded && this.#failure === undefined) {
      this.#outEnded = true;
      this.#out?.post(() => this.#other?.arrived(undefined));
      if (this.#ended) this.#options.closed(this);
    }
    return Promise.resolve();
  }

  abort(reason: Error): void {
    if (this.#failure !== undefined) return;
    const over = this.#ended && this.#outEnded;
    this.fail(reason);
    if (!over) this.#out?.post(() => this.#other?.fail(broken()));
  }

  /** What the other end has sent: a frame, or that nothing follows. */
  arrived(frame: Uint8Array | undefined): void {
    if (this.#failure !== undefined) return;
    if (frame !== undefined) this.#inbox.push(frame);
    else {
      this.#ended = true;
      if (this.#outEnded) this.#options.closed(this);
    }
    this.#wakeReader?.();
  }

  credit(octets: number): void {
    this.#onItsWay -= octets;
    this.#wakeWriter?.();
  }

  /** It broke: what has arrived can still be read. */
  fail(reason: Error): void {
    if (this.#failure !== undefined || (this.#ended && this.#outEnded)) return;
    this.#failure = reason;
    this.#wakeReader?.();
    this.#wakeWriter?.();
    this.#options.closed(this);
  }

  #until(limit_ms: number, otherwise: string, wait: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const callOff = this.#options.clock.after(limit_ms, () => {
        wait(() => {});
        reject(new InkmeshError('timeout', `${otherwise} for ${limit_ms / 1000} s`));
      });
      wait(() => {
        callOff();
        wait(() => {});
        resolve();
      });
    });
  }
}
