/**
 * A Yjs document that carries facts: each writer appends to an array of its own, and nothing is ever changed or taken
 * out, so that adjacent records merge into one Yjs item. Nothing gets in here that update.ts and the ledger have not
 * passed.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as Y from 'yjs';
import { InkmeshError } from './errors.ts';
import { readFact } from './facts.ts';
import { keptRunsPerAuthor, maxPulledBytes, maxSnapshotBytes } from './limits.ts';
import { authorOf, clientOf, encodeRun, newArrayName, type Run } from './update.ts';

/** An array and how many records it has. */
export interface Mark {
  name: string;
  clock: number;
}

export class Carrier {
  #doc = new Y.Doc();
  readonly #peer: string;
  /** arrays by their Yjs clients */
  readonly #names = new Map<number, string>();
  /** arrays, and octets in them, by author */
  readonly #carried = new Map<string, { runs: number; octets: number }>();
  #own: { name: string; client: number };

  /** @param peer whose own array is appended to here */
  constructor(peer: string) {
    this.#peer = peer;
    this.#own = this.#fresh();
  }

  /** The Yjs client that this node's facts go under. */
  get client(): number {
    return this.#own.client;
  }

  /** Goes on in a fresh array. */
  rotate(): void {
    this.#own = this.#fresh();
  }

  /** Where this node's own array stands. */
  mark(): Mark {
    return { name: this.#own.name, clock: this.clock(this.#own.client) };
  }

  /** Goes on in an array that this process has begun, if it is here as far as it was written. */
  resume({ name, clock }: Mark): void {
    const client = clientOf(name);
    if (clock > 0 && this.clock(client) === clock) this.#own = { name, client };
  }

  /** How many records of a client there are. */
  clock(client: number): number {
    return Y.getState(this.#doc.store, client);
  }

  clocks(): Map<number, number> {
    return Y.decodeStateVector(Y.encodeStateVector(this.#doc));
  }

  nameOf(client: number): string | undefined {
    return this.#names.get(client);
  }

  /** How many arrays an author has, and the octets in them. */
  carriedOf(author: string): { runs: number; octets: number } {
    return this.#carried.get(author) ?? { runs: 0, octets: 0 };
  }

  /** Appends to this node's own array. */
  append(records: Uint8Array[]): void {
    const { client, name } = this.#own;
    this.integrate({ client, name, clock: this.clock(client), records });
  }

  /** Takes in records that follow those that are here. @param run with the name of its array */
  integrate(run: Run & { name: string }): void {
    Y.applyUpdate(this.#doc, encodeRun(run));
    this.#note(run.client, run.name, run.records);
  }

  /** The records of a client from a clock on, as one update, as many as go into a reply; undefined when there are none. */
  encode(client: number, clock: number, maxBytes = maxPulledBytes): Uint8Array | undefined {
    const records: Uint8Array[] = [];
    let octets = 0;
    for (const record of this.#records(client, clock)) {
      octets += record.length;
      if (octets > maxBytes && records.length > 0) break;
      records.push(record);
    }
    return records.length === 0
      ? undefined
      : encodeRun({ client, clock, name: this.#names.get(client), records });
  }

  /** The records of this node's arrays, of all its runs. */
  own(): Uint8Array[] {
    return [...this.#names].flatMap(([client, name]) =>
      authorOf(name) === this.#peer ? this.#all(client) : []
    );
  }

  /** The document as it is kept on disk: SHA-256, then what it is of, deflated. */
  snapshot(): Uint8Array {
    const update = Y.encodeStateAsUpdate(this.#doc);
    // records that came one by one each had a buffer of their own: from here on they share one
    this.#doc.destroy();
    this.#doc = new Y.Doc();
    Y.applyUpdate(this.#doc, update);
    const packed = deflateRawSync(update);
    return new Uint8Array(Buffer.concat([sha256(packed), packed]));
  }

  /**
   * Takes in a snapshot, before anything else. Arrays of past runs do not pile up: of those of an author the newest are
   * kept, and others if there is a record in them that is not `known` elsewhere.
   * @throws InkmeshError `corrupt`
   */
  restore(snapshot: Uint8Array, isKnown: (record: Uint8Array) => boolean): void {
    const packed = snapshot.subarray(32);
    if (!Buffer.from(sha256(packed)).equals(snapshot.subarray(0, 32))) {
      throw new InkmeshError('corrupt', 'the snapshot is not what was written');
    }
    Y.applyUpdate(this.#doc, new Uint8Array(inflateRawSync(packed, { maxOutputLength: maxSnapshotBytes })));
    for (const name of this.#doc.share.keys()) {
      const client = clientOf(name);
      this.#note(client, name, this.#records(client, 0));
    }
    const past = new Set([...this.#carried.keys()].flatMap((author) => this.#pastOf(author)));
    const runs = [...this.#names].map(([client, name]) => ({
      client,
      name,
      clock: 0,
      records: this.#all(client),
    }));
    const kept = runs.filter(({ client, records }) => !past.has(client) || !records.every(isKnown));
    if (kept.length === runs.length) return;
    this.#doc.destroy();
    this.#doc = new Y.Doc();
    this.#names.clear();
    this.#carried.clear();
    for (const run of kept) this.integrate(run);
  }

  close(): void {
    this.#doc.destroy();
  }

  #fresh(): { name: string; client: number } {
    const name = newArrayName(this.#peer);
    return { name, client: clientOf(name) };
  }

  #note(client: number, name: string, records: Iterable<Uint8Array>): void {
    const author = authorOf(name) ?? '';
    const { runs, octets } = this.carriedOf(author);
    let more = 0;
    for (const record of records) more += record.length;
    this.#carried.set(author, { runs: runs + (this.#names.has(client) ? 0 : 1), octets: octets + more });
    this.#names.set(client, name);
  }

  #all(client: number): Uint8Array[] {
    return [...this.#records(client, 0)];
  }

  /** The clients of an author's arrays, but for those that it has written last. */
  #pastOf(author: string): number[] {
    if (this.carriedOf(author).runs <= keptRunsPerAuthor) return [];
    const ended = (client: number) =>
      Math.max(...this.#all(client).slice(-1).map((one) => readFact(one).fact.seq));
    return [...this.#names].filter(([, name]) => authorOf(name) === author)
      .map(([client]) => ({ client, end: ended(client) }))
      .sort((a, b) => b.end - a.end).slice(keptRunsPerAuthor).map(({ client }) => client);
  }

  *#records(client: number, from: number): Generator<Uint8Array> {
    for (const item of this.#doc.store.clients.get(client) ?? []) {
      if (!(item instanceof Y.Item) || item.id.clock + item.length <= from) continue;
      yield* item.content.getContent().slice(Math.max(0, from - item.id.clock)) as Uint8Array[];
    }
  }
}
