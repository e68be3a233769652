/**
 * Making sure that two nodes have the same facts, whatever became of their documents: how many there are of each, and
 * the XOR of their ids, is compared; where that differs the document is pulled, and where it still does, ids are. It
 * does not rely on Yjs, so nothing that is done to a document keeps a fact away.
 */
import type { Carriers } from './carriers.ts';
import { buckets, decodeVector, digests, idsIn, splitIds } from './fact-protocol.ts';
import type { Digest } from './fact-index.ts';
import { directoryDoc, idBytes } from './facts.ts';
import type { FactLedger } from './ledger.ts';
import {
  maxAnnouncedClients,
  maxAnnouncedFacts,
  maxDocs,
  maxIdsPerExchange,
  maxNamedDocs,
  maxPullRounds,
  settleDelay_ms,
} from './limits.ts';
import type { Clock } from './ports.ts';
import type { Rpc } from './rpc.ts';
import type { Spread } from './spread.ts';
import { sleep } from './timing.ts';

export interface ReconcileOptions {
  rpc: Rpc;
  clock: Clock;
  carriers: Carriers;
  spread: Spread;
  ledger: FactLedger;
  /** documents of this node */
  docs(): string[];
  isDoc(doc: string): boolean;
}

/** What came of a comparison. */
export type Compared = 'same' | 'news' | 'missed';

export class Reconciler {
  readonly #options: ReconcileOptions;
  /** this node's clock in its own array when a peer was last told of it, by document and peer */
  readonly #shown = new Map<string, { client: number; clock: number }>();

  constructor(options: ReconcileOptions) {
    this.#options = options;
  }

  /**
   * Compares with a peer, the directory first: which sites there are is in it.
   * @param docs none: all
   * @param patient to leave alone, this time, what news come to meanwhile
   * @returns `same` when there was nothing to do, `news` when what differed was on its way, `missed` when it was not
   */
  async sync(peer: string, docs: readonly string[], patient = false): Promise<Compared> {
    const differing = await this.#different(peer, docs);
    const different = patient ? await this.#unchanging(differing) : differing;
    if (different.length === 0) return differing.length === 0 ? 'same' : 'news';
    const order = [...different].sort((a, b) => Number(b === directoryDoc) - Number(a === directoryDoc));
    let failure: unknown;
    let missed = false;
    for (const doc of order) {
      if (!this.#options.isDoc(doc)) continue;
      await this.#reconcile(peer, doc).then((found) => missed ||= found, (thrown) => failure = thrown);
    }
    if (failure !== undefined) throw failure;
    return missed ? 'missed' : 'news';
  }

  /** For `digests`. */
  serveDigests(docs: readonly string[]): [string, number, Uint8Array][] {
    const { ledger, docs: own, isDoc } = this.#options;
    return (docs.length === 0 ? own() : docs.filter(isDoc)).slice(0, maxDocs).map((doc) => {
      const { count, sum } = ledger.digest(doc);
      return [doc, count, sum];
    });
  }

  /** Those of some documents that nothing comes to for a moment. */
  async #unchanging(docs: readonly string[]): Promise<readonly string[]> {
    if (docs.length === 0) return docs;
    const { ledger, clock } = this.#options;
    const before = new Map(docs.map((doc) => [doc, ledger.digest(doc)]));
    await sleep(clock, settleDelay_ms);
    return docs.filter((doc) => isSame(ledger.digest(doc), before.get(doc)));
  }

