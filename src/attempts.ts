/** How often an address, or a user, has been refused lately: a bounded table. */
import { remember } from '../mesh/remember.ts';
import { refusalLimits } from './limits.ts';

interface Failures {
  count: number;
  /** when they are forgotten */
  until_ms: number;
}

export class Attempts {
  readonly #failures = new Map<string, Failures>();
  readonly #now_ms: () => number;
  readonly #maxFailures: number;
  readonly #whose: (address: string) => string;

  /** @param whose by whom they are counted: those of one IPv6 subscriber together */
  constructor(
    now_ms: () => number = () => performance.now(),
    maxFailures: number = refusalLimits.maxFailures,
    whose: (address: string) => string = network,
  ) {
    this.#now_ms = now_ms;
    this.#maxFailures = maxFailures;
    this.#whose = whose;
  }

  /** How long further failures of this address are not looked into; 0 when they are. */
  limited_ms(address: string): number {
    const failures = this.#failures.get(this.#whose(address));
    const left_ms = (failures?.until_ms ?? 0) - this.#now_ms();
    return failures !== undefined && failures.count >= this.#maxFailures ? Math.max(left_ms, 0) : 0;
  }

  /** Counts one more. @returns how many it is by now */
  failed(address: string): number {
    const key = this.#whose(address);
    const now_ms = this.#now_ms();
    const known = this.#failures.get(key);
    if (known !== undefined && known.until_ms > now_ms) return ++known.count;
    // the oldest come first, and are the first to be forgotten
    this.#failures.delete(key);
    const failures = { count: 1, until_ms: now_ms + refusalLimits.failures_ms };
    remember(this.#failures, key, failures, refusalLimits.maxAddresses);
    return 1;
  }
}

/** Whom an address belongs to: of IPv6 the /64 of one subscriber. */
function network(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const front = head.split(':');
  const back = tail === undefined ? [] : tail.split(':').filter((part) => part !== '');
  const zeros = new Array<string>(Math.max(8 - front.length - back.length, 0)).fill('0');
  return [...front, ...(tail === undefined ? [] : zeros), ...back].slice(0, 4).join(':');
}
