/** The table of verified facts with its index in memory: what is known here, and what of it others may be told. */
import { type NodeIdentity, readIdentity, type Trust } from './certificate.ts';
import { decode } from './codec.ts';
import { asInkmeshError } from './errors.ts';
import { type Digest, FactIndex, SharedNames, type Volume } from './fact-index.ts';
import { directoryDoc, type Fact, idOfPayload, type Kind, type KnownFacts, readFact } from './facts.ts';
import { Certificates, type NodeBody, nodeKind } from './node-fact.ts';
import type { FactRow, FactTable, Log } from './ports.ts';

export interface FactStoreOptions {
  table: FactTable;
  trust: Trust;
  now_ms(): number;
  log: Log;
}

export class FactStore implements KnownFacts {
  protected readonly table: FactTable;
  protected readonly kinds: ReadonlyMap<string, Kind>;
  readonly #options: FactStoreOptions;
  readonly #index = new FactIndex();
  readonly #names = new SharedNames();
  readonly #certificates = new Certificates();
  /** ids in hex: in the table, and not yet for others */
  readonly #heldBack = new Set<string>();

  protected constructor(options: FactStoreOptions, kinds: readonly Kind[]) {
    this.#options = options;
    this.table = options.table;
    this.kinds = new Map(kinds.map((kind) => [kind.name, kind]));
  }

  /** The latest fact about a subject. */
  latest(kind: string, subject: string): Fact | undefined {
    return this.about(kind, subject).at(-1);
  }

  /** The earliest fact about a subject: the one that counts where no other may contradict it. */
  first(kind: string, subject: string): Fact | undefined {
    return this.about(kind, subject)[0];
  }

  /** All facts about a subject, oldest first. */
  about(kind: string, subject: string): readonly Fact[] {
    return this.#index.about(kind, subject);
  }

  /** The latest fact about each subject of a kind. */
  all(kind: string): Fact[] {
    return this.#index.all(kind);
  }

  /** Who a node is: by its newest certificate, valid or lapsed. */
  identity(peer: string): NodeIdentity | undefined {
    return this.#certificates.identity(peer, this.#options.now_ms());
  }

  /** A node's certificates that hold at a time, the newest first. */
  certificates(peer: string, time_ms: number): NodeIdentity[] {
    return this.#certificates.at(peer, time_ms);
  }

  /** Every node whose certificate is known. */
  nodes(): NodeIdentity[] {
    return this.#certificates.peers().flatMap((peer) => this.identity(peer) ?? []);
  }

  /** Whether a node of the site is known. */
  hasSite(site: string): boolean {
    return this.#certificates.hasSite(site);
  }

  /** The age recipient of a node, for what is sealed to it alone; undefined while it is not known. */
  sealOf(peer: string): string | undefined {
    return this.#certificates.sealOf(peer, this.#options.now_ms());
  }

  /** Of the facts of a document that others may know. */
  digest(doc: string): Digest {
    return this.#index.digest(doc);
  }

  ids(doc: string): Uint8Array[] {
    return this.table.ids(doc).filter((id) => !this.#heldBack.has(id.toHex()));
  }

  /** A record that others may know. */
  recordOf(doc: string, id: Uint8Array): Uint8Array | undefined {
    return this.#heldBack.has(id.toHex()) ? undefined : this.table.get(doc, id);
  }

  /** What an author has stated in a document. */
  volume(doc: string, author: string): Volume {
    return this.#index.volume(doc, author);
  }

  /** The records of one author in a document that others may know, oldest first. */
  recordsBy(author: string, doc: string): Uint8Array[] {
    if (this.volume(doc, author).facts === 0) return [];
    // most records of a large document are others', and tell so before they are taken apart
    const name = Buffer.from(author);
    return this.table.byDoc(doc)
      .filter(({ id, record }) => octetsOf(record).includes(name) && !this.#heldBack.has(id.toHex()))
      .flatMap(({ record }) => {
        const { fact } = readFact(record);
        return fact.author === author ? [{ seq: fact.seq, record }] : [];
      })
      .sort((a, b) => a.seq - b.seq).map(({ record }) => record);
  }

  /** Whether others are not told of a fact in the table. */
  isHeldBack(id: Uint8Array): boolean {
    return this.#heldBack.has(id.toHex());
  }

  /** Forgets a whole document, on disk too. */
  drop(doc: string): void {
    this.table.drop(doc);
    this.#index.drop(doc);
  }

  /** Puts all rows into the index; those that are damaged are taken out, to be fetched again. */
  protected async load(each: (fact: Fact) => void): Promise<void> {
    for (const doc of new Set([directoryDoc, ...this.table.docs()])) {
      const damaged: Uint8Array[] = [];
      for (const row of this.table.byDoc(doc)) {
        try {
          const fact = this.#read(row);
          if (fact === undefined) continue;
          if (fact.kind === nodeKind.name) await this.learn(fact.body as NodeBody);
          this.note(fact, row.id, row.record.length, false);
          each(fact);
        } catch (thrown) {
          this.#options.log('error', 'a stored fact is damaged', {
            doc,
            reason: asInkmeshError(thrown).message,
          });
          damaged.push(row.id);
        }
      }
      if (damaged.length > 0) this.table.remove(doc, damaged);
    }
  }

