/**
 * The way to a peer without a relay, as it was when it was last tried: a moment's trouble must not keep it out of use
 * for minutes, and one that is blocked must not be tried all the time. Pure.
 */
import { directAgain_ms, directAgainMin_ms } from './limits.ts';

export class DirectWay {
  /** by the monotonic clock */
  #restsUntil_ms = -Infinity;
  /** in a row, of the times that it was not cut short */
  #failures = 0;

  /** True for a way that did not work when it last had as long as a dial may take. */
  get isBlocked(): boolean {
    return this.#failures > 0;
  }

  /** Whether relays come first now. */
  rests(now_ms: number): boolean {
    return this.#restsUntil_ms > now_ms;
  }

  /** It is being tried in the background: nobody else need. */
  tried(): void {
    this.#restsUntil_ms = Infinity;
  }

  worked(): void {
    this.#failures = 0;
    this.#restsUntil_ms = -Infinity;
  }

  /**
   * It rests for seconds at first, then ever longer.
   * @param inFull false when it was cut short for a relay: a busy machine or a slow VPN may just need longer
   */
  failed(now_ms: number, inFull: boolean): void {
    this.#restsUntil_ms = now_ms + Math.min(directAgain_ms, directAgainMin_ms * 2 ** this.#failures);
    if (inFull) this.#failures++;
  }

  /** The peer may be somewhere else: what failed before says little of that. */
  moved(now_ms: number): void {
    this.#restsUntil_ms = Math.min(this.#restsUntil_ms, now_ms + directAgainMin_ms);
  }
}
