/**
 * The verified facts of a node: its table, judged before anything goes in, with an index in memory. What a
 * fact needs to be judged (a certificate, another fact) may arrive after it: then it waits here.
 */
import * as v from 'valibot';
import { type NodeIdentity, type Trust, verifyIdentity } from './certificate.ts';
import { bytes, decode, encode } from './codec.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import {
  checkBody,
  directoryDoc,
  type Fact,
  factOf,
  judgeFact,
  type Kind,
  type KnownFacts,
  Missing,
} from './facts.ts';
import { rowOf, signFact } from './facts.ts';
import { rereadDelay_ms, rereadInterval_ms } from './limits.ts';
import type { FactTable, Log } from './ports.ts';

const certificateSchema = v.strictObject({
  leaf: bytes(1, 4096),
  issuers: v.pipe(v.array(bytes(1, 4096)), v.maxLength(4)),
});

/** A record as a document carries it. */
interface Carried {
  doc: string;
  key: string;
  record: Uint8Array;
}

export interface LedgerOptions {
  table: FactTable;
  kinds: readonly Kind[];
  trust: Trust;
  self: { identity: NodeIdentity; issuers: Uint8Array[]; key: CryptoKey };
  now_ms(): number;
  log: Log;
}

/** The document that a fact of this time goes into. */
export type Place = (time_ms: number) => string;

const certificatePrefix = 'certificate:';

export class FactLedger implements KnownFacts {
  readonly #options: LedgerOptions;
  readonly #kinds: ReadonlyMap<string, Kind>;
  readonly #facts = new Map<string, Map<string, Fact[]>>();
  readonly #identities = new Map<string, NodeIdentity>();
  readonly #issuers = new Map<string, Uint8Array[]>();
  /** something was heard that could not be judged */
  #unclear = false;
  #rereading: ReturnType<typeof setTimeout> | undefined;
  #reread_ms = -Infinity;
  #reread: () => void = () => {};
  #queue: Promise<void> = Promise.resolve();
  /** what waits in the queue, by document and key */
  readonly #heard = new Map<string, Carried>();
  #stating: Promise<void> = Promise.resolve();
  readonly #listeners: ((fact: Fact) => void)[] = [];
  #stated: (doc: string, key: string, record: Uint8Array) => void = () => {};
  #heldBack: (doc: string, key: string, record: Uint8Array, author: string) => void = () => {};

  private constructor(options: LedgerOptions) {
    this.#options = options;
    this.#kinds = new Map(options.kinds.map((kind) => [kind.name, kind]));
  }

