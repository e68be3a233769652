/** What happened, as one number to compare and as lines to read. */
import { createHash, type Hash } from 'node:crypto';

const maxLines = 4000;
/** characters that are summed up at once: each call costs more than many characters do */
const batchLength = 2 ** 16;

export class Trace {
  readonly #sum: Hash = createHash('sha256');
  readonly #lines: string[] = [];
  #batch = '';

  /** Counts in the number alone. */
  note(line: string): void {
    this.#batch += `${line}\n`;
    if (this.#batch.length < batchLength) return;
    this.#sum.update(this.#batch);
    this.#batch = '';
  }

  /** Counts, and is kept to be read. */
  say(line: string): void {
    this.note(line);
    this.#lines.push(line);
    if (this.#lines.length > maxLines) this.#lines.shift();
  }

  lines(): readonly string[] {
    return this.#lines;
  }

  /** Ends the trace. */
  digest(): string {
    return this.#sum.update(this.#batch).digest('hex');
  }
}
