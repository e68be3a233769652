/** Where a running node logs. */
import type { Log } from '../../mesh/mod.ts';

/** One line of JSON on standard error. */
export const log: Log = (level, what, fields = {}) => {
  process.stderr.write(JSON.stringify({ time: new Date().toISOString(), level, what, ...fields }) + '\n');
};
