/**
 * The one form of Yjs update (version 1 of its encoding) that nodes exchange: records that one writer has appended to
 * its array, in one struct, and nothing else.
 *
 *     1 client | 1 struct | client | clock | info | parent | count of records | (116 | length | octets)... | 0 deletions
 *
 * All numbers are Yjs's variable-length unsigned integers. At clock 0 `info` is 8 (ContentAny) and the parent is 1 and
 * the array's name; later it is 136 (with an origin) and the parent is the record before: client and clock - 1. An
 * array's name is `PEERID/RUN`, its client the first 48 bits of the SHA-256 of that name, so that nobody gets another's.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { InkmeshError } from './errors.ts';
import { maxFactBytes } from './limits.ts';

/** Records that follow each other in a writer's array. */
export interface Run {
  client: number;
  /** how many records there are before them */
  clock: number;
  /** of the array; undefined unless they are its first */
  name: string | undefined;
  records: Uint8Array[];
}

const contentAny = 8;
const hasOrigin = 0x80;
const octetsOfAny = 116;
const namePattern = /^(12D3KooW[1-9A-HJ-NP-Za-km-z]{44})\/[0-9a-f]{16}$/;

/** A name for a fresh array of a node. */
export function newArrayName(peer: string): string {
  return `${peer}/${crypto.getRandomValues(new Uint8Array(8)).toHex()}`;
}

/** Whose an array is; undefined for a name that no array has. */
export function authorOf(name: string): string | undefined {
  return namePattern.exec(name)?.[1];
}

/** The Yjs client of an array: never 0. */
export function clientOf(name: string): number {
  const digest = sha256(new TextEncoder().encode(name));
  return digest.subarray(0, 6).reduce((value, octet) => value * 256 + octet, 0) || 1;
}

/** @param name of the array, for clock 0 */
export function encodeRun({ client, clock, name = '', records }: Run): Uint8Array {
  const parts: Uint8Array[] = [];
  const numbers = (...values: number[]) => parts.push(Uint8Array.from(values.flatMap(varUint)));
  if (clock === 0) {
    const octets = new TextEncoder().encode(name);
    numbers(1, 1, client, clock, contentAny, 1, octets.length);
    parts.push(octets);
  } else {
    numbers(1, 1, client, clock);
    parts.push(Uint8Array.of(contentAny | hasOrigin));
    numbers(client, clock - 1);
  }
  numbers(records.length);
  for (const record of records) {
    numbers(octetsOfAny, record.length);
    parts.push(record);
  }
  numbers(0);
  return concat(parts);
}

/** The records are views of the update. @throws InkmeshError `bad-request` for anything that `encodeRun` does not give */
export function decodeRun(update: Uint8Array): Run {
  const reader = new Reader(update);
  reader.expect(1, 'updates are of one client');
  reader.expect(1, 'updates are of one struct');
  const client = reader.number();
  const clock = reader.number();
  reader.octet(clock === 0 ? contentAny : contentAny | hasOrigin);
  let name: string | undefined;
  if (clock === 0) {
    reader.expect(1, 'an array is at the root');
    name = new TextDecoder('latin1').decode(reader.octets(128));
    if (authorOf(name) === undefined || clientOf(name) !== client) {
      throw refusal('the array is not its writer’s');
    }
  } else {
    reader.expect(client, 'records follow those of their writer');
    reader.expect(clock - 1, 'records follow each other');
  }
  const count = reader.number();
  if (count < 1 || count > update.length) throw refusal('there are no records');
  const records: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    reader.expect(octetsOfAny, 'records are octets');
    records.push(reader.octets(maxFactBytes));
  }
  reader.expect(0, 'nothing is ever deleted');
  reader.end();
  return { client, clock, name, records };
}

const refusal = (why: string) => new InkmeshError('bad-request', `the update is not one of facts: ${why}`);

function varUint(value: number): number[] {
  const octets: number[] = [];
  for (let rest = value;; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...octets, rest];
    octets.push(128 + rest % 128);
  }
}

class Reader {
  readonly #octets: Uint8Array;
  #at = 0;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
  }

  /** Up to 53 bits, in as few octets as it can be. */
  number(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const octet = this.#octets[this.#at++];
      if (octet === undefined) throw refusal('it is cut off');
      value += (octet & 127) * scale;
      if (octet >= 128) continue;
      if ((octet === 0 && scale > 1) || !Number.isSafeInteger(value)) break;
      return value;
    }
    throw refusal('a number is not in its shortest form');
  }

  octet(wanted: number): void {
    if (this.#octets[this.#at++] !== wanted) throw refusal('a struct is of another kind');
  }

  expect(wanted: number, why: string): void {
    if (this.number() !== wanted) throw refusal(why);
  }

  octets(max: number): Uint8Array {
    const length = this.number();
    if (length > max) throw refusal('a record is too large');
    if (this.#at + length > this.#octets.length) throw refusal('it is cut off');
    return this.#octets.subarray(this.#at, this.#at += length);
  }

  end(): void {
    if (this.#at !== this.#octets.length) throw refusal('something follows it');
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
