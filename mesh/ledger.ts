/**
 * The verified facts of a node: its table, judged before anything goes in, with an index in memory. What a fact
 * needs to be judged (a certificate, another fact) may arrive after it: then it waits here. Whatever the order in
 * which facts arrive, and whoever brings them, nodes that have heard the same come to the same table.
 */
import type * as v from 'valibot';
import type { NodeIdentity, Trust } from './certificate.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import { FactStore } from './fact-store.ts';
import { checkBody, directoryDoc, type Fact, idOf, type Kind, Missing, readFact } from './facts.ts';
import { rowOf, signFact } from './facts.ts';
import { isFull } from './fact-quota.ts';
import { DatedAhead, Forged, isUndone, judgeFact } from './judge.ts';
import { maxFactLead_ms } from './limits.ts';
import { type NodeBody, nodeKind } from './node-fact.ts';
import type { FactTable, Log, Storage } from './ports.ts';
import { type Heard, Refused, type Suspect, Suspects, Waiting } from './waiting.ts';

export type { Suspect } from './waiting.ts';

export interface LedgerOptions {
  table: FactTable;
  kinds: readonly Kind[];
  trust: Trust;
  /** `seal` is the age recipient of this node */
  self: { identity: NodeIdentity; issuers: Uint8Array[]; key: CryptoKey; seal: string };
  now_ms(): number;
  log: Log;
}

/** The document that a fact of this time goes into. */
export type Place = (time_ms: number) => string;

/**
 * What came of a record: a `fact` new to the table, one `known` before or waiting already, one that `waits` for another fact, or for its
 * author's certificate (`stranger`); `refused` for good, which is its author's fault, or `forged`, its sender's;
 * `unjudged` for a fault of this machine.
 */
export type Verdict = 'fact' | 'known' | 'waits' | 'stranger' | 'refused' | 'forged' | 'unjudged';

/** What carries facts to other nodes. */
export interface Carrying {
  /** a fact of this node's own, to be published */
  stated(doc: string, record: Uint8Array): void;
  /** a fact of another node, known here by another way than from it */
  told(doc: string, id: Uint8Array): void;
  /** a fact that is kept back until its author has published it, or is gone */
  heldBack(fact: Fact, record: Uint8Array): void;
}

const carriedByNobody: Carrying = { stated: () => {}, told: () => {}, heldBack: () => {} };

export class FactLedger extends FactStore {
  readonly #options: LedgerOptions;
  readonly #waiting = new Waiting();
  readonly #refused = new Refused();
  readonly #suspects = new Suspects();
  readonly #listeners: ((fact: Fact) => void)[] = [];
  #identity: NodeIdentity;
  #carrying = carriedByNobody;
  #queue: Promise<unknown> = Promise.resolve();
  #stating: Promise<unknown> = Promise.resolve();
  #lastSeq = 0;
  #closed = false;

  private constructor(options: LedgerOptions) {
    super(options, [nodeKind as Kind, ...options.kinds]);
    this.#options = options;
    this.#identity = options.self.identity;
  }

  static async open(options: LedgerOptions): Promise<FactLedger> {
    const ledger = new FactLedger(options);
    const { identity, issuers } = options.self;
    await ledger.load(({ author, seq }) => {
      if (author === identity.peerId) ledger.#lastSeq = Math.max(ledger.#lastSeq, seq);
    });
    await ledger.useCertificate(identity, issuers);
    return ledger;
  }

