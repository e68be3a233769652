/**
 * Certificates as facts: each node states its own about itself, so it proves itself by what it carries. A renewed
 * certificate is one more fact; what was said under an old one goes on to hold.
 */
import * as v from 'valibot';
import {
  maxCertificateBytes,
  maxIssuers,
  type NodeIdentity,
  readIdentity,
  type Trust,
} from './certificate.ts';
import { bytes, decode, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { directoryDoc, type Fact, type Kind } from './facts.ts';
import { maxClockSkew_ms } from './limits.ts';

const nodeBody = v.strictObject({
  /** DER */
  leaf: bytes(1, maxCertificateBytes),
  issuers: v.pipe(v.array(bytes(1, maxCertificateBytes)), v.maxLength(maxIssuers)),
  /** age recipient: what is sealed for this node */
  seal: v.pipe(text(100), v.minLength(1)),
});
export type NodeBody = v.InferOutput<typeof nodeBody>;

/** Its subject is its author. */
export const nodeKind: Kind<typeof nodeBody> = {
  name: 'node',
  body: nodeBody,
  check(fact, author) {
    if (fact.doc !== directoryDoc || fact.subject !== fact.author || author.peerId !== fact.author) {
      throw new InkmeshError('forbidden', 'a node states its own certificate, in the directory');
    }
  },
};

/**
 * Who the author of a `node` fact says that it is, by the certificate in it.
 * @throws InkmeshError when it is nobody of this organisation at that time, or somebody else
 */
export async function identityIn(trust: Trust, fact: Fact, bodyBytes: Uint8Array): Promise<NodeIdentity> {
  const { leaf, issuers } = decode(nodeBody, bodyBytes);
  const identity = await readIdentity(trust, leaf, issuers);
  if (identity.kind !== 'node' || identity.peerId !== fact.author) {
    throw new InkmeshError('unauthenticated', 'the certificate is not that of the node that states it');
  }
  if (!holdsAt(identity, fact.time_ms)) {
    throw new InkmeshError('unauthenticated', 'the certificate is not valid at the time of the fact');
  }
  return identity;
}

/** Whether a certificate holds at a time, by a clock that may be wrong by as much as hello allows. */
export function holdsAt({ notBefore, notAfter }: NodeIdentity, time_ms: number): boolean {
  return time_ms >= notBefore - maxClockSkew_ms && time_ms <= notAfter + maxClockSkew_ms;
}

/** A certificate of a node's, with what is sealed for the node; `time_ms` and `seq` are of the fact that says so. */
interface Stated {
  identity: NodeIdentity;
  seal: string;
  time_ms: number;
  seq: number;
}

/** The certificates of every node that has stated one, each once, however often it was stated. */
export class Certificates {
  readonly #nodes = new Map<string, Stated[]>();
  readonly #sites = new Set<string>();

  /**
   * Oldest first; two of the same date by their octets, so that the order is the same everywhere. What is sealed for a
   * node is as the first fact with its certificate has it.
   */
  add(identity: NodeIdentity, seal: string, { time_ms, seq }: Pick<Fact, 'time_ms' | 'seq'>): void {
    const stated = { identity, seal, time_ms, seq };
    const known = this.#nodes.get(identity.peerId) ?? [];
    const at = known.findIndex((one) => Buffer.from(one.identity.der).equals(identity.der));
    const before = known[at];
    if (before === undefined) known.push(stated);
    else if (time_ms < before.time_ms || (time_ms === before.time_ms && seq < before.seq)) known[at] = stated;
    known.sort((a, b) =>
      a.identity.notBefore - b.identity.notBefore || Buffer.compare(a.identity.der, b.identity.der)
    );
    this.#nodes.set(identity.peerId, known);
    this.#sites.add(identity.site);
  }

  hasSite(site: string): boolean {
    return this.#sites.has(site);
  }

  /** Those that hold at a time, the newest first. */
  at(peer: string, time_ms: number): NodeIdentity[] {
    const held = (this.#nodes.get(peer) ?? []).map(({ identity }) => identity);
    return held.filter((identity) => holdsAt(identity, time_ms)).reverse();
  }

  /** The newest that is valid now; of a node that has none, the last that it had. */
  identity(peer: string, now_ms: number): NodeIdentity | undefined {
    return this.#current(peer, now_ms)?.identity;
  }

  sealOf(peer: string, now_ms: number): string | undefined {
    return this.#current(peer, now_ms)?.seal;
  }

  peers(): string[] {
    return [...this.#nodes.keys()];
  }

  #current(peer: string, now_ms: number): Stated | undefined {
    const all = this.#nodes.get(peer) ?? [];
    return all.findLast(({ identity }) => holdsAt(identity, now_ms)) ?? all.at(-1);
  }
}
