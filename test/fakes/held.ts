/** What a running node has on its disk, read past the node itself. */
import { copyFileSync, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { tempDir } from './processes.ts';

/**
 * A copy of a node's database, with what is still in its log: the node lets nobody else into its own. The log comes
 * first: it may be written into the database meanwhile.
 */
export function databaseCopy(dir: string): DatabaseSync {
  const copy = join(tempDir(), 'state.sqlite');
  for (const suffix of ['-wal', '']) {
    const from = join(dir, `state.sqlite${suffix}`);
    if (existsSync(from)) copyFileSync(from, copy + suffix);
  }
  return new DatabaseSync(copy);
}

/** Ids of the jobs of which a node has envelope, share and ticket, and the job fact that names it. */
export function heldOn(dir: string): string[] {
  const db = databaseCopy(dir);
  try {
    const rows = db.prepare(
      'SELECT job, envelopeBytes FROM pieces WHERE sealed = 1 AND length(share) > 0 AND length(ticket) > 0',
    ).all() as { job: string; envelopeBytes: number }[];
    return rows.filter(({ job, envelopeBytes }) => {
      const file = statSync(join(dir, 'envelopes', job), { throwIfNoEntry: false });
      return file?.size === envelopeBytes;
    }).map(({ job }) => job);
  } finally {
    db.close();
  }
}
