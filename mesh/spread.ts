/**
 * News on their way through the mesh. Who has something new tells its neighbours what, in a few octets; who lacks it
 * asks one of those that told it. So each fact travels to each node once, by whichever way is quickest. Who has given
 * more than it got tells of others' news a little later, so that those with many neighbours do not carry it all.
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
  announceLater_ms,
  maxAnnouncedClients,
  maxAnnouncedFacts,
  maxLentBytes,
  maxRecordsPerCall,
  questionsAtOnce,
} from './limits.ts';
import type { Clock } from './ports.ts';
import type { Rpc } from './rpc.ts';
import { Turns } from './turns.ts';
import { Wanted } from './wanted.ts';

/** What is new in one document, and who knows it already. */
interface News {
  clients: Map<number, Set<string>>;
  /** ids in hex of facts that no array carries */
  facts: Map<string, Set<string>>;
  callOff: () => void;
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

/** What a peer has, if all was asked for, and whether anything new came. */
export interface Pulled {
  theirs: Uint8Array;
  grown: boolean;
}

export class Spread {
  readonly #options: SpreadOptions;
  readonly #news = new Map<string, News>();
  /** arrays by their clients, as far as others have told */
  readonly #arrays: Wanted<number>;
  /** facts by their ids in hex */
  readonly #facts: Wanted<string>;
  readonly #turns = new Turns(questionsAtOnce);
  /** arrays to be asked for when it is their turn, by peer and document */
  readonly #pulls = new Map<string, { clients: Set<number>; pulled: Promise<void> }>();
  /** octets of arrays that this node has given, beyond what it got */
  #lent = 0;
  #closed = false;

  constructor(options: SpreadOptions) {
    const { clock, carriers, ledger, active } = options;
    this.#options = options;
    this.#arrays = new Wanted({
      ...{ clock, missed: active },
      lacks: (doc, client, goal) =>
        carriers.get(doc).clock(client) < goal && !carriers.barred(doc).has(client),
      ask: (doc, clients, from, answered) => this.#pullSome(doc, clients, from, answered),
    });
    this.#facts = new Wanted({
      ...{ clock, missed: active },
      lacks: (doc, name) => !ledger.isSettled(doc, Uint8Array.fromHex(name)) && !ledger.isWaiting(name),
      ask: (doc, names, from, answered) =>
        this.fetch(doc, names.map((name) => Uint8Array.fromHex(name)), from, answered),
    });
  }

  /** A client's array has grown; `from` and those that told of it know. */
  grown(doc: string, client: number, from: readonly string[] = []): void {
    const knowing = from.concat(this.#arrays.tellersOf(doc, client));
    this.#add(this.#newsOf(doc, from).clients, client, knowing);
    this.#options.active(doc);
  }

  /** A fact is known here that no array carries. */
  told(doc: string, id: Uint8Array, from: readonly string[] = []): void {
    this.#add(this.#newsOf(doc, from).facts, id.toHex(), from);
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
    const arrays = [...announcedClients(vector)].filter(([client, clock]) => {
      if (clock > carrier.clock(client)) return !carriers.barred(doc).has(client);
      this.#news.get(doc)?.clients.get(client)?.add(from);
      return false;
    });
    this.#arrays.told(doc, arrays, from);
    const unknown = splitIds(facts).filter((id) => {
      this.#news.get(doc)?.facts.get(id.toHex())?.add(from);
      return !ledger.isSettled(doc, id);
    });
    this.#facts.told(doc, unknown.map((id) => [id.toHex(), 1] as const), from);
  }

  /**
   * Gets records by their ids from a peer, and has them judged.
   * @returns how many were facts that were new here
   */
  async fetch(
    doc: string,
    ids: readonly Uint8Array[],
    from: string,
    answered: () => void = () => {},
  ): Promise<number> {
    const { rpc, ledger, active } = this.#options;
    let found = 0;
    try {
      for (let at = 0; at < ids.length; at += maxRecordsPerCall) {
        const some = joinIds(ids.slice(at, at + maxRecordsPerCall));
        const { reply } = await this.#turns.take(
          from,
          () => this.#blaming(from, rpc.call(from, recordsOf, { doc, ids: some })),
        );
        answered();
        for (const record of reply.records) {
          if (await ledger.hear({ doc, record, from }) !== 'fact') continue;
          found++;
          this.told(doc, idOf(record), [from]);
        }
      }
    } catch {
      active(doc, from);
    }
    await ledger.settled();
    return found;
  }

  /** So many octets of arrays went to a neighbour that asked for them. */
  gave(octets: number): void {
    this.#lent = Math.min(this.#lent + octets, maxLentBytes);
  }

  close(): void {
    this.#closed = true;
    for (const { callOff } of this.#news.values()) callOff();
    this.#news.clear();
    this.#arrays.close();
    this.#facts.close();
  }

  /** Asks for arrays from where they end here; what is told of until it is their turn goes with them. */
  #pullSome(
    doc: string,
    clients: readonly number[],
    from: string,
    answered: () => void,
  ): Promise<void> {
    const name = `${from} ${doc}`;
    const known = this.#pulls.get(name);
    if (known !== undefined) {
      for (const client of clients) known.clients.add(client);
      return known.pulled;
    }
    const pull = { clients: new Set(clients), pulled: Promise.resolve() };
    this.#pulls.set(name, pull);
    pull.pulled = this.#turns.take(from, async () => {
      this.#pulls.delete(name);
      const carrier = this.#options.carriers.get(doc);
      const clocks = new Map([...pull.clients].map((client) => [client, carrier.clock(client)]));
      await this.#pull(doc, from, clocks, false, answered);
      // what it did not give is asked of the next announcer, or found when nodes compare
    }).catch(() => {});
    return pull.pulled;
  }

  /**
   * Asks for all that is beyond these clocks, and takes it in.
   * @throws InkmeshError
   */
  pull(doc: string, from: string, clocks: ReadonlyMap<number, number>): Promise<Pulled> {
    return this.#turns.take(from, () => this.#pull(doc, from, clocks, true));
  }

  async #pull(
    doc: string,
    from: string,
    clocks: ReadonlyMap<number, number>,
    all: boolean,
    answered: () => void = () => {},
  ): Promise<Pulled> {
    const { rpc, intake } = this.#options;
    const { reply: [updates, theirs] } = await this.#blaming(
      from,
      rpc.call(from, pull, [doc, encodeVector(clocks), all]),
    );
    answered();
    let grown = false;
    for (const update of updates) {
      const client = await intake.take(doc, update, from);
      if (client === undefined) continue;
      grown = true;
      this.#lent = Math.max(0, this.#lent - update.length);
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

  /** @param from who told of it; nobody when it is this node's own: then nobody else can tell */
  #newsOf(doc: string, from: readonly string[]): News {
    const known = this.#news.get(doc);
    if (known !== undefined) return known;
    const later_ms = from.length === 0 ? 0 : Math.round(announceLater_ms * this.#lent / maxLentBytes);
    const callOff = this.#closed
      ? () => {}
      : this.#options.clock.after(announceBatch_ms + later_ms, () => this.#flush(doc));
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
