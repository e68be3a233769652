/**
 * How long a node has existed, by its own account: what the age of all that it keeps is measured by. Pure.
 *
 * No wall clock can be trusted with it: one that jumps would erase jobs early, or keep them for ever. So the age
 * grows with the machine's uptime, which counts sleep and cannot be set. It is kept beside the uptime at which it
 * was taken, and a new run of the process goes on from there: an uptime that is not smaller is the same boot, and the
 * difference is counted in full; a smaller one is another boot, of which all that has passed is counted. (A boot that
 * is already older than the last one got is taken for it: that counts too little, never too much.)
 *
 * The time that a machine was off is not seen by it. It is added once the clocks of others have been heard, as
 * their and our median: the instant, by that median, at which the age was zero stays where it is while everything is
 * counted, and lies later when something was not. Within one boot nothing was missed: there the instant follows the
 * clocks, and a clock that jumps moves nothing.
 *
 * After a power cut many clocks can be wrong at once. As far as clocks of one mesh may differ, time off is not
 * believed: what is kept for too long can still be printed, what is erased too early is lost.
 */
import { maxClockSkew_ms } from './limits.ts';

/** An age as it is kept. All are whole milliseconds. */
export interface Age {
  /** when the uptime was `uptime_ms` */
  age_ms: number;
  uptime_ms: number;
  /** when the age was zero, by the clocks that were heard last; null before any were */
  zero_ms: number | null;
  /** the machine has started anew since then: it may have been off for a time that is not counted yet */
  off: boolean;
}

/** The age of what exists from now on. */
export function newborn(uptime_ms: number): Age {
  return { age_ms: 0, uptime_ms: Math.trunc(uptime_ms), zero_ms: null, off: false };
}

/** The age at a later uptime of the same run. */
export function older(age: Age, uptime_ms: number): Age {
  const passed_ms = Math.max(0, Math.trunc(uptime_ms) - age.uptime_ms);
  return { ...age, age_ms: age.age_ms + passed_ms, uptime_ms: age.uptime_ms + passed_ms };
}

/** The age as a new run finds it. */
export function resumed(kept: Age, uptime_ms: number): Age {
  if (uptime_ms >= kept.uptime_ms) return older(kept, uptime_ms);
  return older({ ...kept, uptime_ms: 0, off: true }, uptime_ms);
}

/**
 * The age after the others' clocks have been heard.
 * @param agreed_ms now: the median of our clock and at least two others, milliseconds since the epoch
 */
export function heard(age: Age, agreed_ms: number): Age {
  const zero_ms = Math.trunc(agreed_ms) - age.age_ms;
  const missed_ms = age.off && age.zero_ms !== null
    ? Math.max(0, zero_ms - age.zero_ms - maxClockSkew_ms)
    : 0;
  return { ...age, age_ms: age.age_ms + missed_ms, zero_ms: zero_ms - missed_ms, off: false };
}
