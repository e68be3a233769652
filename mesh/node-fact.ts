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

/** The certificates of every node that has stated one. */
export class Certificates {
  readonly #nodes = new Map<string, { identity: NodeIdentity; seal: string }[]>();
  readonly #sites = new Set<string>();

  /** Oldest first; two of the same date by their octets, so that the order is the same everywhere. */
  add(identity: NodeIdentity, seal: string): void {
    const known = this.#nodes.get(identity.peerId) ?? [];
    if (known.some((one) => Buffer.from(one.identity.der).equals(identity.der) && one.seal === seal)) return;
    const all = [...known, { identity, seal }].sort((a, b) =>
      a.identity.notBefore - b.identity.notBefore || Buffer.compare(a.identity.der, b.identity.der)
    );
    this.#nodes.set(identity.peerId, all);
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

  #current(peer: string, now_ms: number): { identity: NodeIdentity; seal: string } | undefined {
    const all = this.#nodes.get(peer) ?? [];
    return all.findLast(({ identity }) => holdsAt(identity, now_ms)) ?? all.at(-1);
  }
}
