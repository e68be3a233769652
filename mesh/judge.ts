/** Whether a signed record is a fact: its signature, its date, its author's standing, its kind's rules. */
import type { NodeIdentity, Trust } from './certificate.ts';
import { decode } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { type Fact, factContext, type Kind, type KnownFacts, Missing, readFact } from './facts.ts';
import { maxFactLead_ms } from './limits.ts';
import { identityIn, nodeKind } from './node-fact.ts';
import { verify } from './signed.ts';

/** What facts are judged by. */
export interface Judging {
  readonly trust: Trust;
  readonly kinds: ReadonlyMap<string, Kind>;
  readonly known: KnownFacts & {
    /** certificates of a node that hold at a time, those preferred first that were issued last */
    certificates(peer: string, time_ms: number): NodeIdentity[];
  };
}

/** Thrown for a record that is not by the author that it names: whoever sent it is to blame, not the author. */
export class Forged extends InkmeshError {
  constructor(message: string) {
    super('unauthenticated', message);
  }
}

/** Thrown for a fact that may be one when its time has come. */
export class DatedAhead extends InkmeshError {
  constructor() {
    super('forbidden', 'it is dated in the future');
  }
}

/**
 * A fact holds if one of the certificates that its author had at its time bears it out, so that a renewal never
 * takes back what was said before.
 * @throws InkmeshError when it is no fact, `Forged` when it is not its author's; `Missing` when it can't be told yet
 */
export async function judgeFact(record: Uint8Array, judging: Judging, now_ms: number): Promise<Fact> {
  const { fact, bodyBytes, payload, signature } = readFact(record);
  const { known, trust } = judging;
  const isAhead = fact.time_ms > now_ms + maxFactLead_ms;
  const authors = fact.kind === nodeKind.name
    ? [await proven(identityIn(trust, fact, bodyBytes))]
    : known.certificates(fact.author, isAhead ? now_ms : fact.time_ms);
  const signers: NodeIdentity[] = [];
  for (const author of authors) {
    if (await verify(author.publicKey, factContext, payload, signature)) signers.push(author);
  }
  if (authors.length === 0) throw new Missing(`peer:${fact.author}`);
  if (signers.length === 0) throw new Forged('the signature is not its author’s');
  if (isAhead) throw new DatedAhead();
  refuseOfRevoked(fact, known);
  const kind = judging.kinds.get(fact.kind);
  // of a newer version, perhaps: carried on, and judged when this node knows more
  if (kind === undefined) throw new Missing(`kind:${fact.kind}`);
  const judged = { ...fact, body: decode(kind.body, bodyBytes) };
  let refusal: unknown;
  for (const author of signers) {
    try {
      await kind.check(judged, author, known);
      return judged;
    } catch (thrown) {
      if (refusal === undefined || thrown instanceof Missing) refusal = thrown;
    }
  }
  throw refusal;
}

/** A certificate that does not prove its author says nothing about that one. */
async function proven(identity: Promise<NodeIdentity>): Promise<NodeIdentity> {
  try {
    return await identity;
  } catch (thrown) {
    if (thrown instanceof InkmeshError) throw new Forged(thrown.message);
    throw thrown;
  }
}

/** What a node says after it has been revoked counts for nothing. */
function refuseOfRevoked(fact: Fact, known: KnownFacts): void {
  for (const revoked of known.about('revoked', `node:${fact.author}`)) {
    if (revoked.time_ms > fact.time_ms) return;
    if (isUndone(fact, revoked)) throw new InkmeshError('forbidden', 'its author had been revoked by then');
  }
}

/**
 * Whether a fact counts for nothing because its author was revoked. Who a node is, and that it was revoked, outlasts
 * that; and a revocation is never undone by whom it revokes, nor by one of the same time: so nobody revokes its
 * revoker to be let in again, and all orders of arrival come to the same.
 */
export function isUndone(fact: Fact, revoked: Fact): boolean {
  if (revoked.subject !== `node:${fact.author}` || fact.time_ms < revoked.time_ms) return false;
  if (fact.kind !== revoked.kind) return fact.kind !== nodeKind.name;
  return fact.subject !== revoked.subject && fact.subject !== `node:${revoked.author}` &&
    fact.time_ms > revoked.time_ms;
}
