/**
 * News on their way through the mesh. Who has something new tells its neighbours what, in a few octets; who lacks it
 * asks one of those that told it. So each fact travels to each node once, by whichever way is quickest.
 */
import type { Carriers } from './carriers.ts';
import { asInkmeshError } from './errors.ts';
import {
  announce,
  announcedClients,
  type Announcement,
  encodeVector,
  joinIds,
  pull,
  recordsOf,
  splitIds,
} from './fact-protocol.ts';
import { idOf } from './facts.ts';
import type { Intake } from './intake.ts';
import type { FactLedger } from './ledger.ts';
import {
  announceBatch_ms,
  maxAnnouncedClients,
  maxAnnouncedFacts,
  maxRecordsPerCall,
  maxSources,
} from './limits.ts';
import type { Clock } from './ports.ts';
import type { Rpc } from './rpc.ts';

/** What is new in one document, and who knows it already. */
interface News {
  clients: Map<number, Set<string>>;
  /** ids in hex of facts that no array carries */
  facts: Map<string, Set<string>>;
  callOff: () => void;
}

/** Something that this node lacks, and those that have told it that they have it. */
interface Wanted {
  clock: number;
  sources: string[];
  asking: boolean;
}

export interface SpreadOptions {
  rpc: Rpc;
  clock: Clock;
  carriers: Carriers;
  intake: Intake;
  ledger: FactLedger;
  peers(): string[];
  /** something has happened to a document; with a peer that may have missed it */
  active(doc: string, missed?: string): void;
}

export class Spread {
  readonly #options: SpreadOptions;
  readonly #news = new Map<string, News>();
  readonly #wanted = new Map<string, Map<number, Wanted>>();
  readonly #fetching = new Set<string>();
  #closed = false;

  constructor(options: SpreadOptions) {
    this.#options = options;
  }