  /** This node's certificate from here on; stated unless it has been. */
  async useCertificate(identity: NodeIdentity, issuers: Uint8Array[]): Promise<void> {
    this.#identity = identity;
    const { seal } = this.#options.self;
    const stated = this.about(nodeKind.name, identity.peerId).some((fact) => {
      const body = fact.body as NodeBody;
      return body.seal === seal && Buffer.from(body.leaf).equals(identity.der);
    });
    if (stated) return;
    const body = { leaf: identity.der, issuers, seal };
    await this.learn({ body, time_ms: this.#options.now_ms(), seq: this.#lastSeq + 1 });
    await this.state(nodeKind, () => directoryDoc, identity.peerId, body);
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
    this.#stating = stated.catch(() => {});
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
    // what is stated later counts later, also where another's clock is ahead
    const time_ms = Math.max(now_ms(), (this.latest(kind.name, subject)?.time_ms ?? 0) + 1);
    if (time_ms > now_ms() + maxFactLead_ms) {
      const ahead_h = Math.ceil((time_ms - now_ms()) / 3600_000);
      throw new InkmeshError(
        'unavailable',
        `what was stated last about ${subject} is dated ${ahead_h} hours ahead: set this machine’s clock, or wait`,
      );
    }
    if (isFull(this.volume(place(time_ms), this.#identity.peerId))) {
      throw new InkmeshError('unavailable', 'this node has stated as much as others keep: use another node');
    }
    this.#lastSeq = Math.max(this.#lastSeq + 1, time_ms);
    const fact: Fact = {
      ...{ doc: place(time_ms), author: this.#identity.peerId, seq: this.#lastSeq, kind: kind.name },
      ...{ subject, time_ms, body: checkBody(kind, body) },
    };
    await kind.check(fact, this.#identity, this);
    return { fact, record: await signFact(self.key, fact) };
  }

  /** Judges a record without keeping it. @throws InkmeshError; `unavailable` when it can't be told yet */
  async judge(record: Uint8Array): Promise<Fact> {
    try {
      return this.kept(record) ?? await this.#judge(record);
    } catch (thrown) {
      if (!(thrown instanceof Missing)) throw thrown;
      throw new InkmeshError('unavailable', `what the fact rests on has not arrived: it ${thrown.message}`);
    }
  }

  /**
   * Keeps a judged fact and tells the listeners.
   * @param heldBack it is new, and others are not told of it before `publish`, or a restart
   */
  add(fact: Fact, record: Uint8Array, heldBack = false): void {
    const row = rowOf(fact, record);
    if (this.table.get(row.doc, row.id) === undefined) this.table.add([row]);
    this.#accept(fact, row.id, record.length, heldBack);
  }

  /**
   * Keeps a judged fact, what its listeners write, and what `alongside` does, as one change of the tables.
   * @throws InkmeshError when it cannot be kept: then it is not known here either
   */
  async addWith(
    together: Storage['together'],
    fact: Fact,
    record: Uint8Array,
    alongside: () => void = () => {},
  ): Promise<void> {
    try {
      await together(() => {
        alongside();
        this.add(fact, record);
      });
    } catch (thrown) {
      this.unnote(fact, idOf(record), record.length);
      throw thrown;
    }
  }

  /**
   * For a fact that another transaction has put into the table: it is known here at once, and to others when its
   * author has published it, or a little later if the author has gone.
   */
  noteHeld(fact: Fact, record: Uint8Array): void {
    if (this.#accept(fact, idOf(record), record.length, true)) this.#carrying.heldBack(fact, record);
  }

  /** Lets others know of a fact that is in the table: its own document's array carries what is this node's. */
  publish(fact: Fact, record: Uint8Array): void {
    const id = idOf(record);
    this.reveal(fact.doc, id);
    if (fact.author === this.#identity.peerId) this.#carrying.stated(fact.doc, record);
    else this.#carrying.told(fact.doc, id);
  }

  /** A record that somebody has sent: judged in turn, kept if it is a fact. */
  hear(heard: Heard): Promise<Verdict> {
    const verdict = this.#queue.then(() => this.#hear(heard));
    this.#queue = verdict.catch(() => {});
    return verdict;
  }

  /** Resolves when everything heard so far has been judged, and what that has made clear. */
  async settled(): Promise<void> {
    for (let last; last !== this.#queue;) await (last = this.#queue);
  }

  /** Resolves when everything heard until now has been judged, and what that has made clear; more may come meanwhile. */
  async caughtUp(): Promise<void> {
    await this.#queue;
    await this.#queue;
  }

  /** Who has sent or signed what breaks the rules. */
  suspects(): Suspect[] {
    return this.#suspects.list();
  }

  /** Takes note of who has broken a rule. */
  suspect(peer: string, reason: string): void {
    if (!this.#suspects.note(peer, reason, this.#options.now_ms())) return;
    this.#options.log('warn', 'a node breaks the rules', { peer, reason });
  }

  onFact(listener: (fact: Fact) => void): void {
    this.#listeners.push(listener);
  }

  /** Sets what carries facts; once, before anything is stated or heard. */
  carryBy(carrying: Carrying): void {
    this.#carrying = carrying;
  }

  /** Whether there is nothing to ask for: it is in the table, or was refused. */
  isSettled(doc: string, id: Uint8Array): boolean {
    return this.#refused.has(id.toHex()) || this.table.get(doc, id) !== undefined;
  }

  /** Whether a record waits for something else. @param id hex */
  isWaiting(id: string): boolean {
    return this.#waiting.has(id);
  }

  close(): void {
    this.#closed = true;
    this.#carrying = carriedByNobody;
  }

  async #judge(record: Uint8Array): Promise<Fact> {
    const { trust, now_ms } = this.#options;
    const fact = await judgeFact(record, { trust, kinds: this.kinds, known: this }, now_ms());
    if (this.isBeyond(fact, idOf(record))) {
      throw new InkmeshError('too-large', 'its author states more than a node can in one document');
    }
    return fact;
  }

  async #hear(heard: Heard): Promise<Verdict> {
    if (this.#closed) return 'unjudged';
    const { doc, record, from } = heard;
    let read: { fact: Fact; id: Uint8Array };
    try {
      read = { fact: readFact(record).fact, id: idOf(record) };
      if (read.fact.doc !== doc) throw new InkmeshError('bad-request', 'a fact is of another document');
    } catch (thrown) {
      this.suspect(from, asInkmeshError(thrown).message);
      return 'forged';
    }
    const { fact: { author }, id } = read;
    const stored = this.table.get(doc, id);
    if (stored !== undefined && Buffer.from(stored).equals(record)) {
      this.reveal(doc, id);
      return 'known';
    }
    if (this.#refused.has(id.toHex())) return 'refused';
    try {
      const fact = await this.#judge(record);
      if (this.#closed) return 'unjudged';
      if (stored !== undefined) {
        await this.#mend(doc, id, stored, record);
        return 'known';
      }
      return await this.#keep(fact, record);
    } catch (thrown) {
      return this.#unkept(thrown, heard, author, id);
    }
  }

  /** A fact has come with another signature than it was kept with, which may have been damaged on the disk. */
  async #mend(doc: string, id: Uint8Array, stored: Uint8Array, record: Uint8Array): Promise<void> {
    this.reveal(doc, id);
    const isWhole = await this.#judge(stored).then(() => true, (thrown) => !(thrown instanceof Forged));
    if (isWhole || this.#closed || this.table.get(doc, id) === undefined) return;
    this.table.remove(doc, [id]);
    this.table.add([{ doc, id, record: new Uint8Array(record) }]);
  }

  async #keep(fact: Fact, record: Uint8Array): Promise<Verdict> {
    try {
      if (fact.kind === nodeKind.name) await this.learn(fact);
      this.add(fact, new Uint8Array(record));
      return 'fact';
    } catch (thrown) {
      // a full disk: it is asked for again when nodes compare their facts
      this.#options.log('error', 'a fact cannot be kept', { reason: asInkmeshError(thrown).message });
      return 'unjudged';
    }
  }

  #unkept(thrown: unknown, heard: Heard, author: string, id: Uint8Array): Verdict {
    if (thrown instanceof Missing) {
      const stranger = thrown.what === `peer:${author}`;
      const known = this.#waiting.has(id.toHex());
      this.#waiting.add(thrown.what, id.toHex(), stranger ? undefined : author, heard);
      if (stranger) return 'stranger';
      return known ? 'known' : 'waits';
    }
    const { code, message } = asInkmeshError(thrown);
    if (code === 'internal') {
      this.#options.log('error', 'a fact cannot be judged', { reason: message });
      return 'unjudged';
    }
    const forged = thrown instanceof Forged;
    this.suspect(forged ? heard.from : author, message);
    // its time may come
    if (!forged && !(thrown instanceof DatedAhead)) this.#refused.add(id.toHex(), author);
    return forged ? 'forged' : 'refused';
  }

  /** @returns whether it is new */
  #accept(fact: Fact, id: Uint8Array, octets: number, heldBack: boolean): boolean {
    const kept = this.note(fact, id, octets, heldBack);
    if (kept === undefined) return false;
    if (fact.kind === 'revoked') this.#shutOut(kept);
    if (this.hasExcess(kept)) this.#trim(kept);
    for (const listener of this.#listeners) listener(kept);
    const clear = this.#waiting.take(`${fact.kind}:${fact.subject}`);
    if (fact.kind === nodeKind.name) {
      this.#refused.forget(fact.author);
      clear.push(...this.#waiting.take(`peer:${fact.author}`));
    }
    for (const heard of clear) void this.hear(heard);
    return true;
  }

  /** What a revoked node has said since counts for nothing. */
  #shutOut(revoked: Fact): void {
    const peer = revokedNode(revoked);
    if (peer === undefined) return;
    this.#clean(async (holds) => {
      for (const fact of await this.purge(peer, (one) => isUndone(one, revoked), holds)) {
        // there is room for others of its author's, and whom it had revoked may be heard again
        this.#refused.forget(fact.author);
        if (fact.kind === revoked.kind) this.#refused.forget(revokedNode(fact) ?? '');
      }
    });
  }

  /** What comes after as much as counts of its author's goes out. */
  #trim(fact: Fact): void {
    this.#clean(async (holds) => {
      for (const { author } of await this.trim(fact, holds)) this.#refused.forget(author);
    });
  }

  /** After what was heard before. */
  #clean(clean: (holds: (record: Uint8Array) => Promise<boolean>) => Promise<void>): void {
    const holds = (record: Uint8Array) => this.#judge(record).then(() => true, () => false);
    this.#queue = this.#queue.then(async () => {
      if (!this.#closed) await clean(holds);
    }).catch((thrown) => {
      const reason = asInkmeshError(thrown).message;
      this.#options.log('error', 'facts that do not count cannot be removed', { reason });
    });
  }
}

const revokedNode = (fact: Fact): string | undefined => /^node:(.+)$/.exec(fact.subject)?.[1];
