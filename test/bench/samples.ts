/** Times taken in turn, so that what else the machine does meanwhile falls on all of them alike. */
import type { Row } from './run.ts';

export interface Contender {
  readonly name: string;
  /** one run. @returns milliseconds that it took, or of each of several moments by name */
  run(): Promise<number | Record<string, number>>;
}

/** By name, in the order of their first run; milliseconds. */
export type Samples = Map<string, number[]>;

export interface Taken {
  /** of each contender's first run: code is not compiled yet, memory and files are touched for the first time */
  first: Samples;
  /** of all others */
  warm: Samples;
}

export interface Patience {
  readonly rounds: number;
  /** no round is begun after this, but for the first two */
  readonly budget_ms: number;
}

/** Every contender once to warm up, then up to `rounds` times each: A B C A B C. */
export async function inTurn(contenders: readonly Contender[], patience: Patience): Promise<Taken> {
  const taken: Taken = { first: new Map(), warm: new Map() };
  const end_ms = performance.now() + patience.budget_ms;
  for (let round = 0; round <= patience.rounds; round++) {
    if (round > 1 && performance.now() > end_ms) break;
    const into = round === 0 ? taken.first : taken.warm;
    for (const { name, run } of contenders) {
      const result = await run();
      const named = typeof result === 'number' ? { [name]: result } : result;
      for (const [what, value] of Object.entries(named)) into.set(what, [...into.get(what) ?? [], value]);
    }
  }
  return taken;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/**
 * A row for each of the samples: the median, the extremes, the first run, and how many times the floors' medians.
 * @param bytes of one document, for a column of megabytes (10^6 octets) per second
 */
export function rowsOf({ first, warm }: Taken, floors: readonly string[], bytes?: number): Row[] {
  const floorOf = (name: string) => median(warm.get(name) ?? []);
  return [...warm].map(([name, values]) => {
    const value = median(values);
    return {
      name,
      value,
      more: {
        runs: values.length,
        min: Math.min(...values),
        max: Math.max(...values),
        first: first.get(name)?.[0] ?? NaN,
        ...(bytes === undefined ? {} : { 'MB/s': bytes / 1000 / value }),
      },
      ratios: Object.fromEntries(floors.map((floor) => [floor, value / floorOf(floor)])),
    };
  });
}
