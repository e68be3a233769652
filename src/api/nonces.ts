/** The nonces of signed requests, so that each counts once; bounded, and nobody can take the room of all others. */
import { InkmeshError } from '../../mesh/errors.ts';
import { type ApiLimits, apiLimits } from '../limits.ts';

export class Nonces {
  readonly #limits: ApiLimits;
  /** the oldest first */
  readonly #seen = new Map<string, { device: string; at_ms: number }>();
  readonly #counts = new Map<string, number>();

  constructor(limits: ApiLimits = apiLimits) {
    this.#limits = limits;
  }

  /**
   * Whether a nonce has not been seen in the last minutes.
   * @param device UUID of the credential that has signed it
   * @throws InkmeshError `busy` when there were too many requests, of this device or of all
   */
  first(nonce: string, device: string, now_ms: number): boolean {
    this.#forget(now_ms);
    if (this.#seen.has(nonce)) return false;
    const count = this.#counts.get(device) ?? 0;
    const { maxNonces, maxNoncesPerDevice } = this.#limits;
    if (count >= maxNoncesPerDevice || this.#seen.size >= maxNonces) {
      throw new InkmeshError('busy', 'too many requests: try again in some minutes');
    }
    this.#seen.set(nonce, { device, at_ms: now_ms });
    this.#counts.set(device, count + 1);
    return true;
  }

  #forget(now_ms: number): void {
    for (const [nonce, { device, at_ms }] of this.#seen) {
      if (at_ms > now_ms - this.#limits.nonceLife_ms) return;
      this.#seen.delete(nonce);
      const left = (this.#counts.get(device) ?? 0) - 1;
      if (left > 0) this.#counts.set(device, left);
      else this.#counts.delete(device);
    }
  }
}
