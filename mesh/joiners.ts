/**
 * Who is no member gets a circuit at a cloud node for one thing: to join, by a registrar. Anybody may ask for that, so such
 * circuits are few, for each address fewer, and small; pure but for the clock.
 */
import type { CircuitLimit } from './circuit.ts';
import {
  joinerLife_ms,
  joinersInTime_ms,
  maxJoinerBytes,
  maxJoiners,
  maxJoinersInTime,
  maxJoinersOfAddressInTime,
  maxJoinersPerAddress,
} from './limits.ts';
import type { Clock } from './ports.ts';

/** As both ends are told: a connection with a limit is good for joining, and for nothing else (gate.ts). */
export const joinerLimit: CircuitLimit = { duration_s: joinerLife_ms / 1000, bytes: maxJoinerBytes };

interface Joiner {
  host: string;
  begun_ms: number;
  isOpen: boolean;
}

/** One circuit. */
export interface Joining {
  /** Octets have passed, either way. */
  carried(octets: number): void;
  /** It has ended. */
  ended(): void;
}

export class Joiners {
  readonly #clock: Clock;
  /** those that are open, and of the last minute */
  readonly #known = new Set<Joiner>();
  /** how many there have been */
  count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Why a host gets no further circuit now; undefined when it does. */
  refusal(host: string): 'full' | 'address' | undefined {
    const since_ms = this.#clock.monotonic_ms() - joinersInTime_ms;
    for (const one of this.#known) if (!one.isOpen && one.begun_ms < since_ms) this.#known.delete(one);
    const openOf = (some: Iterable<Joiner>) => [...some].filter(({ isOpen }) => isOpen).length;
    if (openOf(this.#known) >= maxJoiners || this.#known.size >= maxJoinersInTime) return 'full';
    const ofHost = [...this.#known].filter((one) => one.host === host);
    const isMuch = openOf(ofHost) >= maxJoinersPerAddress || ofHost.length >= maxJoinersOfAddressInTime;
    return isMuch ? 'address' : undefined;
  }

  /** @param end called when it has lasted too long, or too much has passed */
  begin(host: string, end: (reason: Error) => void): Joining {
    const joiner: Joiner = { host, begun_ms: this.#clock.monotonic_ms(), isOpen: true };
    this.#known.add(joiner);
    this.count++;
    let left = maxJoinerBytes;
    const callOff = this.#clock.after(joinerLife_ms, () => end(new TypeError('joining takes too long')));
    return {
      carried: (octets) => {
        left -= octets;
        if (left < 0) end(new TypeError('more than joining takes'));
      },
      ended: () => {
        joiner.isOpen = false;
        callOff();
      },
    };
  }
}
