/** The table of verified facts with its index in memory: what is known here, and what of it others may be told. */
import { type NodeIdentity, readIdentity, type Trust } from './certificate.ts';
import { decode } from './codec.ts';
import { asInkmeshError } from './errors.ts';
import { type Digest, FactIndex, order, SharedNames, type Volume } from './fact-index.ts';
import { Full, isFull } from './fact-quota.ts';
import { directoryDoc, type Fact, idOf, idOfPayload, type Kind, type KnownFacts, readFact } from './facts.ts';
import { maxFactsPerCertificate } from './limits.ts';
import { Certificates, type NodeBody, nodeKind } from './node-fact.ts';
import type { FactRow, FactTable, Log } from './ports.ts';

export interface FactStoreOptions {
  table: FactTable;
  trust: Trust;
  now_ms(): number;
  log: Log;
}

/** A row with its fact. */
interface Read {
  row: FactRow;
  fact: Fact;
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
  /** the same: on their way into the table, and not known here yet */
  readonly #writing = new Set<string>();
  /** by document and author */
  readonly #full = new Map<string, Full>();

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

  /** The XOR of the ids that begin with each octet, of facts that others may know. */
  buckets(doc: string): Uint8Array {
    return this.#index.buckets(doc);
  }

  /** The ids that begin with one of these octets, of facts that others may know. */
  idsIn(doc: string, octets: Iterable<number>): Uint8Array[] {
    return [...new Set(octets)].flatMap((octet) => this.table.idsIn(doc, octet))
      .filter((id) => !this.isHeldBack(id));
  }

  /** A record that others may know. */
  recordOf(doc: string, id: Uint8Array): Uint8Array | undefined {
    return this.isHeldBack(id) ? undefined : this.table.get(doc, id);
  }

  /** The record of a fact in the table, also of one that others are not told of yet. */
  recordFor(fact: Fact): Uint8Array | undefined {
    return this.#rowsBy(fact.author, fact.doc).find((one) => order(one.fact, fact) === 0)?.row.record;
  }

  /** What an author has stated in a document. */
  volume(doc: string, author: string): Volume {
    return this.#index.volume(doc, author);
  }

  /** The records of one author in a document that others may know, oldest first. */
  recordsBy(author: string, doc: string): Uint8Array[] {
    return this.#rowsBy(author, doc).filter(({ row }) => !this.isHeldBack(row.id))
      .sort((a, b) => a.fact.seq - b.fact.seq).map(({ row }) => row.record);
  }

  /** Whether so much comes before a fact of its author's that it does not count (fact-quota.ts). */
  protected isBeyond(fact: Fact, id: Uint8Array): boolean {
    const { doc, author } = fact;
    const isLast = () => this.#fullOf(doc, author).endsBefore(placeOf(fact, id, 0));
    return (isFull(this.volume(doc, author)) && isLast()) ||
      this.#ofCertificate(fact).filter((other) => order(other, fact) < 0).length >= maxFactsPerCertificate;
  }

  /** Whether a fact of an author has come that there is too much of. */
  protected hasExcess(fact: Fact): boolean {
    return isFull(this.volume(fact.doc, fact.author)) ||
      this.#ofCertificate(fact).length > maxFactsPerCertificate;
  }

  /** Whether others are not told of a fact in the table. */
  isHeldBack(id: Uint8Array): boolean {
    const hex = id.toHex();
    return this.#heldBack.has(hex) || this.#writing.has(hex);
  }

  /** Has others not told of a fact while it is written, before it is known here. @returns what ends that */
  holdBack(id: Uint8Array): () => void {
    const hex = id.toHex();
    this.#writing.add(hex);
    return () => this.#writing.delete(hex);
  }

