import type { Clock } from '../../mesh/ports.ts';

/** A clock that stands still until it is moved. */
export function stillClock(): Clock & { pass(by_ms: number): void } {
  let now_ms = 0;
  const due = new Set<{ at_ms: number; run: () => void }>();
  const time = () => now_ms;
  return {
    ...{ wall_ms: time, monotonic_ms: time, uptime_ms: time },
    after: (delay_ms, run) => {
      const timer = { at_ms: now_ms + delay_ms, run };
      due.add(timer);
      return () => due.delete(timer);
    },
    pass: (by_ms) => {
      const end_ms = now_ms + by_ms;
      for (;;) {
        const [next] = [...due].filter(({ at_ms }) => at_ms <= end_ms).sort((a, b) => a.at_ms - b.at_ms);
        if (next === undefined) break;
        due.delete(next);
        now_ms = next.at_ms;
        next.run();
      }
      now_ms = end_ms;
    },
  };
}
