/** Reading and writing octets with every length checked. */
import { InkmeshError } from '../../mesh/errors.ts';

export function bad(message: string): InkmeshError {
  return new InkmeshError('bad-request', message);
}

// ignoreBOM keeps a byte order mark, so that encoding gives the same octets
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws InkmeshError `bad-request` when the octets are not UTF-8 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw bad('the IPP message has text that is not UTF-8');
  }
}

const lenient = new TextDecoder();

/** What people are to read of octets that may be of any encoding: what is not UTF-8 becomes U+FFFD. */
export function readableText(bytes: Uint8Array): string {
  return lenient.decode(bytes);
}

/** Takes numbers and octets off the front. Every method throws InkmeshError `bad-request` past the end. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Uint8Array {
    const from = this.#skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#skip(2));
  }

  i32(): number {
    return this.#view.getInt32(this.#skip(4));
  }

  #skip(length: number): number {
    if (length > this.left) throw bad('the IPP message ends in the middle');
    const from = this.#at;
    this.#at += length;
    return from;
  }
}

/** Puts numbers and octets behind each other. Every method throws RangeError for what does not fit. */
export class Writer {
  #bytes = new Uint8Array(64);
  #length = 0;

  u8(value: number): void {
    this.#number(1, value, 0, 0xff, (view, at) => view.setUint8(at, value));
  }

  u16(value: number): void {
    this.#number(2, value, 0, 0xffff, (view, at) => view.setUint16(at, value));
  }

  i32(value: number): void {
    this.#number(4, value, -0x80000000, 0x7fffffff, (view, at) => view.setInt32(at, value));
  }

  put(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #number(
    size: number,
    value: number,
    min: number,
    max: number,
    set: (view: DataView, at: number) => void,
  ): void {
    if (!Number.isInteger(value) || value < min || value > max) throw new RangeError(`${value} does not fit`);
    const at = this.#grow(size);
    set(new DataView(this.#bytes.buffer), at);
  }

  #grow(by: number): number {
    const at = this.#length;
    this.#length += by;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    return at;
  }
}
