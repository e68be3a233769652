/**
 * Facts on their way between nodes. Yjs documents carry signed facts; the verified table is the truth. What a
 * document holds that is no fact is ignored, what it lacks that the table has is put in again. Documents are
 * synchronised by state vector on connect, by update while connected, and in a slow round of anti-entropy.
 */
import * as v from 'valibot';
import * as Y from 'yjs';
import { bytes, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import {
  antiEntropy_ms,
  maxDocs,
  maxFactBytes,
  maxHeavyStreams,
  maxPutBacks,
  maxUpdateBytes,
  putBackInterval_ms,
  republishLatest_ms,
  republishLook_ms,
  snapshotDelay_ms,
  updateBatch_ms,
} from './limits.ts';
import { directoryDoc, isDocName } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import type { FactTable, Log } from './ports.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';

const docName = text(128);
const stateVector = bytes(1, 64 * 1024);
const update = bytes(1, maxUpdateBytes);

const syncRequest = v.strictObject({
  docs: v.pipe(v.array(docName), v.maxLength(maxDocs)),
  doc: docName,
  state: stateVector,
});
const syncReply = v.strictObject({
  docs: v.pipe(v.array(docName), v.maxLength(maxDocs)),
  update,
  state: stateVector,
});

/** Both ends learn which documents the other has, and one document's difference goes to the caller. */
const sync: Method<typeof syncRequest, typeof syncReply> = {
  name: 'sync',
  request: syncRequest,
  reply: syncReply,
  admission: 'member',
  maxBytes: maxUpdateBytes + 128 * 1024,
  maxStreams: maxHeavyStreams,
};

const pushRequest = v.strictObject({ doc: docName, update });
const push: Method<typeof pushRequest, typeof noReply> = {
  name: 'push',
  request: pushRequest,
  reply: noReply,
  admission: 'member',
  maxBytes: maxUpdateBytes + 1024,
  maxStreams: maxHeavyStreams * 2,
};

interface Carrier {
  doc: Y.Doc;
  /** updates that wait to be sent, with the peer that each came from */
  outbox: { update: Uint8Array; origin: unknown }[];
  flush: ReturnType<typeof setTimeout> | undefined;
  save: ReturnType<typeof setTimeout> | undefined;
}

export interface ReplicaOptions {
  rpc: Rpc;
  table: FactTable;
  ledger: FactLedger;
  peers(): string[];
  now_ms(): number;
  log: Log;
}

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #carriers = new Map<string, Carrier>();
  readonly #putBack_ms = new Map<string, number>();
  readonly #unfinished = new Set<string>();
  readonly #outgoing = new Map<string, Uint8Array[]>();
  readonly #syncing = new Map<string, Promise<void>>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #antiEntropy: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  private constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  static async open(options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(options);
    for (const doc of options.table.docs()) if (replica.#isDoc(doc)) replica.#carrier(doc);
    replica.#carrier(directoryDoc);
    options.ledger.onStated((doc, key, record) => replica.#put(doc, key, record));
    options.ledger.onHeldBack((doc, key, record, author) => replica.#putLater(doc, key, record, author));
    options.ledger.onUnclear(() => replica.#reread());
    await options.rpc.handle(sync, ({ request }) => Promise.resolve({ reply: replica.#serveSync(request) }));
    await options.rpc.handle(push, ({ from, request }) => {
      replica.#apply(request.doc, request.update, from);
      return Promise.resolve({ reply: {} });
    });
    replica.#antiEntropy = setInterval(() => replica.#reconcile(), antiEntropy_ms);
    return replica;
  }

  /** Exchanges every document with a peer, the directory first; one round at a time for each peer. */
  syncWith(peer: string): Promise<void> {
    const running = this.#syncing.get(peer);
    if (running !== undefined) return running;
    const round = this.#syncAll(peer).finally(() => this.#syncing.delete(peer));
    this.#syncing.set(peer, round);
    return round;
  }

  /** Writes every snapshot; nothing is carried any more. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#antiEntropy);
    for (const timer of this.#timers) clearTimeout(timer);
    for (const [name, carrier] of this.#carriers) {
      clearTimeout(carrier.flush);
      clearTimeout(carrier.save);
      if (carrier.save !== undefined) this.#save(name, carrier);
      carrier.doc.destroy();
    }
  }

  async #syncAll(peer: string): Promise<void> {
    const theirs = await this.#syncDoc(peer, directoryDoc);
    // which sites there are is in the directory
    await this.#options.ledger.settled();
    let failure: unknown;
    for (const doc of new Set([...this.#docs(), ...theirs.filter((name) => this.#isDoc(name))])) {
      if (doc === directoryDoc) continue;
      await this.#syncDoc(peer, doc).catch((thrown) => failure = thrown);
    }
    if (failure !== undefined) throw failure;
  }

  /** @returns the names of the peer's documents */
  async #syncDoc(peer: string, doc: string): Promise<string[]> {
    const carrier = this.#carrier(doc);
    const { reply } = await this.#options.rpc.call(peer, sync, {
      docs: this.#docs(),
      doc,
      state: Y.encodeStateVector(carrier.doc),
    });
    this.#apply(doc, reply.update, peer);
    const missing = Y.encodeStateAsUpdate(carrier.doc, reply.state);
    if (!isEmptyUpdate(missing)) await this.#send(peer, doc, missing);
    return reply.docs;
  }

  #serveSync(request: v.InferOutput<typeof syncRequest>): v.InferOutput<typeof syncReply> {
    const { doc } = this.#carrier(this.#checkedName(request.doc));
    return {
      docs: this.#docs(),
      update: encodeDifference(doc, request.state),
      state: Y.encodeStateVector(doc),
    };
  }

  #docs(): string[] {
    return [...this.#carriers.keys()].filter((doc) => this.#isDoc(doc)).slice(-maxDocs);
  }

  #isDoc(doc: string): boolean {
    const sites = new Set(this.#options.ledger.nodes().map((node) => node.site));
    return isDocName(doc, sites, this.#options.now_ms());
  }

  #checkedName(doc: string): string {
    if (!this.#isDoc(doc)) throw new InkmeshError('bad-request', 'there is no such document');
    return doc;
  }

  #apply(doc: string, received: Uint8Array, from: string): void {
    const carrier = this.#carrier(this.#checkedName(doc));
    try {
      Y.applyUpdate(carrier.doc, received, from);
    } catch (cause) {
      throw new InkmeshError('bad-request', 'the update is not one of Yjs', {}, { cause });
    }
  }

  #carrier(name: string): Carrier {
    const known = this.#carriers.get(name);
    if (known !== undefined) return known;
    const doc = new Y.Doc();
    const carrier: Carrier = { doc, outbox: [], flush: undefined, save: undefined };
    this.#carriers.set(name, carrier);
    const { table, ledger, log } = this.#options;
    const snapshot = table.snapshot(name);
    try {
      if (snapshot !== undefined) Y.applyUpdate(doc, snapshot);
    } catch {
      log('warn', 'a stored document is damaged; it is rebuilt from the facts', { doc: name });
    }
    // before the table's facts go in: what is new to the document is new to the peers
    doc.on('update', (changed: Uint8Array, origin: unknown) => this.#changed(name, carrier, changed, origin));
    for (const { key, record } of ledger.carriedIn(name)) {
      putRecord(doc, key, record);
    }
    doc.getMap(mapName).observe((event) => this.#read(name, event.keysChanged));
    this.#read(name, doc.getMap(mapName).keys());
    return carrier;
  }

  /** Hands what is new in a document to the ledger, which judges it; what was taken out of it is put back. */
  #read(name: string, keys: Iterable<unknown>): void {
    const { ledger } = this.#options;
    const carrier = this.#carriers.get(name);
    for (const key of keys) {
      if (carrier === undefined || typeof key !== 'string' || key.length > maxKeyChars) continue;
      const known = ledger.recordOf(name, key);
      if (known !== undefined) {
        // not within the transaction that is being observed
        queueMicrotask(() => this.#putBack(name, key, known));
        continue;
      }
      const record = carrier.doc.getMap(mapName).get(key);
      if (record instanceof Uint8Array && record.length <= maxRecordBytes) ledger.hear(name, key, record);
    }
  }

  /**
   * Each key once in a while only: two nodes to which a rogue has signed different facts under one number would
   * overwrite each other for ever. What is left undone here is done with the next anti-entropy.
   */
  #putBack(name: string, key: string, record: Uint8Array): void {
    const carrier = this.#carriers.get(name);
    if (this.#closed || carrier === undefined || carries(carrier.doc, key, record)) return;
    const now_ms = performance.now();
    if (now_ms - (this.#putBack_ms.get(key) ?? -Infinity) < putBackInterval_ms) {
      return void this.#unfinished.add(name);
    }
    if (this.#putBack_ms.size >= maxPutBacks) this.#putBack_ms.clear();
    this.#putBack_ms.set(key, now_ms);
    putRecord(carrier.doc, key, record);
  }

  /** Reads every document again: something that the ledger could not judge may have become clear. */
  #reread(): void {
    for (const [name, { doc }] of this.#carriers) this.#read(name, doc.getMap(mapName).keys());
  }

  #put(name: string, key: string, record: Uint8Array): void {
    putRecord(this.#carrier(name).doc, key, record);
  }

  /**
   * For a holder: the accepting node publishes the job, when all three have sealed it. This does it in its stead if
   * that node is gone; earlier than that a job could be listed that is taken back.
   */
  #putLater(name: string, key: string, record: Uint8Array, author: string): void {
    const latest_ms = performance.now() + republishLatest_ms;
    const look = () => {
      this.#timers.delete(timer);
      const there = this.#options.peers().includes(author);
      if (!there || performance.now() > latest_ms) return this.#put(name, key, record);
      timer = setTimeout(look, republishLook_ms);
      this.#timers.add(timer);
    };
    let timer = setTimeout(look, republishLook_ms);
    this.#timers.add(timer);
  }

  #changed(name: string, carrier: Carrier, changed: Uint8Array, origin: unknown): void {
    if (this.#closed) return;
    carrier.outbox.push({ update: changed, origin });
    carrier.flush ??= setTimeout(() => this.#flush(name, carrier), updateBatch_ms);
    carrier.save ??= setTimeout(() => this.#save(name, carrier), snapshotDelay_ms);
  }

  #flush(name: string, carrier: Carrier): void {
    const outbox = carrier.outbox;
    carrier.outbox = [];
    carrier.flush = undefined;
    for (const peer of this.#options.peers()) {
      const news = outbox.filter(({ origin }) => origin !== peer).map((o) => o.update);
      if (news.length > 0) this.#push(peer, name, news);
    }
  }

  /** One push at a time for each peer and document; what comes meanwhile goes with the next. */
  #push(peer: string, name: string, news: readonly Uint8Array[]): void {
    const line = `${peer} ${name}`;
    const waiting = this.#outgoing.get(line);
    if (waiting !== undefined) return void waiting.push(...news);
    const queue = [...news];
    this.#outgoing.set(line, queue);
    const drain = async () => {
      while (queue.length > 0) await this.#send(peer, name, Y.mergeUpdates(queue.splice(0)));
    };
    void drain().catch(async () => {
      // what was lost on the way would hold back all that follows it: ask what the peer lacks, if it is still there
      if (!this.#closed && this.#options.peers().includes(peer)) {
        await this.#syncDoc(peer, name).catch(() => []);
      }
    }).finally(() => {
      this.#outgoing.delete(line);
      if (queue.length > 0 && !this.#closed) this.#push(peer, name, queue);
    });
  }

  #save(name: string, carrier: Carrier): void {
    carrier.save = undefined;
    try {
      this.#options.table.putSnapshot(name, Y.encodeStateAsUpdate(carrier.doc));
    } catch (thrown) {
      // a full disk: the facts are in the table, and the document is written with its next change
      this.#options.log('error', 'a document cannot be written', { doc: name, reason: String(thrown) });
    }
  }

  async #send(peer: string, doc: string, changed: Uint8Array): Promise<void> {
    await this.#options.rpc.call(peer, push, { doc, update: changed });
  }

  #reconcile(): void {
    const unfinished = [...this.#unfinished];
    this.#unfinished.clear();
    for (const name of unfinished) {
      // by the table: what was deleted is not among the document's keys
      for (const { key, record } of this.#options.ledger.carriedIn(name)) this.#putBack(name, key, record);
    }
    for (const peer of this.#options.peers()) {
      this.syncWith(peer).catch((error: Error) => {
        this.#options.log('info', 'a peer could not be synchronised', { peer, reason: error.message });
      });
    }
  }
}

const mapName = 'facts';
/** a certificate with its issuers is the largest thing that a document carries */
const maxRecordBytes = 5 * maxFactBytes + 256;
const maxKeyChars = 128;

/** Makes the document carry the record, whatever it has under the key. */
function putRecord(doc: Y.Doc, key: string, record: Uint8Array): void {
  // a copy of its own: the record may be part of a whole message, or a Buffer, which Yjs refuses
  if (!carries(doc, key, record)) doc.getMap(mapName).set(key, new Uint8Array(record));
}

function carries(doc: Y.Doc, key: string, record: Uint8Array): boolean {
  const carried = doc.getMap(mapName).get(key);
  return carried instanceof Uint8Array && Buffer.from(carried).equals(record);
}

function encodeDifference(doc: Y.Doc, state: Uint8Array): Uint8Array {
  try {
    return Y.encodeStateAsUpdate(doc, state);
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the state vector is not one of Yjs', {}, { cause });
  }
}

/** Yjs encodes "nothing new" as two zero octets: no structs, no deletions. */
const isEmptyUpdate = (changed: Uint8Array): boolean =>
  changed.length === 2 && changed[0] === 0 && changed[1] === 0;