  static async open(options: LedgerOptions): Promise<FactLedger> {
    const ledger = new FactLedger(options);
    const { table, self } = options;
    table.putCertificate({ peer: self.identity.peerId, leaf: self.identity.der, issuers: self.issuers });
    for (const { peer, leaf, issuers } of table.certificates()) {
      await ledger.#identify(peer, leaf, issuers).catch((error: Error) => {
        options.log('warn', 'a stored certificate is no longer valid', { peer, reason: error.message });
      });
    }
    for (const kind of ledger.#kinds.keys()) {
      for (const row of table.byKind(kind)) ledger.#index(factOf(row, ledger.#kinds));
    }
    return ledger;
  }

  /**
   * States a fact of this node's: signed, kept, and given to the document that carries it. One after the other, so
   * that each is checked against those before it.
   */
  state<Body extends v.GenericSchema>(
    kind: Kind<Body>,
    place: Place,
    subject: string,
    body: v.InferInput<Body>,
  ): Promise<Fact> {
    const stated = this.#stating.then(async () => {
      const { fact, record } = await this.sign(kind, place, subject, body);
      this.add(fact, record);
      this.publish(fact, record);
      return fact;
    });
    this.#stating = stated.then(() => {}, () => {});
    return stated;
  }

  /** Signs a fact without keeping it. Its sequence number is its time, so that none is given out twice. */
  async sign<Body extends v.GenericSchema>(
    kind: Kind<Body>,
    place: Place,
    subject: string,
    body: v.InferInput<Body>,
  ): Promise<{ fact: Fact; record: Uint8Array }> {
    const { self, now_ms } = this.#options;
    const time_ms = now_ms();
    const fact: Fact = {
      doc: place(time_ms),
      author: self.identity.peerId,
      seq: this.#nextSeq(time_ms),
      kind: kind.name,
      subject,
      time_ms,
      body: checkBody(kind, body),
    };
    await kind.check(fact, self.identity, this);
    return { fact, record: await signFact(self.key, fact) };
  }

  /** Judges a record without keeping it. @throws InkmeshError, `Missing` */
  judge(record: Uint8Array): Promise<Fact> {
    return judgeFact(record, this.#kinds, this, this.#options.now_ms());
  }

  /** Keeps a judged fact and tells the listeners. */
  add(fact: Fact, record: Uint8Array): void {
    if (this.#options.table.get(fact.author, fact.seq) !== undefined) return;
    this.#options.table.add([rowOf(fact, record)]);
    this.#accepted(fact);
  }

  /**
   * For a fact that another transaction has put into the table: it is known here at once, and given to its
   * document a little later if its author, another node, has not done so.
   */
  noteHeld(fact: Fact, record: Uint8Array): void {
    this.#accepted(fact);
    if (fact.author === this.#options.self.identity.peerId) return;
    this.#heldBack(fact.doc, keyOf(fact), record, fact.author);
  }

  /** Gives the document a fact that is in the table. */
  publish(fact: Fact, record: Uint8Array): void {
    this.#stated(fact.doc, keyOf(fact), record);
  }

  /** Something that a document carries: judged in turn, kept if it is a fact. */
  hear(doc: string, key: string, record: Uint8Array): void {
    const name = `${doc} ${key}`;
    const queued = this.#heard.has(name);
    // the latest under a key is the one that the document carries
    this.#heard.set(name, { doc, key, record });
    if (!queued) this.#queue = this.#queue.then(() => this.#judgeNext(name));
  }

  /** Resolves when everything heard so far has been judged. */
  settled(): Promise<void> {
    return this.#queue;
  }

  /** The record that the table has under a document's key. */
  recordOf(doc: string, key: string): Uint8Array | undefined {
    const { table } = this.#options;
    if (key.startsWith(certificatePrefix)) {
      const identity = this.#identities.get(key.slice(certificatePrefix.length));
      const issuers = this.#issuers.get(identity?.peerId ?? '');
      return identity === undefined || issuers === undefined || doc !== directoryDoc
        ? undefined
        : encode({ leaf: identity.der, issuers });
    }
    const split = key.lastIndexOf(':');
    const row = table.get(key.slice(0, split), Number(key.slice(split + 1)));
    return row?.doc === doc ? row.record : undefined;
  }

  /** What the table wants a document to carry. */
  carriedIn(doc: string): { key: string; record: Uint8Array }[] {
    const facts = this.#options.table.byDoc(doc).map((row) => ({ key: keyOf(row), record: row.record }));
    if (doc !== directoryDoc) return facts;
    const certificates = this.#options.table.certificates()
      .filter(({ peer }) => this.#identities.has(peer))
      .map(({ peer, leaf, issuers }) => ({
        key: certificatePrefix + peer,
        record: encode({ leaf, issuers }),
      }));
    return [...certificates, ...facts];
  }

  /** The latest fact about a subject. */
  latest(kind: string, subject: string): Fact | undefined {
    return this.about(kind, subject).at(-1);
  }

  /** All facts about a subject, oldest first. */
  about(kind: string, subject: string): readonly Fact[] {
    return this.#facts.get(kind)?.get(subject) ?? [];
  }

  /** The latest fact about each subject of a kind. */
  all(kind: string): Fact[] {
    return [...this.#facts.get(kind)?.values() ?? []].flatMap((facts) => facts.at(-1) ?? []);
  }

  identity(peer: string): NodeIdentity | undefined {
    return this.#identities.get(peer);
  }

  /** Every node whose certificate is known. */
  nodes(): NodeIdentity[] {
    return [...this.#identities.values()];
  }

  /** Takes note of a certificate that the gate has checked. */
  learnCertificate(identity: NodeIdentity, issuers: Uint8Array[]): void {
    if (this.#identities.has(identity.peerId)) return;
    this.#keepCertificate(identity, issuers);
    const record = encode({ leaf: identity.der, issuers });
    this.#stated(directoryDoc, certificatePrefix + identity.peerId, record);
  }

  onFact(listener: (fact: Fact) => void): void {
    this.#listeners.push(listener);
  }

  onStated(put: (doc: string, key: string, record: Uint8Array) => void): void {
    this.#stated = put;
  }

  onHeldBack(put: (doc: string, key: string, record: Uint8Array, author: string) => void): void {
    this.#heldBack = put;
  }

  /** Sets what reads the documents again when something unclear may have become clear. */
  onUnclear(reread: () => void): void {
    this.#reread = reread;
  }

  close(): void {
    clearTimeout(this.#rereading);
  }

  #lastSeq = 0;

  #nextSeq(time_ms: number): number {
    const { table, self } = this.#options;
    this.#lastSeq = Math.max(this.#lastSeq, table.lastSeq(self.identity.peerId), time_ms - 1) + 1;
    return this.#lastSeq;
  }

  async #judgeNext(name: string): Promise<void> {
    const carried = this.#heard.get(name);
    this.#heard.delete(name);
    if (carried !== undefined) await this.#judgeCarried(carried);
  }

  async #judgeCarried(carried: Carried): Promise<void> {
    const { doc, key, record } = carried;
    try {
      if (this.recordOf(doc, key) !== undefined) return;
      if (key.startsWith(certificatePrefix)) return await this.#judgeCertificate(key, record);
      // without decoding or throwing: junk that names unknown authors is read again and again
      if (!this.#identities.has(key.slice(0, key.lastIndexOf(':')))) return void (this.#unclear = true);
      const fact = await this.judge(record);
      if (fact.doc !== doc || keyOf(fact) !== key) return;
      this.add(fact, record);
    } catch (thrown) {
      // not judged: for want of another fact, or of room on the disk
      this.#unclear ||= thrown instanceof Missing || !(thrown instanceof InkmeshError);
      if (thrown instanceof Missing) return;
      this.#options.log('warn', 'something in a document is no fact', {
        doc,
        reason: asInkmeshError(thrown).message,
      });
    }
  }

  async #judgeCertificate(key: string, record: Uint8Array): Promise<void> {
    const { leaf, issuers } = decode(certificateSchema, record);
    await this.#identify(key.slice(certificatePrefix.length), leaf, issuers);
  }

  async #identify(peer: string, leaf: Uint8Array, issuers: Uint8Array[]): Promise<void> {
    const identity = await verifyIdentity(this.#options.trust, leaf, issuers, this.#options.now_ms());
    if (identity.kind === 'node' && identity.peerId === peer) this.#keepCertificate(identity, issuers);
  }

  #keepCertificate(identity: NodeIdentity, issuers: Uint8Array[]): void {
    this.#identities.set(identity.peerId, identity);
    this.#issuers.set(identity.peerId, issuers);
    this.#options.table.putCertificate({ peer: identity.peerId, leaf: identity.der, issuers });
    this.#rereadSoon();
  }

  #accepted(fact: Fact): void {
    const known = this.about(fact.kind, fact.subject).some((f) =>
      f.author === fact.author && f.seq === fact.seq
    );
    if (known) return;
    this.#index(fact);
    for (const listener of this.#listeners) listener(fact);
    this.#rereadSoon();
  }

  #index(fact: Fact): void {
    const bySubject = this.#facts.get(fact.kind) ?? new Map<string, Fact[]>();
    this.#facts.set(fact.kind, bySubject);
    const facts = bySubject.get(fact.subject) ?? [];
    facts.push(fact);
    facts.sort((a, b) =>
      a.time_ms - b.time_ms || (a.author < b.author ? -1 : a.author > b.author ? 1 : a.seq - b.seq)
    );
    bySubject.set(fact.subject, facts);
  }

  /** Once something has arrived on which unclear records may have waited, the documents are read again, not too often. */
  #rereadSoon(): void {
    if (!this.#unclear || this.#rereading !== undefined) return;
    const since_ms = performance.now() - this.#reread_ms;
    this.#rereading = setTimeout(() => {
      this.#rereading = undefined;
      this.#unclear = false;
      this.#reread_ms = performance.now();
      this.#reread();
    }, Math.max(rereadDelay_ms, rereadInterval_ms - since_ms));
  }
}

const keyOf = (fact: { author: string; seq: number }): string => `${fact.author}:${fact.seq}`;
