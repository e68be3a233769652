/** Jobs that this node accepted without a registrar's word on their source, and of which it is still to hear. */
import type { SourceId } from '../mesh/mod.ts';
import type { Database } from './fact-table.ts';
import { unconfirmedLimits } from './limits.ts';

export const unconfirmedSchema = `
  CREATE TABLE unconfirmed (job TEXT PRIMARY KEY, token BLOB, user TEXT, device TEXT, time_ms INTEGER) STRICT;
`;

export interface Unconfirmed {
  job: string;
  source: SourceId;
  time_ms: number;
}

export interface UnconfirmedTable {
  /** @returns false when the job was there already */
  put(row: Unconfirmed): boolean;
  /** oldest first */
  list(): Unconfirmed[];
  remove(job: string): void;
}

export function unconfirmedTable(db: Database): UnconfirmedTable {
  return {
    put: ({ job, source, time_ms }) => {
      const { token, user, device } = 'token' in source
        ? { token: source.token, user: null, device: null }
        : { token: null, ...source.credential };
      const put = db.run(
        'INSERT OR IGNORE INTO unconfirmed (job, token, user, device, time_ms) VALUES (?, ?, ?, ?, ?)',
        ...[job, token, user, device, time_ms],
      );
      db.run(
        'DELETE FROM unconfirmed WHERE job IN (SELECT job FROM unconfirmed ORDER BY time_ms DESC LIMIT -1 OFFSET ?)',
        unconfirmedLimits.maxRows,
      );
      return put > 0;
    },
    list: () =>
      db.rows('SELECT * FROM unconfirmed ORDER BY time_ms').map((row) => ({
        job: String(row['job']),
        source: row['token'] instanceof Uint8Array
          ? { token: row['token'] }
          : { credential: { user: String(row['user']), device: String(row['device']) } },
        time_ms: Number(row['time_ms']),
      })),
    remove: (job) => {
      db.run('DELETE FROM unconfirmed WHERE job = ?', job);
    },
  };
}
