/** What happened, as one number to compare and as lines to read. */
import { createHash, type Hash } from 'node:crypto';

const maxLines = 4000;

export class Trace {
  readonly #sum: Hash = createHash('sha256');
  readonly #lines: string[] = [];

  /** Counts in the number alone. */
  note(line: string): void {
    this.#sum.update(line);
  }

  /** Counts, and is kept to be read. */
  say(line: string): void {
    this.#sum.update(line);
    this.#lines.push(line);
    if (this.#lines.length > maxLines) this.#lines.shift();
  }

  lines(): readonly string[] {
    return this.#lines;
  }

  /** Ends the trace. */
  digest(): string {
    return this.#sum.digest('hex');
  }
}
