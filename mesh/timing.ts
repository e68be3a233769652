/** What is done with a clock: waiting, repeating, giving up. */
import { InkmeshError } from './errors.ts';
import type { Clock } from './ports.ts';

export function sleep(clock: Clock, delay_ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delay_ms, resolve));
}

/** Runs something again and again, the first time after one period. @returns what ends it */
export function every(clock: Clock, period_ms: number, run: () => void): () => void {
  let callOff = () => {};
  const next = () => {
    callOff = clock.after(period_ms, () => {
      next();
      run();
    });
  };
  next();
  return () => callOff();
}

/** A signal that aborts after a while, or with another; `done` calls it off. */
export function deadline(
  clock: Clock,
  limit_ms: number,
  other?: AbortSignal,
): { signal: AbortSignal; done(): void } {
  const stop = new AbortController();
  const callOff = clock.after(limit_ms, () => stop.abort(new InkmeshError('timeout', 'it took too long')));
  const passOn = () => stop.abort(other?.reason);
  if (other?.aborted) passOn();
  else other?.addEventListener('abort', passOn, { once: true });
  return {
    signal: stop.signal,
    done: () => {
      callOff();
      other?.removeEventListener('abort', passOn);
    },
  };
}

/** A random number from 0 to less than 1. */
export function fraction(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32;
}
