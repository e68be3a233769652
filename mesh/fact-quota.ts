/**
 * How much counts of what an author states: the first, by time, sequence and id. What comes after does not, whoever
 * heard it earlier, so that nodes that have heard the same keep the same.
 */
import { placeIn, type Volume } from './fact-index.ts';
import { maxFactOctetsPerAuthor, maxFactsPerAuthor } from './limits.ts';

/** A fact of one author in one document. */
export interface Place {
  time_ms: number;
  seq: number;
  /** hex */
  id: string;
}

/** Whether what comes after so much does not count. */
export function isFull({ facts, octets }: Volume): boolean {
  return facts >= maxFactsPerAuthor || octets >= maxFactOctetsPerAuthor;
}

/** All that an author who has stated as much as counts has stated in a document, in order. */
export class Full {
  readonly #all: (Place & { octets: number })[];

  constructor(all: readonly (Place & { octets: number })[]) {
    this.#all = all.toSorted(compare);
  }

  /** Whether a fact would be the last. */
  endsBefore(place: Place): boolean {
    const last = this.#all.at(-1);
    return last !== undefined && compare(place, last) > 0;
  }

  add(place: Place & { octets: number }): void {
    this.#all.splice(placeIn(this.#all, place, compare), 0, place);
  }

  remove(place: Place): void {
    const at = placeIn<Place>(this.#all, place, compare);
    if (this.#all[at]?.id === place.id) this.#all.splice(at, 1);
  }

  /** The id of the last, if what comes before it is as much as counts. */
  excess({ facts, octets }: Volume): string | undefined {
    const last = this.#all.at(-1);
    const isExcess = last !== undefined && isFull({ facts: facts - 1, octets: octets - last.octets });
    return isExcess ? last.id : undefined;
  }
}

function compare(a: Place, b: Place): number {
  if (a.time_ms !== b.time_ms) return a.time_ms - b.time_ms;
  if (a.seq !== b.seq) return a.seq - b.seq;
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}
