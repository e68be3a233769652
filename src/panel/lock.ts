/**
 * Wrong PINs, counted across panel nodes as far as these have heard of each other, and users who are locked for them.
 * How many there were is a fact of the day, which goes with it; a lock is one of the directory, by a panel node, about
 * one PIN: a new one ends it.
 */
import * as v from 'valibot';
import { bytes, check, integer } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import {
  directoryDoc,
  type Fact,
  jobsDoc,
  type Kind,
  type KnownFacts,
  type Mesh,
  revokedSince,
} from '../../mesh/mod.ts';
import { userName } from '../../mesh/names.ts';
import { remember } from '../../mesh/remember.ts';
import { panelLimits } from '../limits.ts';
import { badgeOf, type PinFact, pinOf } from './verifier.ts';

const { maxFailures, maxCounted } = panelLimits;

/** the salt of the PIN that they were tried on */
const pin = bytes(16, 16);

const failedBody = v.strictObject({
  pin,
  /** at this panel node since the right one was last shown there */
  failures: integer(0, maxFailures),
});
type Author = Parameters<Kind['check']>[1];

/** Its subject is the name of a user. */
export const failedKind: Kind<typeof failedBody> = {
  name: 'pin-failed',
  body: failedBody,
  check(fact, author) {
    panelOnly(fact, author);
    if (fact.doc !== jobsDoc(author.site, fact.time_ms)) {
      throw new InkmeshError('forbidden', 'wrong PINs belong to the site and day of the panel node');
    }
  },
};

const lockedBody = v.strictObject({ pin });

/** Its subject is the name of a user. */
export const lockedKind: Kind<typeof lockedBody> = {
  name: 'pin-locked',
  body: lockedBody,
  check(fact, author) {
    panelOnly(fact, author);
    if (fact.doc !== directoryDoc) throw new InkmeshError('forbidden', 'locks belong to the directory');
  },
};

function panelOnly(fact: Fact, author: Author): void {
  check(userName, fact.subject);
  if (author.roles.includes('panel')) return;
  throw new InkmeshError('forbidden', `only a panel node states ${fact.kind} facts`);
}

const isOf = (fact: Fact, { salt }: PinFact) =>
  Buffer.from((fact.body as { pin: Uint8Array }).pin).equals(salt);

/** What panel nodes say about a PIN of a user; not those that are revoked: a stolen one locks nobody for longer. */
const saidOf = (known: KnownFacts, kind: string, user: string, given: PinFact): Fact[] =>
  known.about(kind, user).filter((fact) =>
    isOf(fact, given) && revokedSince(known, 'node', fact.author) === undefined
  );

/** When a user was locked, milliseconds since the epoch; undefined for who is not, or has a new PIN since. */
export function lockedSince(known: KnownFacts, user: string): number | undefined {
  const given = pinOf(known, user);
  if (given === undefined) return undefined;
  return saidOf(known, lockedKind.name, user, given)[0]?.time_ms;
}

/** What a user can show at panels; `locked` as ISO 8601, null for who is not. */
export function verifiersOf(
  known: KnownFacts,
  user: string,
): { pin: boolean; badge: boolean; locked: string | null } {
  const since_ms = lockedSince(known, user);
  return {
    pin: pinOf(known, user) !== undefined,
    badge: badgeOf(known, user) !== undefined,
    locked: since_ms === undefined ? null : new Date(since_ms).toISOString(),
  };
}

export class Locks {
  readonly #mesh: Pick<Mesh, 'ledger' | 'self'>;
  /** at this node, by name and PIN, the oldest first; names that are no user's count alike, so that nothing tells them apart */
  readonly #own = new Map<string, number>();

  constructor(mesh: Pick<Mesh, 'ledger' | 'self'>) {
    this.#mesh = mesh;
  }

  isLocked(user: string, given: PinFact | undefined): boolean {
    const elsewhere = given === undefined ? undefined : lockedSince(this.#mesh.ledger, user);
    return elsewhere !== undefined || this.#count(user, given) >= maxFailures;
  }

  /** Counts an attempt before it is looked at, so that many at once are not more than one after the other. */
  begin(user: string, given: PinFact | undefined): void {
    this.#set(user, given, Math.min(maxFailures, this.#ownCount(user, given) + 1));
  }

  /** The attempt was not looked at. */
  undo(user: string, given: PinFact | undefined): void {
    this.#set(user, given, Math.max(0, this.#ownCount(user, given) - 1));
  }

  /** The attempt was right. */
  async succeeded(user: string, given: PinFact): Promise<void> {
    const known = this.#stated(user, given).some(({ body }) => (body as { failures: number }).failures > 0);
    this.#own.delete(keyOf(user, given));
    if (known) await this.#state(user, given, 0);
  }

  /** The attempt was wrong. @returns whether the user is locked by it */
  async failed(user: string, given: PinFact): Promise<boolean> {
    // the right one may have been shown since this attempt began
    await this.#state(user, given, Math.max(1, this.#ownCount(user, given)));
    return this.#count(user, given) >= maxFailures && await this.lock(user, given);
  }

  /**
   * Says that a user is locked, unless somebody has: several panel nodes may have counted too many together, and none of
   * them by itself.
   * @returns whether nobody had
   */
  async lock(user: string, given: PinFact): Promise<boolean> {
    const { ledger } = this.#mesh;
    if (lockedSince(ledger, user) !== undefined) return false;
    await ledger.state(lockedKind, () => directoryDoc, user, { pin: given.salt });
    return true;
  }

  async #state(user: string, { salt }: PinFact, failures: number): Promise<void> {
    const { ledger, self } = this.#mesh;
    await ledger.state(failedKind, (time_ms) => jobsDoc(self.site, time_ms), user, { pin: salt, failures });
  }

  /** Here, and at others since somebody has shown the right one. */
  #count(user: string, given: PinFact | undefined): number {
    const own = this.#ownCount(user, given);
    if (given === undefined) return own;
    const stated = this.#stated(user, given);
    const failures = (fact: Fact) => (fact.body as { failures: number }).failures;
    const right_ms = Math.max(
      0,
      ...stated.filter((fact) => failures(fact) === 0).map((fact) => fact.time_ms),
    );
    const others = stated.filter(({ author, time_ms }) =>
      author !== this.#mesh.self.peerId && time_ms > right_ms
    );
    return others.reduce((sum, fact) => sum + failures(fact), own);
  }

  #ownCount(user: string, given: PinFact | undefined): number {
    const counted = this.#own.get(keyOf(user, given));
    if (counted !== undefined || given === undefined) return counted ?? 0;
    // of an earlier run
    const last = this.#stated(user, given).find(({ author }) => author === this.#mesh.self.peerId);
    return (last?.body as { failures: number } | undefined)?.failures ?? 0;
  }

  #set(user: string, given: PinFact | undefined, count: number): void {
    const key = keyOf(user, given);
    this.#own.delete(key);
    remember(this.#own, key, count, maxCounted);
  }

  /** The last word of each panel node about this PIN. */
  #stated(user: string, given: PinFact): Fact[] {
    const facts = saidOf(this.#mesh.ledger, failedKind.name, user, given);
    return [...new Map(facts.map((fact) => [fact.author, fact])).values()];
  }
}

const keyOf = (user: string, given: PinFact | undefined) => `${user} ${given?.salt.toHex() ?? ''}`;
