/** Random numbers out of a seed: the same seed gives the same numbers, and one purpose's do not move another's. */
import { createHash } from 'node:crypto';

export class Random {
  readonly #state: Uint32Array;

  /** @param seed any text; what differs in it by purpose keeps the purposes apart */
  constructor(seed: string) {
    const digest = createHash('sha256').update(seed).digest();
    this.#state = new Uint32Array(4).map((_, i) => digest.readUInt32LE(i * 4));
  }

  /** A whole number from 0 to 2^32 - 1 (the generator sfc32). */
  word(): number {
    const s = this.#state;
    const result = (s[0]! + s[1]! + s[3]!) | 0;
    s[3] = s[3]! + 1;
    s[0] = s[1]! ^ (s[1]! >>> 9);
    s[1] = s[2]! + (s[2]! << 3);
    s[2] = ((s[2]! << 21) | (s[2]! >>> 11)) + result;
    return result >>> 0;
  }

  /** From 0 to less than 1. */
  fraction(): number {
    return this.word() / 2 ** 32;
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from');
    return list[this.below(list.length)]!;
  }

  fill(octets: Uint8Array): void {
    for (let at = 0; at < octets.length; at += 4) {
      const word = this.word();
      for (let i = 0; i < 4 && at + i < octets.length; i++) octets[at + i] = word >>> (8 * i);
    }
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const octets = new Uint8Array(count);
    this.fill(octets);
    return octets;
  }
}
