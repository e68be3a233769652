/**
 * Facts: small records signed by the node that states them, kept by every node that should know them. A kind
 * says what its body looks like, which document carries it, and who may state it; a fact that breaks its
 * kind's rules is not a fact, whoever signed it.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import * as v from 'valibot';
import type { NodeIdentity } from './certificate.ts';
import { bytes, check, decode, encode, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { docGrace_ms, maxFactBodyBytes, maxFactBytes, maxFactLead_ms } from './limits.ts';
import { peerId } from './names.ts';
import type { FactRow } from './ports.ts';
import { sign } from './signed.ts';

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
   * Throws InkmeshError `forbidden` when the author may not state it, whatever else is known, or `Missing` when that
   * depends on a fact that has not arrived: every node comes to the same end, in whatever order facts arrive.
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
  /** the earliest by time, author and sequence: where two contradict each other, it counts everywhere */
  first(kind: string, subject: string): Fact | undefined;
  /** all, oldest first */
  about(kind: string, subject: string): readonly Fact[];
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

export const factContext = 'inkmesh fact 1';

/** The document that every node of the organisation carries: nodes, users, printers. */
export const directoryDoc = 'directory';

/** The document of the jobs that a site accepted on one UTC day. */
export function jobsDoc(site: string, time_ms: number): string {
  return `jobs/${site}/${new Date(time_ms).toISOString().slice(0, 10)}`;
}

const jobsDocPattern = /^jobs\/([a-z0-9-]{1,63})\/(\d{4}-\d{2}-\d{2})$/;
const day_ms = 24 * 3600_000;

/** Site and day of a document of jobs; undefined for any other name. */
export function jobsDocOf(doc: string): { site: string; day_ms: number } | undefined {
  const [, site, day] = jobsDocPattern.exec(doc) ?? [];
  const start_ms = Date.parse(`${day}T00:00:00Z`);
  return site === undefined || Number.isNaN(start_ms) ? undefined : { site, day_ms: start_ms };
}

/** Whether no job of a document can be alive any more, at a site that holds jobs for `retention_ms` at the longest. */
export function isPast(doc: string, retention_ms: number, now_ms: number): boolean {
  const jobs = jobsDocOf(doc);
  return jobs !== undefined && now_ms > jobs.day_ms + day_ms + retention_ms + docGrace_ms;
}

/**
 * True for the name of a document that there can be around now.
 * @param retentionOf the longest that a site has held jobs for; undefined where there is no such site
 */
export function isDocName(
  doc: string,
  retentionOf: (site: string) => number | undefined,
  now_ms: number,
): boolean {
  if (doc === directoryDoc) return true;
  const jobs = jobsDocOf(doc);
  if (jobs === undefined || jobs.day_ms > now_ms + maxFactLead_ms) return false;
  const retention_ms = retentionOf(jobs.site);
  return retention_ms !== undefined && !isPast(doc, retention_ms, now_ms);
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
  const record = encode([payload, await sign(key, factContext, payload)]);
  if (record.length > maxFactBytes) throw new RangeError(`a fact of ${record.length} bytes is too large`);
  return record;
}

/** A record taken apart, and not judged. */
export interface ReadFact {
  /** its body is still to be decoded */
  fact: Fact;
  bodyBytes: Uint8Array;
  payload: Uint8Array;
  signature: Uint8Array;
}

/** @throws InkmeshError `bad-request` */
export function readFact(record: Uint8Array): ReadFact {
  if (record.length > maxFactBytes) throw new InkmeshError('bad-request', 'the fact is too large');
  const [payload, signature] = decode(recordSchema, record);
  const { d, a, n, k, s, t, b } = decode(payloadSchema, payload);
  const fact = { doc: d, author: a, seq: n, kind: k, subject: s, time_ms: t, body: undefined };
  return { fact, bodyBytes: b, payload, signature };
}

/** What a fact is known by: of what is signed, as there can be many signatures of the same. */
export function idOf(record: Uint8Array): Uint8Array {
  const [payload] = decode(recordSchema, record);
  return idOfPayload(payload);
}

/** The same of a record that has been taken apart. */
export function idOfPayload(payload: Uint8Array): Uint8Array {
  return sha256(payload).slice(0, idBytes);
}

export const idBytes = 16;

export function rowOf(fact: Fact, record: Uint8Array): FactRow {
  return { doc: fact.doc, id: idOf(record), record };
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