  /** Forgets a whole document, on disk too. */
  drop(doc: string): void {
    this.table.drop(doc);
    this.#index.drop(doc);
    for (const name of this.#full.keys()) if (name.startsWith(`${doc} `)) this.#full.delete(name);
  }

  /** Puts all rows into the index; those that are damaged are taken out, to be fetched again. */
  protected async load(each: (fact: Fact) => void): Promise<void> {
    for (const doc of new Set([directoryDoc, ...this.table.docs()])) {
      const damaged: Uint8Array[] = [];
      for (const row of this.table.byDoc(doc)) {
        try {
          const fact = this.#read(row);
          if (fact === undefined) continue;
          if (fact.kind === nodeKind.name) await this.learn(fact);
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

  /** Takes note of the certificate in a `node` fact. */
  protected async learn(fact: Pick<Fact, 'body' | 'time_ms' | 'seq'>): Promise<void> {
    const { leaf, issuers, seal } = fact.body as NodeBody;
    const identity = await readIdentity(this.#options.trust, leaf, issuers);
    if (identity.kind === 'node') this.#certificates.add(identity, seal, fact);
  }

  /** @returns the fact as it is kept in memory; undefined when it was known already */
  protected note(fact: Fact, id: Uint8Array, octets: number, heldBack: boolean): Fact | undefined {
    const shared = this.#names.share(fact);
    if (!this.#index.add(shared, octets)) return undefined;
    this.#full.get(`${fact.doc} ${fact.author}`)?.add(placeOf(fact, id, octets));
    if (heldBack) this.#heldBack.add(id.toHex());
    else this.#index.count(fact.doc, id, 1);
    return shared;
  }

  /** The fact of a record in the table, which was judged before it went in. */
  protected kept(record: Uint8Array): Fact | undefined {
    const { doc } = readFact(record).fact;
    const id = idOf(record);
    const stored = this.table.get(doc, id);
    if (stored === undefined || !Buffer.from(stored).equals(record)) return undefined;
    const fact = this.#read({ doc, id, record });
    return fact && this.about(fact.kind, fact.subject).find((one) => order(one, fact) === 0);
  }

  /** Forgets a fact that did not come into the table after all. */
  protected unnote(fact: Fact, id: Uint8Array, octets: number): void {
    const isNoted = this.about(fact.kind, fact.subject).some((one) => order(one, fact) === 0);
    if (!isNoted || this.table.get(fact.doc, id) !== undefined) return;
    this.#index.remove(fact, octets);
    this.#full.get(`${fact.doc} ${fact.author}`)?.remove(placeOf(fact, id, octets));
    if (!this.#heldBack.delete(id.toHex())) this.#index.count(fact.doc, id, -1);
  }

  protected reveal(doc: string, id: Uint8Array): void {
    if (this.#heldBack.delete(id.toHex())) this.#index.count(doc, id, 1);
  }

  /** Takes out what `isUndone` by a revocation, and what does not hold without it. @returns what was taken out */
  protected async purge(
    author: string,
    isUndone: (fact: Fact) => boolean,
    holds: (record: Uint8Array) => Promise<boolean>,
  ): Promise<Fact[]> {
    const removed: Fact[] = [];
    for (const doc of this.table.docs()) {
      const out = this.#rowsBy(author, doc).filter(({ fact }) => isUndone(fact));
      for (const { row, fact } of out) this.#remove(row, fact);
      removed.push(...out.map(({ fact }) => fact), ...await this.#removeBaseless(doc, out, holds));
    }
    return removed;
  }

  /** Takes out what a fact has pushed beyond what counts, and what does not hold without it. @returns what rested on it */
  protected async trim(fact: Fact, holds: (record: Uint8Array) => Promise<boolean>): Promise<Fact[]> {
    const out: Read[] = [];
    for (let one = this.#excess(fact); one !== undefined; one = this.#excess(fact)) {
      this.#remove(one.row, one.fact);
      out.push(one);
    }
    return await this.#removeBaseless(fact.doc, out, holds);
  }

  /** Of what has the subject of a fact that is gone, what does not hold any more. */
  async #removeBaseless(
    doc: string,
    gone: readonly Read[],
    holds: (record: Uint8Array) => Promise<boolean>,
  ): Promise<Fact[]> {
    const kinds = [...this.kinds.keys()];
    const subjects = new Set(
      gone.map(({ fact }) => fact.subject).filter((subject) =>
        kinds.some((kind) => this.about(kind, subject).some((fact) => fact.doc === doc))
      ),
    );
    if (subjects.size === 0) return [];
    const removed: Fact[] = [];
    for (const row of this.table.byDoc(doc)) {
      const fact = this.#read(row);
      if (fact === undefined || !subjects.has(fact.subject) || await holds(row.record)) continue;
      this.#remove(row, fact);
      removed.push(fact);
    }
    return removed;
  }

  /** One that there is too much of, since a fact of the same author came. */
  #excess(since: Fact): Read | undefined {
    const { doc, author } = since;
    const pushed = this.#ofCertificate(since)[maxFactsPerCertificate];
    if (pushed !== undefined) {
      return this.#rowsBy(author, doc).find(({ fact }) =>
        fact.kind === pushed.kind && order(fact, pushed) === 0
      );
    }
    const volume = this.volume(doc, author);
    const name = isFull(volume) ? this.#fullOf(doc, author).excess(volume) : undefined;
    if (name === undefined) return undefined;
    const id = Uint8Array.fromHex(name);
    const record = this.table.get(doc, id);
    const fact = record && this.#read({ doc, id, record });
    return record && fact && { row: { doc, id, record }, fact };
  }

  /** The `node` facts with the same certificate, oldest first; none for a fact of another kind. */
  #ofCertificate(fact: Fact): readonly Fact[] {
    if (fact.kind !== nodeKind.name) return [];
    const leafOf = ({ body }: Fact) => Buffer.from((body as NodeBody).leaf);
    return this.about(fact.kind, fact.subject).filter((other) => leafOf(other).equals(leafOf(fact)));
  }

  #fullOf(doc: string, author: string): Full {
    const name = `${doc} ${author}`;
    const full = this.#full.get(name) ?? new Full(this.#rowsBy(author, doc).map(placed));
    this.#full.set(name, full);
    return full;
  }

  #rowsBy(author: string, doc: string): Read[] {
    if (this.volume(doc, author).facts === 0) return [];
    // most records of a large document are others', and tell so before they are taken apart
    const name = Buffer.from(author);
    return this.table.byDoc(doc).filter(({ record }) => octetsOf(record).includes(name)).flatMap((row) => {
      const fact = this.#read(row);
      return fact?.author === author ? [{ row, fact }] : [];
    });
  }

  #remove(row: FactRow, fact: Fact): void {
    const { doc, id, record } = row;
    this.table.remove(doc, [id]);
    this.#index.remove(fact, record.length);
    this.#full.get(`${doc} ${fact.author}`)?.remove(placed({ row, fact }));
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

const placeOf = ({ time_ms, seq }: Fact, id: Uint8Array, octets: number) => ({
  ...{ time_ms, seq, octets },
  id: id.toHex(),
});
const placed = ({ row, fact }: Read) => placeOf(fact, row.id, row.record.length);

const octetsOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, length);
