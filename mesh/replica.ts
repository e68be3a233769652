/**
 * Facts between nodes: Yjs documents carry them, the verified table is the truth. News are announced and asked for
 * (spread.ts), taken in after they have been judged (intake.ts), and what that misses is found by comparing tables
 * (reconcile.ts): on connect, soon after activity with one neighbour, and now and then with any.
 */
import { Carriers } from './carriers.ts';
import { InkmeshError } from './errors.ts';
import * as protocol from './fact-protocol.ts';
import { directoryDoc, type Fact, idOf, isDocName, isPast, jobsDocOf } from './facts.ts';
import { Intake } from './intake.ts';
import type { FactLedger } from './ledger.ts';
import {
  antiEntropy_ms,
  docLook_ms,
  maxDocs,
  maxPulledBytes,
  quickCheck_ms,
  republishLatest_ms,
  republishLook_ms,
} from './limits.ts';
import { longestRetention } from './policy.ts';
import type { Clock, FactTable, Log } from './ports.ts';
import { type Compared, Reconciler } from './reconcile.ts';
import type { Rpc } from './rpc.ts';
import { Spread } from './spread.ts';
import { every, fraction } from './timing.ts';

export interface ReplicaOptions {
  rpc: Rpc;
  /** PeerId of this node */
  self: string;
  table: FactTable;
  ledger: FactLedger;
  /** connected members */
  peers(): string[];
  /** whether a document has jobs that this node still keeps something of */
  keeps(doc: string): boolean;
  clock: Clock;
  /** agreed with the peers */
  now_ms(): number;
  log: Log;
}

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #carriers: Carriers;
  readonly #intake: Intake;
  readonly #spread: Spread;
  readonly #reconciler: Reconciler;
  readonly #syncing = new Map<string, Promise<Compared>>();
  readonly #stops = new Set<() => void>();
  /** documents to compare soon, and peers that may have missed news */
  #active: { docs: Set<string>; missed: Set<string> } | undefined;
  /** how soon after activity to compare: less often while all that differs is news on their way */
  #patience_ms = quickCheck_ms;
  #closed = false;

  private constructor(options: ReplicaOptions) {
    const { ledger } = options;
    this.#options = options;
    this.#carriers = new Carriers(options);
    this.#intake = new Intake(this.#carriers, ledger);
    const common = { ...options, carriers: this.#carriers };
    const active = (doc: string, missed?: string) => this.#becameActive(doc, missed);
    this.#spread = new Spread({ ...common, intake: this.#intake, active });
    const docs = () => this.#docs();
    const isDoc = (doc: string) => this.#isDoc(doc);
    this.#reconciler = new Reconciler({ ...common, spread: this.#spread, docs, isDoc });
  }

  static async open(options: ReplicaOptions): Promise<Replica> {
    const replica = new Replica(options);
    const { clock, ledger } = options;
    replica.#dropPast();
    // what this node has stated and not carried, before it ended or since it began
    for (const doc of replica.#docs()) replica.#carriers.get(doc);
    ledger.carryBy({
      stated: (doc, record) => replica.#stated(doc, record),
      told: (doc, id) => replica.#spread.told(doc, id),
      heldBack: (fact, record) => replica.#later(fact, record),
    });
    await replica.#serve();
    replica.#stops.add(every(clock, antiEntropy_ms, () => replica.#compareAll()));
    replica.#stops.add(every(clock, docLook_ms, () => replica.#dropPast()));
    return replica;
  }

  /** Compares every document with a peer, and gets what is missing; one round at a time for each peer. */
  async syncWith(peer: string): Promise<void> {
    await this.#sync(peer, [], false);
  }

  /** Resolves when all that has arrived is judged and in its document. */
  async settled(): Promise<void> {
    await this.#intake.settled();
    await this.#options.ledger.settled();
  }

  /** Writes every snapshot; nothing is carried any more. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#stops) stop();
    this.#spread.close();
    this.#carriers.close();
  }

  async #serve(): Promise<void> {
    const { rpc, ledger } = this.#options;
    await rpc.handle(protocol.digests, ({ request }) => {
      return done({ docs: this.#reconciler.serveDigests(request.docs) });
    });
    await rpc.handle(protocol.announce, ({ from, request }) => {
      this.#checked(request[0]);
      this.#spread.heard(request, from);
      return done({});
    });
    await rpc.handle(protocol.pull, ({ request }) => {
      const [doc, vector, all] = request;
      const reply = this.#servePull(this.#checked(doc), vector, all);
      if (!all) this.#spread.gave(reply[0].reduce((sum, { length }) => sum + length, 0));
      return done(reply);
    });
    await rpc.handle(protocol.buckets, ({ request }) => {
      return done({ sums: ledger.buckets(this.#checked(request.doc)) });
    });
    await rpc.handle(protocol.idsIn, ({ request }) => {
      const ids = ledger.idsIn(this.#checked(request.doc), request.buckets);
      return done({ ids: protocol.joinIds(ids) });
    });
    await rpc.handle(protocol.recordsOf, ({ request }) => {
      const doc = this.#checked(request.doc);
      const records = protocol.splitIds(request.ids)
        .flatMap((id) => ledger.recordOf(doc, id) ?? []);
      return done({ records });
    });
  }

  #servePull(doc: string, vector: Uint8Array, all: boolean): [Uint8Array[], Uint8Array] {
    const carrier = this.#carriers.get(doc);
    const from = protocol.decodeVector(vector);
    const clocks = all ? carrier.clocks() : new Map<number, number>();
    const updates: Uint8Array[] = [];
    let room = maxPulledBytes;
    for (const client of all ? clocks.keys() : from.keys()) {
      if (room <= 0) break;
      const update = carrier.encode(client, from.get(client) ?? 0, room);
      if (update === undefined) continue;
      updates.push(update);
      room -= update.length;
    }
    return [updates, protocol.encodeVector(clocks)];
  }

  #docs(): string[] {
    const names = [directoryDoc, ...this.#options.table.docs().filter((doc) => doc !== directoryDoc)];
    return names.filter((doc) => this.#isDoc(doc)).slice(-maxDocs);
  }

  #isDoc(doc: string): boolean {
    const { ledger, now_ms } = this.#options;
    const retentionOf = (site: string) => ledger.hasSite(site) ? longestRetention(ledger, site) : undefined;
    return isDocName(doc, retentionOf, now_ms());
  }

  #checked(doc: string): string {
    if (!this.#isDoc(doc)) throw new InkmeshError('bad-request', 'there is no such document');
    return doc;
  }

  /** A fact of this node's own. */
  #stated(doc: string, record: Uint8Array): void {
    if (this.#closed) return;
    // a document that is read again takes in what the table has of this node
    const known = this.#carriers.isLoaded(doc);
    const carrier = this.#carriers.get(doc);
    if (known) carrier.append([record]);
    this.#carriers.changed(doc);
    this.#spread.grown(doc, carrier.client);
  }

  /**
   * For a holder: the accepting node publishes the job, when all have sealed it. This does it in its stead if that node
   * is gone; earlier than that a job could be listed that is taken back.
   */
  #later(fact: Fact, record: Uint8Array): void {
    const { clock, ledger, peers, self } = this.#options;
    const latest_ms = clock.monotonic_ms() + republishLatest_ms;
    const stop = every(clock, republishLook_ms, () => {
      const there = fact.author === self || peers().includes(fact.author);
      const published = !ledger.isHeldBack(idOf(record));
      if (there && !published && clock.monotonic_ms() < latest_ms) return;
      stop();
      this.#stops.delete(stop);
      if (!published) ledger.publish(fact, record);
    });
    this.#stops.add(stop);
  }

  #becameActive(doc: string, missed: string | undefined): void {
    if (this.#closed) return;
    if (this.#active === undefined) {
      this.#active = { docs: new Set(), missed: new Set() };
      const callOff = this.#options.clock.after(this.#patience_ms, () => {
        this.#stops.delete(callOff);
        this.#compareActive();
      });
      this.#stops.add(callOff);
    }
    this.#active.docs.add(doc);
    if (missed !== undefined) this.#active.missed.add(missed);
  }

  #compareActive(): void {
    const active = this.#active;
    this.#active = undefined;
    if (active === undefined) return;
    const peers = this.#options.peers();
    const [some] = peers.splice(Math.floor(fraction() * peers.length), 1);
    const asked = peers.filter((peer) => active.missed.has(peer)).concat(some ?? []);
    // once: a stream of news is no reason not to look whether any is missing
    const patient = this.#patience_ms === quickCheck_ms;
    for (const peer of asked) {
      const compared = this.#sync(peer, [...active.docs], patient && !active.missed.has(peer)).then(
        (result) => {
          this.#patience_ms = result === 'news'
            ? Math.min(2 * this.#patience_ms, antiEntropy_ms)
            : quickCheck_ms;
        },
      );
      this.#quietly(peer, compared);
    }
  }

  #compareAll(): void {
    const peers = this.#options.peers();
    const peer = peers[Math.floor(fraction() * peers.length)];
    if (peer !== undefined) this.#quietly(peer, this.syncWith(peer));
  }

  #sync(peer: string, docs: readonly string[], patient: boolean): Promise<Compared> {
    const running = this.#syncing.get(peer);
    if (running !== undefined) return running;
    const round = this.#reconciler.sync(peer, docs, patient).finally(() => this.#syncing.delete(peer));
    this.#syncing.set(peer, round);
    return round;
  }

  #quietly(peer: string, round: Promise<void>): void {
    round.catch((error: Error) => {
      if (this.#closed) return;
      this.#options.log('info', 'a peer could not be compared with', { peer, reason: error.message });
    });
  }

  /** Removes documents of days of which no job can be alive, unless this node still keeps one. */
  #dropPast(): void {
    const { table, ledger, keeps, now_ms } = this.#options;
    for (const doc of table.docs()) {
      const site = jobsDocOf(doc)?.site;
      if (site === undefined || !isPast(doc, longestRetention(ledger, site), now_ms()) || keeps(doc)) {
        continue;
      }
      this.#carriers.drop(doc);
      ledger.drop(doc);
    }
  }
}

const done = <Reply>(reply: Reply) => Promise.resolve({ reply });