  /** Takes note of the certificate that is the body of a `node` fact. */
  protected async learn({ leaf, issuers, seal }: NodeBody): Promise<void> {
    const identity = await readIdentity(this.#options.trust, leaf, issuers);
    if (identity.kind === 'node') this.#certificates.add(identity, seal);
  }

  /** @returns the fact as it is kept in memory; undefined when it was known already */
  protected note(fact: Fact, id: Uint8Array, octets: number, heldBack: boolean): Fact | undefined {
    const shared = this.#names.share(fact);
    if (!this.#index.add(shared, octets)) return undefined;
    if (heldBack) this.#heldBack.add(id.toHex());
    else this.#index.count(fact.doc, id, 1);
    return shared;
  }

  protected reveal(doc: string, id: Uint8Array): void {
    if (this.#heldBack.delete(id.toHex())) this.#index.count(doc, id, 1);
  }

  /**
   * Takes out what a node has said since a time, but for what `spare` keeps, and what does not hold without it.
   * @returns what was taken out
   */
  protected async purge(
    author: string,
    since_ms: number,
    spare: (fact: Fact) => boolean,
    holds: (record: Uint8Array) => Promise<boolean>,
  ): Promise<Fact[]> {
    const removed: Fact[] = [];
    const remove = (row: FactRow, fact: Fact) => {
      this.#remove(row, fact);
      removed.push(fact);
    };
    for (const doc of this.table.docs()) {
      if (this.volume(doc, author).facts === 0) continue;
      const subjects = new Set<string>();
      const rows = this.table.byDoc(doc).flatMap((row) => {
        const fact = this.#read(row);
        return fact === undefined ? [] : [{ row, fact }];
      });
      const out = rows.filter(({ fact }) =>
        fact.author === author && fact.time_ms >= since_ms && !spare(fact)
      );
      for (const { row, fact } of out) {
        remove(row, fact);
        subjects.add(fact.subject);
      }
      for (const { row, fact } of rows) {
        if (!subjects.has(fact.subject) || out.some((one) => one.fact === fact)) continue;
        if (!await holds(row.record)) remove(row, fact);
      }
    }
    return removed;
  }

  #remove({ doc, id, record }: FactRow, fact: Fact): void {
    this.table.remove(doc, [id]);
    this.#index.remove(fact, record.length);
    if (!this.#heldBack.delete(id.toHex())) this.#index.count(doc, id, -1);
  }

  /** A row's fact; undefined when it is of a kind that is not known here. @throws when it is damaged */
  #read({ doc, id, record }: FactRow): Fact | undefined {
    const { fact, bodyBytes, payload } = readFact(record);
    if (!Buffer.from(idOfPayload(payload)).equals(id) || fact.doc !== doc) {
      throw new TypeError('it is not the row’s');
    }
    const kind = this.kinds.get(fact.kind);
    return kind === undefined ? undefined : { ...fact, body: decode(kind.body, bodyBytes) };
  }
}

const octetsOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, length);
