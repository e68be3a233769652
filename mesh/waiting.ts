/** Records that cannot be judged before something else arrives, and those that were refused; both bounded. */
import {
  maxRefusedFacts,
  maxSuspects,
  maxWaitingFacts,
  maxWaitingOfStrangers,
  maxWaitingPerAuthor,
} from './limits.ts';

/** A record as it came. */
export interface Heard {
  doc: string;
  record: Uint8Array;
  /** PeerId of who sent it */
  from: string;
}

interface Waiter extends Heard {
  id: string;
  what: string;
  /** whose share of the room it takes: all authors without a certificate have one together */
  account: string;
}

/** What is dropped for want of room is asked for again when nodes compare their facts. */
export class Waiting {
  readonly #waiters = new Map<string, Waiter>();
  readonly #byWhat = new Map<string, Set<string>>();
  readonly #accounts = new Map<string, Set<string>>();

  /** @param what as `Missing` names it @param id hex @param author undefined when its certificate is missing */
  add(what: string, id: string, author: string | undefined, heard: Heard): void {
    if (this.#waiters.has(id)) return;
    const account = author ?? '';
    const mine = this.#accounts.get(account) ?? new Set<string>();
    this.#accounts.set(account, mine);
    if (mine.size >= (author === undefined ? maxWaitingOfStrangers : maxWaitingPerAuthor)) {
      this.#remove(mine.values().next().value);
    }
    if (this.#waiters.size >= maxWaitingFacts) this.#remove(this.#waiters.keys().next().value);
    const record = new Uint8Array(heard.record);
    this.#waiters.set(id, { ...heard, record, id, what, account });
    (this.#accounts.get(account) ?? this.#renew(account)).add(id);
    const same = this.#byWhat.get(what) ?? new Set<string>();
    this.#byWhat.set(what, same.add(id));
  }

  /** @param id hex */
  has(id: string): boolean {
    return this.#waiters.has(id);
  }

  /** Everything that waited for this, which it does no longer. */
  take(what: string): Heard[] {
    return [...this.#byWhat.get(what) ?? []].flatMap((id) => this.#remove(id) ?? []);
  }

  #renew(account: string): Set<string> {
    const fresh = new Set<string>();
    this.#accounts.set(account, fresh);
    return fresh;
  }

  #remove(id: string | undefined): Waiter | undefined {
    const waiter = this.#waiters.get(id ?? '');
    if (waiter === undefined) return undefined;
    this.#waiters.delete(waiter.id);
    for (const [map, key] of [[this.#byWhat, waiter.what], [this.#accounts, waiter.account]] as const) {
      const ids = map.get(key);
      ids?.delete(waiter.id);
      if (ids?.size === 0) map.delete(key);
    }
    return waiter;
  }
}

/** The ids of what was refused, with their authors: not asked for again, nor said again in the log. */
export class Refused {
  readonly #authors = new Map<string, string>();

  has(id: string): boolean {
    return this.#authors.has(id);
  }

  add(id: string, author: string): void {
    if (this.#authors.size >= maxRefusedFacts) this.#authors.delete(this.#authors.keys().next().value!);
    this.#authors.set(id, author);
  }

  /** Its facts are looked at again: a certificate may bear them out. */
  forget(author: string): void {
    for (const [id, other] of this.#authors) if (other === author) this.#authors.delete(id);
  }
}

/** A node that has broken the rules: how, how often, and when last by this node's clock. */
export interface Suspect {
  peer: string;
  reason: string;
  times: number;
  last_ms: number;
}

export class Suspects {
  readonly #suspects = new Map<string, Suspect>();

  /** @returns whether the peer was no suspect before */
  note(peer: string, reason: string, now_ms: number): boolean {
    const known = this.#suspects.get(peer);
    this.#suspects.delete(peer);
    if (this.#suspects.size >= maxSuspects) this.#suspects.delete(this.#suspects.keys().next().value!);
    this.#suspects.set(peer, { peer, reason, times: (known?.times ?? 0) + 1, last_ms: now_ms });
    return known === undefined;
  }

  list(): Suspect[] {
    return [...this.#suspects.values()];
  }
}
