/** Verified facts as they are looked up: by kind and subject, with how many there are of whom, and a digest of each document. */
import { encode } from './codec.ts';
import { type Fact, idBytes } from './facts.ts';

/** Two nodes that have the same count and digest of a document have the same facts. */
export interface Digest {
  count: number;
  /** XOR of the ids, 16 octets */
  sum: Uint8Array;
}

export interface Volume {
  facts: number;
  octets: number;
}

export class FactIndex {
  /** by kind and subject; most subjects have one fact, for which no list is made: there are as many as jobs */
  readonly #facts = new Map<string, Map<string, Fact | readonly Fact[]>>();
  readonly #digests = new Map<string, Digest>();
  /** by document: the XOR of the ids that begin with each octet, one behind the other */
  readonly #buckets = new Map<string, Uint8Array>();
  /** by document and author */
  readonly #volumes = new Map<string, Map<string, Volume>>();

  /** False when the fact is there already. */
  add(fact: Fact, octets: number): boolean {
    const bySubject = this.#facts.get(fact.kind) ?? new Map<string, Fact | readonly Fact[]>();
    this.#facts.set(fact.kind, bySubject);
    const known = bySubject.get(fact.subject);
    if (known === undefined) bySubject.set(fact.subject, fact);
    else {
      const about = listOf(known);
      const at = placeIn(about, fact, order);
      const next = about[at];
      if (next !== undefined && order(next, fact) === 0) return false;
      bySubject.set(fact.subject, about.toSpliced(at, 0, fact));
    }
    const { facts, octets: before } = this.volume(fact.doc, fact.author);
    this.#setVolume(fact, { facts: facts + 1, octets: before + octets });
    return true;
  }

  remove(fact: Fact, octets: number): void {
    const about = this.about(fact.kind, fact.subject);
    const left = about.filter((other) => order(other, fact) !== 0);
    if (left.length === about.length) return;
    if (left.length > 0) this.#facts.get(fact.kind)?.set(fact.subject, left);
    else this.#facts.get(fact.kind)?.delete(fact.subject);
    const { facts, octets: before } = this.volume(fact.doc, fact.author);
    this.#setVolume(fact, { facts: facts - 1, octets: before - octets });
  }

  /** Forgets a whole document. */
  drop(doc: string): void {
    for (const bySubject of this.#facts.values()) {
      for (const [subject, facts] of bySubject) {
        const left = listOf(facts).filter((fact) => fact.doc !== doc);
        if (left.length === 0) bySubject.delete(subject);
        else if (left.length < listOf(facts).length) bySubject.set(subject, left);
      }
    }
    this.#volumes.delete(doc);
    this.#digests.delete(doc);
    this.#buckets.delete(doc);
  }

  /** Oldest first. */
  about(kind: string, subject: string): readonly Fact[] {
    const facts = this.#facts.get(kind)?.get(subject);
    return facts === undefined ? [] : listOf(facts);
  }

  /** The latest about each subject. */
  all(kind: string): Fact[] {
    return [...this.#facts.get(kind)?.values() ?? []].flatMap((facts) => listOf(facts).at(-1) ?? []);
  }

  volume(doc: string, author: string): Volume {
    return this.#volumes.get(doc)?.get(author) ?? { facts: 0, octets: 0 };
  }

  /** Who has stated how much in which documents. */
  *volumes(): Generator<{ doc: string; author: string; volume: Volume }> {
    for (const [doc, byAuthor] of this.#volumes) {
      for (const [author, volume] of byAuthor) yield { doc, author, volume };
    }
  }

  digest(doc: string): Digest {
    return this.#digests.get(doc) ?? { count: 0, sum: new Uint8Array(16) };
  }

  /** Takes an id into a document's digest, or (`by` -1) out of it. */
  count(doc: string, id: Uint8Array, by: 1 | -1): void {
    const { count, sum } = this.digest(doc);
    this.#digests.set(doc, { count: count + by, sum: sum.map((octet, i) => octet ^ (id[i] ?? 0)) });
    const buckets = this.#buckets.get(doc) ?? new Uint8Array(256 * idBytes);
    this.#buckets.set(doc, buckets);
    const at = (id[0] ?? 0) * idBytes;
    id.forEach((octet, i) => buckets[at + i]! ^= octet);
  }

  /** 256 sums of 16 octets: of each bucket of ids, which one octet begins. */
  buckets(doc: string): Uint8Array {
    return this.#buckets.get(doc)?.slice() ?? new Uint8Array(256 * idBytes);
  }

  #setVolume({ doc, author }: Fact, volume: Volume): void {
    const byAuthor = this.#volumes.get(doc) ?? new Map<string, Volume>();
    this.#volumes.set(doc, byAuthor);
    byAuthor.set(author, volume);
  }
}

function listOf(facts: Fact | readonly Fact[]): readonly Fact[] {
  return 'kind' in facts ? [facts] : facts;
}

/** Where one belongs among others that are in order: before those that are its equals. */
export function placeIn<T>(others: readonly T[], one: T, compare: (a: T, b: T) => number): number {
  let [low, high] = [0, others.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(others[middle]!, one) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** By time, then author, then sequence; an author that gives one number to two facts has them in the order of their octets. */
export function order(a: Fact, b: Fact): number {
  if (a.time_ms !== b.time_ms) return a.time_ms - b.time_ms;
  if (a.author !== b.author) return a.author < b.author ? -1 : 1;
  return a.seq - b.seq || Buffer.compare(encode([a.doc, a.body]), encode([b.doc, b.body]));
}

const maxShared = 16_384;
const maxSharedLists = 1024;

/** One copy of each name that comes again and again: of nodes, documents and kinds; and of each list of names. */
export class SharedNames {
  readonly #names = new Map<string, string>();
  readonly #lists = new Map<string, readonly unknown[]>();

  /** The fact with its names shared, those in its body too. */
  share(fact: Fact): Fact {
    const { doc, author, seq, kind, subject, time_ms, body } = fact;
    return {
      doc: this.#one(doc),
      author: this.#one(author),
      seq,
      kind: this.#one(kind),
      subject,
      time_ms,
      body: this.#in(body),
    };
  }

  #in(value: unknown): unknown {
    if (typeof value === 'string') return value.length <= 64 ? this.#one(value) : value;
    if (Array.isArray(value)) return this.#list(value.map((part) => this.#in(part)));
    if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
    const shared = value as Record<string, unknown>;
    for (const key of Object.keys(shared)) shared[key] = this.#in(shared[key]);
    return shared;
  }

  /** Jobs of a small site have the same few lists of holders. */
  #list(parts: readonly unknown[]): readonly unknown[] {
    if (!parts.every((part) => typeof part === 'string')) return parts;
    const text = JSON.stringify(parts);
    const known = this.#lists.get(text);
    if (known !== undefined) return known;
    if (this.#lists.size < maxSharedLists) this.#lists.set(text, parts);
    return parts;
  }

  #one(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size < maxShared) this.#names.set(name, name);
    return name;
  }
}
