/** What a log keeps of an error that nobody foresaw. */
import { inspect } from 'node:util';

const maxTraceLength = 8192;

/** The stack of anything thrown, and those of its causes. */
export function traceOf(thrown: unknown): string {
  return inspect(thrown, { depth: 4 }).slice(0, maxTraceLength);
}
