/**
 * Simulated time: one queue of what is to happen, and machines whose clocks are wrong, that sleep, and whose processes
 * die. What a dead process still had to do never happens; what a sleeping one has to do waits.
 */
import { setImmediate } from 'node:timers';
import type { Clock } from '../../mesh/ports.ts';

interface Event {
  at_ms: number;
  order: number;
  run: (() => void) | undefined;
}

/** When every simulation begins, in milliseconds since the epoch. */
export const start_ms = Date.UTC(2026, 2, 2, 8);

export class Timeline {
  /** milliseconds since the simulation began */
  now_ms = 0;
  readonly #heap: Event[] = [];
  #order = 0;

  /** @returns what calls it off */
  at(at_ms: number, run: () => void): () => void {
    const event: Event = { at_ms: Math.max(at_ms, this.now_ms), order: this.#order++, run };
    this.#push(event);
    return () => event.run = undefined;
  }

  after(delay_ms: number, run: () => void): () => void {
    return this.at(this.now_ms + delay_ms, run);
  }

  /** Lets so much time go by; resolves when all that happened in it, and all that followed at once, is done. */
  async advance(by_ms: number): Promise<void> {
    const end_ms = this.now_ms + by_ms;
    await settled();
    for (let event = this.#heap[0]; event !== undefined && event.at_ms <= end_ms; event = this.#heap[0]) {
      this.#pop();
      if (event.run === undefined) continue;
      this.now_ms = event.at_ms;
      event.run();
      await settled();
    }
    this.now_ms = end_ms;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    for (let up = (at - 1) >> 1; at > 0 && before(event, heap[up]!); up = (at - 1) >> 1) {
      heap[at] = heap[up]!;
      at = up;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let down = 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && before(heap[down + 1]!, heap[down]!)) down++;
      if (before(last, heap[down]!)) break;
      heap[at] = heap[down]!;
      at = down;
    }
    heap[at] = last;
  }
}

const before = (a: Event, b: Event) => a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order);

/** Every promise that can settle has: nothing in a simulation waits for anything but its own queue. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** One run of a node's process. */
export interface Life {
  alive: boolean;
}

export class Machine {
  readonly timeline: Timeline;
  /** its wall clock minus the right time */
  wallOffset_ms = 0;
  /** by the timeline, when it was switched on */
  booted_ms = 0;
  power = true;
  /** undefined while no process runs */
  life: Life | undefined;
  asleep = false;
  #slept_ms = 0;
  #asleepSince_ms = 0;
  #parked: (() => void)[] = [];

  constructor(timeline: Timeline) {
    this.timeline = timeline;
  }

  get now_ms(): number {
    return Math.floor(start_ms + this.timeline.now_ms + this.wallOffset_ms);
  }

  /** Stands still while the machine sleeps. */
  monotonic_ms(): number {
    const sleeping_ms = this.asleep ? this.timeline.now_ms - this.#asleepSince_ms : 0;
    return this.timeline.now_ms - this.booted_ms - this.#slept_ms - sleeping_ms;
  }

  sleep(): void {
    if (this.asleep) return;
    this.asleep = true;
    this.#asleepSince_ms = this.timeline.now_ms;
  }

  wake(): void {
    if (!this.asleep) return;
    this.#slept_ms += this.timeline.now_ms - this.#asleepSince_ms;
    this.asleep = false;
    const parked = this.#parked;
    this.#parked = [];
    for (const run of parked) run();
  }

  start(): Life {
    return this.life = { alive: true };
  }

  /** Ends the process; nothing that it had to do happens any more. */
  kill(): void {
    if (this.life !== undefined) this.life.alive = false;
    this.life = undefined;
    this.#parked = [];
  }

  switchOff(): void {
    this.kill();
    this.power = false;
    this.asleep = false;
  }

  switchOn(): void {
    if (this.power) return;
    this.power = true;
    this.booted_ms = this.timeline.now_ms;
    this.#slept_ms = 0;
  }

  /** Something for one run of the process: at once, when the machine wakes up, or never. */
  run(life: Life, what: () => void): void {
    if (!life.alive) return;
    if (this.asleep) this.#parked.push(() => this.run(life, what));
    else what();
  }

  clock(life: Life): Clock {
    const after = (delay_ms: number, run: () => void): () => void => {
      const due_ms = this.monotonic_ms() + Math.max(0, delay_ms);
      let callOff = () => {};
      const wait = () => {
        if (!life.alive) return;
        const left_ms = due_ms - this.monotonic_ms();
        callOff = this.timeline.after(Math.max(0, left_ms), () =>
          this.run(life, () => {
            // less than that is a rounding error, which would never go by
            if (due_ms > this.monotonic_ms() + 0.001) wait();
            else run();
          }));
      };
      let off = false;
      const once = run;
      run = () => {
        if (!off) once();
      };
      wait();
      return () => {
        off = true;
        callOff();
      };
    };
    return {
      wall_ms: () => this.now_ms,
      monotonic_ms: () => this.monotonic_ms(),
      uptime_ms: () => this.timeline.now_ms - this.booted_ms,
      after,
    };
  }
}
