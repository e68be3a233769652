/** Takes an IPP message off the front of a byte stream and leaves the document behind it unread. */
import { ippLimits } from '../limits.ts';
import { bad } from './bytes.ts';
import { firstValueTag, parseMessage } from './codec.ts';
import type { IppMessage } from './message.ts';
import { groups } from './registry.ts';

/** version, code, request-id */
const prefixBytes = 8;

export interface Received {
  message: IppMessage;
  /** what follows the attributes; read once, and only as fast as it is asked for */
  document: AsyncIterable<Uint8Array>;
}

/**
 * Reads up to the end of the attributes.
 * @param parse what makes a message of them
 * @throws InkmeshError `bad-request` for a malformed message, one that ends early, or one longer than its cap;
 * and whatever `stream` throws
 */
export async function readMessage(
  stream: AsyncIterable<Uint8Array>,
  parse: (bytes: Uint8Array) => IppMessage = parseMessage,
): Promise<Received> {
  const chunks = stream[Symbol.asyncIterator]();
  const scan = new HeaderScan();
  while (true) {
    const next = await chunks.next();
    if (next.done === true) throw bad('the IPP message ends in the middle');
    const rest = scan.add(next.value);
    if (rest !== undefined) return { message: parse(scan.header), document: continued(rest, chunks) };
  }
}

/**
 * The first eight octets of a request, to answer one that is not read further.
 * @throws InkmeshError `bad-request` when there are fewer, and whatever `stream` throws
 */
export async function readPrefix(stream: AsyncIterable<Uint8Array>): Promise<Omit<IppMessage, 'groups'>> {
  const prefix = new Uint8Array(prefixBytes);
  const chunks = stream[Symbol.asyncIterator]();
  for (let length = 0; length < prefixBytes;) {
    const next = await chunks.next();
    if (next.done === true) throw bad('the IPP message ends in the middle');
    const part = next.value.subarray(0, prefixBytes - length);
    prefix.set(part, length);
    length += part.length;
  }
  const view = new DataView(prefix.buffer);
  return { version: view.getUint16(0), code: view.getUint16(2), requestId: view.getInt32(4) };
}

/** A reader that stops early does not cancel the stream: the answer still has to go out on its connection. */
async function* continued(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

/** Finds the end of the attributes while they arrive; each octet is looked at once. */
class HeaderScan {
  #bytes = new Uint8Array(4096);
  #length = 0;
  #at = prefixBytes;

  get header(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  /** @returns the octets behind the end of the attributes, or undefined while that has not come */
  add(chunk: Uint8Array): Uint8Array | undefined {
    const taken = chunk.subarray(0, ippLimits.maxHeaderBytes - this.#length);
    this.#append(taken);
    if (!this.#advance()) {
      if (this.#length === ippLimits.maxHeaderBytes) throw bad('the IPP message has too many attributes');
      return undefined;
    }
    return chunk.subarray(taken.length - (this.#length - this.#at));
  }

  #append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
  }

  /** Steps over whole values only, so that it can go on from there when more has come. */
  #advance(): boolean {
    const view = new DataView(this.#bytes.buffer);
    while (this.#at < this.#length) {
      const tag = view.getUint8(this.#at);
      if (tag === groups['end-of-attributes-tag']) {
        this.#at += 1;
        return true;
      }
      const next = tag < firstValueTag ? this.#at + 1 : this.#afterValue(view);
      if (next === undefined || next > this.#length) return false;
      this.#at = next;
    }
    return false;
  }

  #afterValue(view: DataView): number | undefined {
    const value = this.#at + 3;
    if (value > this.#length) return undefined;
    const valueLength = value + view.getUint16(this.#at + 1);
    if (valueLength + 2 > this.#length) return undefined;
    return valueLength + 2 + view.getUint16(valueLength);
  }
}
