/** This machine's clocks. */
import { uptime } from 'node:os';
import type { Clock } from '../mesh/mod.ts';

export const systemClock: Clock = {
  wall_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  // the boot-time clock of Linux, and its like elsewhere: they go on while the machine sleeps
  uptime_ms: () => uptime() * 1000,
  after: (delay_ms, run) => {
    const timer = setTimeout(run, delay_ms);
    return () => clearTimeout(timer);
  },
};
