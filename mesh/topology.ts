/**
 * Which of many nodes keep connections to each other: a few each, so that a site of a thousand is no thousand
 * connections, and enough that facts reach everybody in a few hops and any one node may go. Pure; the same pair gets
 * the same rank at both ends, so that most choices are mutual.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { maxFullMesh, neighboursElsewhere, neighboursOfSite } from './limits.ts';

/** Another node, as it is chosen from. */
export interface Candidate {
  readonly peer: string;
  readonly site: string;
  /** kept whatever the ranks are: relays, and the front nodes among themselves */
  readonly always: boolean;
}

export class Topology {
  readonly #self: string;
  readonly #site: string;
  /** by PeerId: its rank beside this node */
  readonly #ranks = new Map<string, number>();

  constructor(self: string, site: string) {
    this.#self = self;
    this.#site = site;
  }

  /**
   * The nodes to keep connections to, of those that are not known to be away: all of a few, else the next on the rings
   * of the site and of all (so that both are one piece) and those of the lowest ranks.
   */
  neighbours(candidates: readonly Candidate[]): string[] {
    if (candidates.length <= maxFullMesh) return candidates.map(({ peer }) => peer);
    const chosen = new Set(candidates.filter(({ always }) => always).map(({ peer }) => peer));
    const mates = this.#mates(candidates);
    const elsewhere = candidates.filter(({ site }) => site !== this.#site);
    for (const ring of [mates, candidates]) {
      const next = following(this.#self, ring.map(({ peer }) => peer));
      if (next !== undefined) chosen.add(next);
    }
    for (const peer of this.#lowest(mates).slice(0, neighboursOfSite - 1)) chosen.add(peer);
    // a small site leans on others, or many small ones would be as many meshes
    const outside = Math.max(neighboursElsewhere, neighboursOfSite - 1 - mates.length);
    for (const peer of this.#lowest(elsewhere).slice(0, outside)) chosen.add(peer);
    return [...chosen];
  }

  /** Those of its site, the lowest ranks first. */
  nearest(candidates: readonly Candidate[]): string[] {
    return this.#lowest(this.#mates(candidates));
  }

  #mates(candidates: readonly Candidate[]): Candidate[] {
    return candidates.filter(({ site }) => site === this.#site);
  }

  #lowest(candidates: readonly Candidate[]): string[] {
    return candidates.map(({ peer }) => ({ peer, rank: this.#rank(peer) }))
      .sort((a, b) => a.rank - b.rank || (a.peer < b.peer ? -1 : 1)).map(({ peer }) => peer);
  }

  #rank(peer: string): number {
    const known = this.#ranks.get(peer);
    if (known !== undefined) return known;
    const rank = this.#self < peer ? rendezvous(this.#self, peer) : rendezvous(peer, this.#self);
    this.#ranks.set(peer, rank);
    return rank;
  }
}

/** The next on the ring of all PeerIds, which are random by themselves. */
function following(self: string, peers: readonly string[]): string | undefined {
  const lower = (a: string, b: string) => a < b ? a : b;
  const after = peers.filter((peer) => peer > self);
  const ring = after.length > 0 ? after : peers;
  return ring.length === 0 ? undefined : ring.reduce(lower);
}

/** A number from 0 to 2^32 - 1 for a node beside a thing: the same everywhere, and another order for each thing. */
export function rendezvous(thing: string, peer: string): number {
  const digest = sha256(new TextEncoder().encode(`${thing} ${peer}`));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}
