/** Things done for many, so many at a time for each: the others wait in line. */
export class Turns {
  readonly #max: number;
  readonly #lines = new Map<string, { running: number; waiting: (() => void)[] }>();

  /** @param max how many run at a time for one name */
  constructor(max: number) {
    this.#max = max;
  }

  /** Runs something when it is its turn. @throws what it throws */
  async take<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
    const line = this.#lines.get(name) ?? { running: 0, waiting: [] };
    this.#lines.set(name, line);
    if (line.running < this.#max) line.running++;
    else await new Promise<void>((resolve) => line.waiting.push(resolve));
    try {
      return await run();
    } finally {
      const next = line.waiting.shift();
      if (next !== undefined) next();
      else if (--line.running === 0) this.#lines.delete(name);
    }
  }
}
