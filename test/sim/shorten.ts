/** Making a failure readable: steps are left out as long as what remains fails in the same way. */
import type { Broken } from './driver.ts';
import type { Step } from './faults.ts';
import { simulate } from './simulate.ts';

const maxRuns = 120;

/** @param rule the invariant that must still be broken */
export async function shorten(
  seed: number,
  steps: readonly Step[],
  rule: string,
  broken?: Broken,
): Promise<readonly Step[]> {
  let kept = steps;
  let runs = 0;
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < kept.length && runs < maxRuns;) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
      runs++;
      const { violation } = await simulate(seed, fewer, broken);
      if (violation?.rule === rule) kept = fewer;
      else at += size;
    }
  }
  return kept;
}
