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
  maxUpdateBytes,
  republishDelay_ms,
  snapshotDelay_ms,
  updateBatch_ms,
} from './limits.ts';
import { isDocName } from './facts.ts';
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
};

const pushRequest = v.strictObject({ doc: docName, update });
const push: Method<typeof pushRequest, typeof noReply> = {
  name: 'push',
  request: pushRequest,
  reply: noReply,
  admission: 'member',
  maxBytes: maxUpdateBytes + 1024,
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
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #antiEntropy: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  private constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  static async open(options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(options);
    for (const doc of options.table.docs()) replica.#carrier(doc);
    options.ledger.onStated((doc, key, record) => replica.#put(doc, key, record));
    options.ledger.onHeldBack((doc, key, record) => replica.#putLater(doc, key, record));
    await options.rpc.handle(sync, ({ request }) => Promise.resolve({ reply: replica.#serveSync(request) }));
    await options.rpc.handle(push, ({ from, request }) => {
      replica.#apply(request.doc, request.update, from);
      return Promise.resolve({ reply: {} });
    });
    replica.#antiEntropy = setInterval(() => replica.#reconcile(), antiEntropy_ms);
    return replica;
  }

  /** Exchanges every document with a peer that has just become a member. */
  async syncWith(peer: string): Promise<void> {
    const theirs = new Set<string>();
    const done = new Set<string>();
    let todo = new Set([...this.#carriers.keys(), 'directory']);
    while (todo.size > 0) {
      for (const doc of todo) {
        done.add(doc);
        for (const name of await this.#syncDoc(peer, doc)) theirs.add(name);
      }
      todo = new Set([...theirs, ...this.#carriers.keys()].filter((doc) => !done.has(doc)));
    }
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
    return reply.docs.filter((name) => isDocName(name, this.#options.now_ms()));
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
    return [...this.#carriers.keys()];
  }

  #checkedName(doc: string): string {
    if (
      !isDocName(doc, this.#options.now_ms()) || (this.#carriers.size >= maxDocs && !this.#carriers.has(doc))
    ) {
      throw new InkmeshError('bad-request', 'there is no such document');
    }
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
      if (!doc.getMap(mapName).has(key)) doc.getMap(mapName).set(key, new Uint8Array(record));
    }
    doc.getMap(mapName).observe((event) => this.#read(name, event.keysChanged));
    this.#read(name, doc.getMap(mapName).keys());
    return carrier;
  }

  /** Hands what is new in a document to the ledger, which judges it. */
  #read(name: string, keys: Iterable<unknown>): void {
    const map = this.#carriers.get(name)?.doc.getMap(mapName);
    for (const key of keys) {
      const record = typeof key === 'string' ? map?.get(key) : undefined;
      if (typeof key !== 'string' || key.length > 128) continue;
      if (record instanceof Uint8Array && record.length <= maxFactBytes * 3) {
        this.#options.ledger.hear(name, key, record);
      }
    }
  }

  #put(name: string, key: string, record: Uint8Array): void {
    const map = this.#carrier(name).doc.getMap(mapName);
    // a copy of its own: the record may be part of a whole message, or a Buffer, which Yjs refuses
    if (!map.has(key)) map.set(key, new Uint8Array(record));
  }

  /** For a holder: the accepting node publishes the job; this puts it in if that node died first. */
  #putLater(name: string, key: string, record: Uint8Array): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#options.ledger.holds(key)) this.#put(name, key, record);
    }, republishDelay_ms);
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
      if (news.length > 0) this.#send(peer, name, Y.mergeUpdates(news)).catch(() => {});
    }
  }

  #save(name: string, carrier: Carrier): void {
    carrier.save = undefined;
    this.#options.table.putSnapshot(name, Y.encodeStateAsUpdate(carrier.doc));
  }

  async #send(peer: string, doc: string, changed: Uint8Array): Promise<void> {
    await this.#options.rpc.call(peer, push, { doc, update: changed });
  }

  #reconcile(): void {
    for (const peer of this.#options.peers()) {
      this.syncWith(peer).catch((error: Error) => {
        this.#options.log('info', 'a peer could not be synchronised', { peer, reason: error.message });
      });
    }
  }
}

const mapName = 'facts';

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