  /** A client's array has grown; `from` and those that told of it know. */
  grown(doc: string, client: number, from: readonly string[] = []): void {
    const knowing = from.concat(this.#wanted.get(doc)?.get(client)?.sources ?? []);
    this.#add(this.#newsOf(doc).clients, client, knowing);
    this.#options.active(doc);
  }

  /** A fact is known here that no array carries. */
  told(doc: string, id: Uint8Array, from: readonly string[] = []): void {
    this.#add(this.#newsOf(doc).facts, id.toHex(), from);
    this.#options.active(doc);
  }

  /** Tells one peer at once, as much as goes into a message. */
  async tell(
    peer: string,
    doc: string,
    clocks: ReadonlyMap<number, number>,
    ids: Uint8Array[],
  ): Promise<void> {
    await this.#options.rpc.call(peer, announce, [
      doc,
      encodeVector(new Map([...clocks].slice(0, maxAnnouncedClients))),
      joinIds(ids.slice(0, maxAnnouncedFacts)),
    ]);
  }

  /** What a peer has told. @throws InkmeshError `bad-request` */
  heard([doc, vector, facts]: Announcement, from: string): void {
    const { carriers, ledger } = this.#options;
    const carrier = carriers.get(doc);
    const wanted = this.#wanted.get(doc) ?? new Map<number, Wanted>();
    this.#wanted.set(doc, wanted);
    const lacking: number[] = [];
    for (const [client, clock] of announcedClients(vector)) {
      if (carriers.barred(doc).has(client)) continue;
      if (clock <= carrier.clock(client)) {
        this.#news.get(doc)?.clients.get(client)?.add(from);
        continue;
      }
      const want = wanted.get(client) ?? { clock, sources: [], asking: false };
      if (wanted.size >= maxAnnouncedClients && !wanted.has(client)) continue;
      wanted.set(client, want);
      want.clock = Math.max(want.clock, clock);
      if (want.sources.length < maxSources && !want.sources.includes(from)) want.sources.push(from);
      if (!want.asking) lacking.push(client);
    }
    if (lacking.length > 0) void this.#pull(doc, from, lacking);
    const unknown = splitIds(facts).filter((id) => {
      this.#news.get(doc)?.facts.get(id.toHex())?.add(from);
      return !ledger.isSettled(doc, id) && !this.#fetching.has(id.toHex());
    });
    if (unknown.length > 0) void this.fetch(doc, unknown, from);
  }

  /** Gets records by their ids from a peer, and has them judged. @returns how many were facts that were new here */
  async fetch(doc: string, ids: readonly Uint8Array[], from: string): Promise<number> {
    const { rpc, ledger, active } = this.#options;
    const names = ids.map((id) => id.toHex());
    let found = 0;
    for (const name of names) this.#fetching.add(name);
    try {
      for (let at = 0; at < ids.length; at += maxRecordsPerCall) {
        const some = ids.slice(at, at + maxRecordsPerCall);
        const { reply } = await this.#blaming(from, rpc.call(from, recordsOf, { doc, ids: joinIds(some) }));
        for (const record of reply.records) {
          if (await ledger.hear({ doc, record, from }) !== 'fact') continue;
          found++;
          this.told(doc, idOf(record), [from]);
        }
      }
    } catch {
      active(doc, from);
    } finally {
      for (const name of names) this.#fetching.delete(name);
    }
    await ledger.settled();
    return found;
  }

  close(): void {
    this.#closed = true;
    for (const { callOff } of this.#news.values()) callOff();
    this.#news.clear();
    this.#wanted.clear();
  }

  /** Asks one announcer, then, for what it did not give, the next. */
  async #pull(doc: string, from: string, clients: readonly number[]): Promise<void> {
    const { carriers, active } = this.#options;
    const wanted = this.#wanted.get(doc);
    for (const client of clients) {
      const want = wanted?.get(client);
      if (want !== undefined) want.asking = true;
    }
    try {
      const clocks = new Map(clients.map((client) => [client, carriers.get(doc).clock(client)]));
      await this.pull(doc, from, clocks, false);
    } catch {
      // the next announcer is asked, or it is found when nodes compare
    }
    if (this.#closed) return;
    for (const client of clients) {
      const want = wanted?.get(client);
      if (want === undefined) continue;
      want.asking = false;
      const done = carriers.get(doc).clock(client) >= want.clock || carriers.barred(doc).has(client);
      want.sources = want.sources.filter((source) => source !== from);
      const [next] = want.sources;
      if (done || next === undefined) {
        wanted?.delete(client);
        if (!done) active(doc, from);
      } else void this.#pull(doc, next, [client]);
    }
  }

  /**
   * Asks for what is beyond these clocks, and takes it in.
   * @returns what the peer has, if all was asked for, and whether anything new came
   */
  async pull(
    doc: string,
    from: string,
    clocks: ReadonlyMap<number, number>,
    all: boolean,
  ): Promise<{ theirs: Uint8Array; grown: boolean }> {
    const { rpc, intake } = this.#options;
    const { reply: [updates, theirs] } = await this.#blaming(
      from,
      rpc.call(from, pull, [doc, encodeVector(clocks), all]),
    );
    let grown = false;
    for (const update of updates) {
      const client = await intake.take(doc, update, from);
      if (client === undefined) continue;
      grown = true;
      this.grown(doc, client, [from]);
    }
    return { theirs, grown };
  }

  /** An answer that is larger than any may be is no accident. */
  async #blaming<Answer>(peer: string, answer: Promise<Answer>): Promise<Answer> {
    try {
      return await answer;
    } catch (thrown) {
      const { code } = asInkmeshError(thrown);
      if (code === 'too-large') this.#options.ledger.suspect(peer, 'it sends more than was asked for');
      throw thrown;
    }
  }

  #newsOf(doc: string): News {
    const known = this.#news.get(doc);
    if (known !== undefined) return known;
    const callOff = this.#closed
      ? () => {}
      : this.#options.clock.after(announceBatch_ms, () => this.#flush(doc));
    const news: News = { clients: new Map(), facts: new Map(), callOff };
    this.#news.set(doc, news);
    return news;
  }

  #add<Key>(news: Map<Key, Set<string>>, key: Key, knowing: readonly string[]): void {
    const known = news.get(key) ?? new Set<string>();
    news.set(key, known);
    for (const peer of knowing) known.add(peer);
  }

  #flush(doc: string): void {
    const news = this.#news.get(doc);
    this.#news.delete(doc);
    if (news === undefined) return;
    const { carriers, peers, active } = this.#options;
    const carrier = carriers.get(doc);
    for (const peer of peers()) {
      const clients = [...news.clients].filter(([, knowing]) => !knowing.has(peer)).map(([client]) => client);
      const ids = [...news.facts].filter(([, knowing]) => !knowing.has(peer)).map(([id]) =>
        Uint8Array.fromHex(id)
      );
      if (clients.length + ids.length === 0) continue;
      const clocks = new Map(clients.map((client) => [client, carrier.clock(client)]));
      this.tell(peer, doc, clocks, ids).catch(() => active(doc, peer));
    }
  }
}
