/**
 * Facts: small records signed by the node that states them, kept by every node that should know them. A kind
 * says what its body looks like, which document carries it, and who may state it; a fact that breaks its
 * kind's rules is not a fact, whoever signed it.
 */
import * as v from 'valibot';
import type { NodeIdentity } from './certificate.ts';
import { bytes, check, decode, encode, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { maxFactBodyBytes, maxFactBytes, maxFactLead_ms, maxJobsDocAge_ms } from './limits.ts';
import { peerId } from './names.ts';
import type { FactRow } from './ports.ts';
import { sign, verify } from './signed.ts';

export interface Fact {
  doc: string;
  /** PeerId of the node that states it */
  author: string;
  /** grows with every fact of an author */
  seq: number;
  kind: string;
  /** what it is about: a job id, a user, a printer */
  subject: string;
  /** when it was stated, by the author's clock, milliseconds since the epoch */
  time_ms: number;
  body: unknown;
}

/** The rules of one kind of fact. */
export interface Kind<Body extends v.GenericSchema = v.GenericSchema> {
  readonly name: string;
  readonly body: Body;
  /**
   * Throws InkmeshError `forbidden` when the author may not state it, or `Missing` when that depends on a fact
   * that has not arrived.
   */
  check(
    fact: Fact & { body: v.InferOutput<Body> },
    author: NodeIdentity,
    known: KnownFacts,
  ): Promise<void> | void;
}

/** What a rule may look up. */
export interface KnownFacts {
  latest(kind: string, subject: string): Fact | undefined;
  identity(peer: string): NodeIdentity | undefined;
}

/** A fact that cannot be judged yet: `what` is `peer:<PeerId>` or `<kind>:<subject>`. */
export class Missing extends Error {
  readonly what: string;
  constructor(what: string) {
    super(`waits for ${what}`);
    this.what = what;
  }
}

const payloadSchema = v.strictObject({
  d: text(128),
  a: peerId,
  n: integer(1, Number.MAX_SAFE_INTEGER),
  k: text(32),
  s: text(128),
  t: integer(0, Number.MAX_SAFE_INTEGER),
  b: bytes(1, maxFactBodyBytes),
});

const recordSchema = v.strictTuple([bytes(1, maxFactBytes), bytes(64, 64)]);

const context = 'inkmesh fact 1';

/** The document that every node of the organisation carries: nodes, users, printers. */
export const directoryDoc = 'directory';

/** The document of the jobs that a site accepted on one UTC day. */
export function jobsDoc(site: string, time_ms: number): string {
  return `jobs/${site}/${new Date(time_ms).toISOString().slice(0, 10)}`;
}

const jobsDocPattern = /^jobs\/([a-z0-9-]{1,63})\/(\d{4}-\d{2}-\d{2})$/;

/** True for the name of a document that can exist around now, at one of the sites. */
export function isDocName(doc: string, sites: ReadonlySet<string>, now_ms: number): boolean {
  if (doc === directoryDoc) return true;
  const match = jobsDocPattern.exec(doc);
  if (match === null || !sites.has(match[1] ?? '')) return false;
  const day_ms = Date.parse(`${match[2]}T00:00:00Z`);
  return day_ms <= now_ms + maxFactLead_ms && day_ms >= now_ms - maxJobsDocAge_ms;
}

export async function signFact(key: CryptoKey, fact: Fact): Promise<Uint8Array> {
  const payload = encode({
    d: fact.doc,
    a: fact.author,
    n: fact.seq,
    k: fact.kind,
    s: fact.subject,
    t: fact.time_ms,
    b: encode(fact.body),
  });
  const record = encode([payload, await sign(key, context, payload)]);
  if (record.length > maxFactBytes) throw new RangeError(`a fact of ${record.length} bytes is too large`);
  return record;
}

/** Reads a fact without judging it. @throws InkmeshError `bad-request` */
export function readFact(record: Uint8Array): { fact: Fact; bodyBytes: Uint8Array } {
  if (record.length > maxFactBytes) throw new InkmeshError('bad-request', 'the fact is too large');
  const [payload] = decode(recordSchema, record);
  const { d, a, n, k, s, t, b } = decode(payloadSchema, payload);
  return {
    fact: { doc: d, author: a, seq: n, kind: k, subject: s, time_ms: t, body: undefined },
    bodyBytes: b,
  };
}

/**
 * Judges a fact: its signature, its date, its kind's rules.
 * @throws InkmeshError when it is not one; `Missing` when it can't be told yet
 */
export async function judgeFact(
  record: Uint8Array,
  kinds: ReadonlyMap<string, Kind>,
  known: KnownFacts,
  now_ms: number,
): Promise<Fact> {
  const { fact, bodyBytes } = readFact(record);
  const author = known.identity(fact.author);
  if (author === undefined) throw new Missing(`peer:${fact.author}`);
  const [payload, signature] = decode(recordSchema, record);
  if (!await verify(author.publicKey, context, payload, signature)) {
    throw new InkmeshError('unauthenticated', 'the signature is not its author’s');
  }
  if (fact.time_ms > now_ms + maxFactLead_ms) {
    throw new InkmeshError('forbidden', 'it is dated in the future');
  }
  const kind = kinds.get(fact.kind);
  if (kind === undefined) throw new InkmeshError('bad-request', `facts of kind ${fact.kind} are not known`);
  fact.body = decode(kind.body, bodyBytes);
  await kind.check(fact, author, known);
  return fact;
}

/** A fact out of the table: it was judged when it went in. */
export function factOf(row: FactRow, kinds: ReadonlyMap<string, Kind>): Fact {
  const { fact, bodyBytes } = readFact(row.record);
  const kind = kinds.get(fact.kind);
  if (kind === undefined) {
    throw new InkmeshError('corrupt', `the table holds a fact of unknown kind ${fact.kind}`);
  }
  fact.body = decode(kind.body, bodyBytes);
  return fact;
}

export function rowOf(fact: Fact, record: Uint8Array): FactRow {
  const { doc, author, seq, kind, subject, time_ms } = fact;
  return { doc, author, seq, kind, subject, time_ms, record };
}

/** A body that a caller gives, checked before it is signed. */
export function checkBody<Body extends v.GenericSchema>(
  kind: Kind<Body>,
  body: unknown,
): v.InferOutput<Body> {
  return check(kind.body, body);
}

/** For kinds of the directory: only a registrar may state them. */
export function registrarOnly(fact: Fact, author: NodeIdentity): void {
  if (!author.roles.includes('registrar')) {
    throw new InkmeshError('forbidden', `only a registrar states ${fact.kind} facts`);
  }
  if (fact.doc !== directoryDoc) {
    throw new InkmeshError('forbidden', `${fact.kind} facts belong to the directory`);
  }
}
