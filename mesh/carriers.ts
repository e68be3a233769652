/** The documents of a node: those in use in memory, all of them as snapshots in its table. */
import { Carrier, type Mark } from './carrier.ts';
import { asInkmeshError } from './errors.ts';
import { idOf, readFact } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import { carrierIdle_ms, maxBarredClients, snapshotDelay_ms } from './limits.ts';
import type { Clock, FactTable, Log } from './ports.ts';
import { every } from './timing.ts';

interface Loaded {
  carrier: Carrier;
  used_ms: number;
  /** since when there is something to write */
  changed_ms: number | undefined;
}

export interface CarriersOptions {
  /** PeerId of this node */
  self: string;
  table: FactTable;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
}

export class Carriers {
  readonly #options: CarriersOptions;
  readonly #loaded = new Map<string, Loaded>();
  /** this process's arrays in documents that are not in memory */
  readonly #marks = new Map<string, Mark>();
  readonly #barred = new Map<string, Set<number>>();
  readonly #stop: () => void;

  constructor(options: CarriersOptions) {
    this.#options = options;
    this.#stop = every(options.clock, snapshotDelay_ms / 4, () => this.#tidy());
  }

  /** A document, read from its snapshot if it is not in memory; this node's own facts are in it. */
  get(doc: string): Carrier {
    const now_ms = this.#options.clock.monotonic_ms();
    const known = this.#loaded.get(doc);
    if (known !== undefined) {
      known.used_ms = now_ms;
      return known.carrier;
    }
    const loaded: Loaded = { carrier: this.#load(doc), used_ms: now_ms, changed_ms: undefined };
    this.#loaded.set(doc, loaded);
    const mark = this.#marks.get(doc);
    if (mark !== undefined) loaded.carrier.resume(mark);
    const missing = this.#missing(doc, loaded.carrier);
    if (missing.length > 0) {
      loaded.carrier.append(missing);
      this.changed(doc);
    }
    return loaded.carrier;
  }

  isLoaded(doc: string): boolean {
    return this.#loaded.has(doc);
  }

  /** Has a document written before long. */
  changed(doc: string): void {
    const loaded = this.#loaded.get(doc);
    if (loaded !== undefined) loaded.changed_ms ??= this.#options.clock.monotonic_ms();
  }

  /** Nothing of this client is asked for any more, until this node starts again. */
  bar(doc: string, client: number): void {
    const barred = this.#barred.get(doc) ?? new Set<number>();
    this.#barred.set(doc, barred);
    if (barred.size >= maxBarredClients) barred.delete(barred.values().next().value!);
    barred.add(client);
  }

  barred(doc: string): ReadonlySet<number> {
    return this.#barred.get(doc) ?? new Set();
  }

  /** Forgets a document; its snapshot goes with the rows of the table. */
  drop(doc: string): void {
    this.#loaded.get(doc)?.carrier.close();
    for (const map of [this.#loaded, this.#marks, this.#barred]) map.delete(doc);
  }

  /** Writes what has changed. */
  close(): void {
    this.#stop();
    for (const [doc, loaded] of this.#loaded) {
      if (loaded.changed_ms !== undefined) this.#save(doc, loaded);
      loaded.carrier.close();
    }
    this.#loaded.clear();
  }

  #load(doc: string): Carrier {
    const { table, self, log } = this.#options;
    const snapshot = table.snapshot(doc);
    const carrier = new Carrier(self);
    if (snapshot === undefined) return carrier;
    try {
      carrier.restore(snapshot, (record) => table.get(doc, idOf(record)) !== undefined);
      return carrier;
    } catch (thrown) {
      log('warn', 'a stored document is damaged: it is set aside and fetched again', {
        doc,
        reason: asInkmeshError(thrown).message,
      });
      table.setAside(doc);
      carrier.close();
      return new Carrier(self);
    }
  }

  /** This node's own facts that the document lacks: the snapshot is older than the table, or there is none. */
  #missing(doc: string, carrier: Carrier): Uint8Array[] {
    const records = this.#options.ledger.recordsBy(this.#options.self, doc);
    if (records.length === 0) return [];
    // what is older was carried, in an array that is not kept any more
    const latest = carrier.own().reduce((seq, record) => Math.max(seq, readFact(record).fact.seq), 0);
    return records.filter((record) => readFact(record).fact.seq > latest);
  }

  #tidy(): void {
    const now_ms = this.#options.clock.monotonic_ms();
    for (const [doc, loaded] of this.#loaded) {
      const idle = now_ms - loaded.used_ms >= carrierIdle_ms;
      const due = loaded.changed_ms !== undefined && now_ms - loaded.changed_ms >= snapshotDelay_ms;
      if (due || (idle && loaded.changed_ms !== undefined)) this.#save(doc, loaded);
      if (!idle || loaded.changed_ms !== undefined) continue;
      this.#marks.set(doc, loaded.carrier.mark());
      loaded.carrier.close();
      this.#loaded.delete(doc);
    }
  }

  #save(doc: string, loaded: Loaded): void {
    try {
      this.#options.table.putSnapshot(doc, loaded.carrier.snapshot());
      loaded.changed_ms = undefined;
    } catch (thrown) {
      // a full disk: the facts are in the table, and the document is written later
      this.#options.log('error', 'a document cannot be written', {
        doc,
        reason: asInkmeshError(thrown).message,
      });
    }
  }
}
