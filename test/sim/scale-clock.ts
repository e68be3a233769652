/** Simulated time in steps of a millisecond, for so many events that a step for each of them would take too long. */
import { setImmediate } from 'node:timers';
import { Timeline } from './clock.ts';

export class StepTimeline extends Timeline {
  readonly #steps = new Map<number, (() => void)[]>();

  /** Rounds up to the next whole millisecond that has not been. */
  override at(at_ms: number, run: () => void): () => void {
    const step = Math.max(Math.ceil(at_ms), this.now_ms + 1);
    let once: (() => void) | undefined = run;
    const events = this.#steps.get(step) ?? [];
    this.#steps.set(step, events);
    events.push(() => once?.());
    return () => once = undefined;
  }

  override async advance(by_ms: number): Promise<void> {
    const end_ms = this.now_ms + Math.ceil(by_ms);
    await settled();
    while (this.now_ms < end_ms) {
      const events = this.#steps.get(++this.now_ms);
      if (events === undefined) {
        const next_ms = this.#steps.keys().reduce((least, step) => Math.min(least, step), Infinity);
        this.now_ms = Math.min(next_ms - 1, end_ms);
        continue;
      }
      this.#steps.delete(this.now_ms);
      for (const run of events) run();
      await settled();
    }
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