  async #different(peer: string, docs: readonly string[]): Promise<string[]> {
    const { rpc, ledger, docs: own } = this.#options;
    const named = docs.length > maxNamedDocs ? [] : docs;
    const { reply } = await rpc.call(peer, digests, { docs: [...named] });
    const theirs = new Map(reply.docs.map(([doc, count, sum]) => [doc, { count, sum }]));
    const asked = named.length === 0 ? [...own(), ...theirs.keys()] : named;
    return [...new Set(asked)].filter((doc) => !isSame(ledger.digest(doc), theirs.get(doc)));
  }

  /** @returns whether something had been missed here that no announcement would have brought */
  async #reconcile(peer: string, doc: string): Promise<boolean> {
    const { ledger, clock } = this.#options;
    // what cannot be pulled is found by its ids; if the peer is gone, they fail too
    const told = await this.#pullAll(peer, doc).catch(() => false);
    await ledger.settled();
    // it asks for what it has been told of, meanwhile
    if (told && (await this.#different(peer, [doc])).length > 0) await sleep(clock, settleDelay_ms);
    return (await this.#different(peer, [doc])).length > 0 && await this.#exchange(peer, doc);
  }

  /** Pulls a document, in pieces if it is large. @returns whether the peer was told of what it lacks */
  async #pullAll(peer: string, doc: string): Promise<boolean> {
    const { carriers, spread } = this.#options;
    const barred = carriers.barred(doc);
    let theirs = new Map<number, number>();
    for (let round = 0; round < maxPullRounds; round++) {
      const clocks = carriers.get(doc).clocks();
      for (const client of barred) clocks.set(client, Number.MAX_SAFE_INTEGER);
      const pulled = await spread.pull(doc, peer, clocks);
      theirs = decodeVector(pulled.theirs);
      const carrier = carriers.get(doc);
      const more = [...theirs].some(([client, clock]) =>
        !barred.has(client) && clock > carrier.clock(client)
      );
      if (!pulled.grown || !more) break;
    }
    this.#checkOwn(peer, doc, theirs);
    const lacked = [...carriers.get(doc).clocks()].filter(([client, clock]) =>
      clock > (theirs.get(client) ?? 0) && !barred.has(client)
    );
    if (lacked.length > 0) await spread.tell(peer, doc, new Map(lacked.slice(0, maxAnnouncedClients)), []);
    return lacked.length > 0;
  }

  /** A peer that was told of this node's array, and has still not taken it: a fresh one may do better. */
  #checkOwn(peer: string, doc: string, theirs: ReadonlyMap<number, number>): void {
    const carrier = this.#options.carriers.get(doc);
    const name = `${peer} ${doc}`;
    const shown = this.#shown.get(name);
    if (this.#shown.size > maxDocs) this.#shown.clear();
    const { client } = carrier;
    if (shown?.client === client && (theirs.get(client) ?? 0) < shown.clock) {
      carrier.rotate();
      this.#shown.delete(name);
    } else this.#shown.set(name, { client, clock: carrier.clock(client) });
  }

  /** By ids: gets what is missing here, and tells of what is missing there. */
  async #exchange(peer: string, doc: string): Promise<boolean> {
    const { rpc, ledger, spread } = this.#options;
    const { reply: { sums } } = await rpc.call(peer, buckets, { doc });
    const own = ledger.buckets(doc);
    const differing = Uint8Array.from({ length: 256 }, (_, bucket) => bucket).filter((bucket) => {
      const at = bucket * idBytes;
      return sums.subarray(at, at + idBytes).some((octet, i) => octet !== own[at + i]);
    });
    if (differing.length === 0) return false;
    const { reply } = await rpc.call(peer, idsIn, { doc, buckets: differing });
    const theirs = splitIds(reply.ids);
    const here = new Map(ledger.idsIn(doc, differing).map((id) => [id.toHex(), id]));
    const there = new Set(theirs.map((id) => id.toHex()));
    // what is invented has an end; of what is not, the rest is found the next time
    const missing = theirs.filter((id) => !here.has(id.toHex())).slice(0, maxIdsPerExchange)
      .filter((id) => !ledger.isSettled(doc, id));
    const found = missing.length > 0 ? await spread.fetch(doc, missing, peer) : 0;
    const lacked = [...here].flatMap(([name, id]) => there.has(name) ? [] : id);
    for (let at = 0; at < lacked.length; at += maxAnnouncedFacts) {
      await spread.tell(peer, doc, new Map(), lacked.slice(at, at + maxAnnouncedFacts));
    }
    return found > 0;
  }
}

function isSame(a: Digest, b: Digest | undefined): boolean {
  if (b === undefined) return a.count === 0;
  return a.count === b.count && a.sum.every((octet, i) => octet === b.sum[i]);
}
