/** A clock that runs as the machine's does, until a test moves it. */
import type { Clock } from '../../mesh/ports.ts';
import { systemClock } from '../../src/clock.ts';

/** A node's clock, which a test may move. */
export interface FakeClock extends Clock {
  /** the clock that never jumps goes on by so much */
  advance(by_ms: number): void;
  /** does at once what was to be done after just this delay */
  hurry(delay_ms: number): void;
  /** the wall clock is set by so much */
  shift(by_ms: number): void;
  /** the machine starts anew: its uptime begins at zero */
  reboot(): void;
}

export function fakeClock(): FakeClock {
  let wall = 0;
  let monotonic = 0;
  let booted = 0;
  const pending = new Set<{ delay_ms: number; now: () => void }>();
  const monotonic_ms = () => performance.now() + monotonic;
  return {
    wall_ms: () => Date.now() + wall,
    monotonic_ms,
    uptime_ms: () => monotonic_ms() - booted,
    after: (delay_ms, run) => {
      const now = () => {
        callOff();
        pending.delete(entry);
        run();
      };
      const callOff = systemClock.after(delay_ms, now);
      const entry = { delay_ms, now };
      pending.add(entry);
      return () => {
        callOff();
        pending.delete(entry);
      };
    },
    hurry: (delay_ms) =>
      [...pending].filter((entry) => entry.delay_ms === delay_ms).forEach(({ now }) => now()),
    advance: (by_ms) => void (monotonic += by_ms),
    shift: (by_ms) => void (wall += by_ms),
    reboot: () => void (booted = monotonic_ms()),
  };
}
