/**
 * What this node lacks, and who has told it that they have it: one of them is asked, and when it does not answer soon,
 * or not with that, the next. Each teller has room of its own, so that nobody keeps news away by telling of more than
 * it gives.
 */
import { maxSources, maxWantedPerTeller, nextSource_ms } from './limits.ts';
import type { Clock } from './ports.ts';

interface Want {
  /** how much there is to get */
  goal: number;
  /** whose room it takes */
  teller: string;
  /** who has it and is not being asked */
  sources: string[];
  asked: Set<string>;
  asked_ms: number;
}

export interface WantedOptions<Key> {
  clock: Clock;
  lacks(doc: string, key: Key, goal: number): boolean;
  /**
   * Asks a peer, and takes in what it gives; does not fail.
   * @param answered to be called when the answer is here
   */
  ask(doc: string, keys: readonly Key[], from: string, answered: () => void): Promise<unknown>;
  /** a peer has told of something that was not got */
  missed(doc: string, from: string): void;
}

export class Wanted<Key> {
  readonly #options: WantedOptions<Key>;
  readonly #wants = new Map<string, Map<Key, Want>>();
  readonly #tellers = new Map<string, number>();
  readonly #timers = new Set<() => void>();

  constructor(options: WantedOptions<Key>) {
    this.#options = options;
  }

  /** A peer tells of what is lacking here, and how much there is of it. */
  told(doc: string, news: Iterable<readonly [Key, number]>, from: string): void {
    const now_ms = this.#options.clock.monotonic_ms();
    const asked: Key[] = [];
    let isFull = false;
    for (const [key, goal] of news) {
      const want = this.#wants.get(doc)?.get(key) ?? this.#add(doc, key, from);
      if (want === undefined) isFull = true;
      if (want === undefined || want.asked.has(from)) continue;
      want.goal = Math.max(want.goal, goal);
      if (want.asked.size === 0 || now_ms - want.asked_ms >= nextSource_ms) asked.push(key);
      else if (want.sources.length < maxSources && !want.sources.includes(from)) want.sources.push(from);
    }
    if (asked.length > 0) void this.#ask(doc, asked, from);
    if (isFull) this.#options.missed(doc, from);
  }

  /** Who has told of something. */
  tellersOf(doc: string, key: Key): string[] {
    const want = this.#wants.get(doc)?.get(key);
    return want === undefined ? [] : [...want.asked, ...want.sources];
  }

  close(): void {
    for (const callOff of this.#timers) callOff();
    this.#wants.clear();
  }

  #add(doc: string, key: Key, teller: string): Want | undefined {
    const count = this.#tellers.get(teller) ?? 0;
    if (count >= maxWantedPerTeller) return undefined;
    this.#tellers.set(teller, count + 1);
    const want: Want = { goal: 0, teller, sources: [], asked: new Set(), asked_ms: 0 };
    const byKey = this.#wants.get(doc) ?? new Map<Key, Want>();
    this.#wants.set(doc, byKey.set(key, want));
    return want;
  }

  async #ask(doc: string, keys: readonly Key[], from: string): Promise<void> {
    const { clock, ask } = this.#options;
    for (const key of keys) {
      const want = this.#wants.get(doc)?.get(key);
      if (want === undefined) continue;
      want.asked.add(from);
      want.asked_ms = clock.monotonic_ms();
      want.sources = want.sources.filter((source) => source !== from);
    }
    const callOff = clock.after(nextSource_ms, () => this.#goOn(doc, keys, from));
    this.#timers.add(callOff);
    const answered = () => {
      callOff();
      this.#timers.delete(callOff);
    };
    await ask(doc, keys, from, answered);
    answered();
    for (const key of keys) this.#wants.get(doc)?.get(key)?.asked.delete(from);
    this.#goOn(doc, keys, from);
  }

  /** What has not come is asked of the next that has it. */
  #goOn(doc: string, keys: readonly Key[], from: string): void {
    const next = new Map<string, Key[]>();
    let isMissed = false;
    for (const key of keys) {
      const want = this.#wants.get(doc)?.get(key);
      if (want === undefined) continue;
      const lacking = this.#options.lacks(doc, key, want.goal);
      const [source] = want.sources;
      if (lacking && source !== undefined) next.set(source, [...next.get(source) ?? [], key]);
      else if (!lacking || want.asked.size === 0) {
        this.#forget(doc, key, want);
        isMissed ||= lacking;
      }
    }
    for (const [source, some] of next) void this.#ask(doc, some, source);
    if (isMissed) this.#options.missed(doc, from);
  }

  #forget(doc: string, key: Key, { teller }: Want): void {
    this.#wants.get(doc)?.delete(key);
    if (this.#wants.get(doc)?.size === 0) this.#wants.delete(doc);
    const left = (this.#tellers.get(teller) ?? 1) - 1;
    if (left > 0) this.#tellers.set(teller, left);
    else this.#tellers.delete(teller);
  }
}
