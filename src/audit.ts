/**
 * The audit trail of a node: what it was asked to do by whom, and whom it refused. It has no tokens and no titles. It is
 * only added to; the oldest rows go when there are too many, those of refusals apart from the others, so that nobody
 * washes out what was done by being refused often. Rows are written once a second: a crash loses the last of them.
 */
import { printable } from '../mesh/codec.ts';
import type { Database } from './fact-table.ts';
import { auditLimits } from './limits.ts';

export const auditSchema = `
  CREATE TABLE audit (n INTEGER PRIMARY KEY, time_ms INTEGER, what TEXT, who TEXT, address TEXT, detail TEXT,
    refused INTEGER) STRICT;
  CREATE INDEX audit_by_refused ON audit (refused, n);
`;

export interface AuditEntry {
  /** `refused` is kept apart */
  what: 'submitted' | 'cancelled' | 'withdrawn' | 'asked' | 'refused';
  /** the user, as far as that is certain */
  who: string | null;
  /** the IP address that it came from */
  from: string | null;
  /** one phrase, without secrets and titles */
  detail: string;
}

/** As `inkmesh audit --json` lists it. */
export interface AuditView extends AuditEntry {
  /** ISO 8601, UTC */
  at: string;
}

export class Audit {
  readonly #db: Database;
  readonly #pending: (AuditEntry & { time_ms: number })[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** rows since the table was last cut */
  #grown: number = auditLimits.cutAfterRows;

  constructor(db: Database) {
    this.#db = db;
  }

  record(entry: AuditEntry): void {
    if (this.#pending.length >= auditLimits.maxPending) return;
    this.#pending.push({
      ...entry,
      detail: printable(entry.detail, auditLimits.maxDetailChars),
      time_ms: Date.now(),
    });
    this.#timer ??= setTimeout(() => this.#write(), auditLimits.write_ms);
  }

  /** The last `limit` rows, newest first. */
  list(limit: number): AuditView[] {
    this.flush();
    return this.#db.rows('SELECT * FROM audit ORDER BY n DESC LIMIT ?', limit).map((row) => ({
      at: new Date(Number(row['time_ms'])).toISOString(),
      what: String(row['what']) as AuditEntry['what'],
      who: row['who'] === null ? null : String(row['who']),
      from: row['address'] === null ? null : String(row['address']),
      detail: String(row['detail']),
    }));
  }

  /** Writes what is waiting. @throws InkmeshError `unavailable` when the disk is full */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) return;
    this.#db.transaction(() => {
      for (const { time_ms, what, who, from, detail } of this.#pending) {
        this.#db.run(
          'INSERT INTO audit (time_ms, what, who, address, detail, refused) VALUES (?, ?, ?, ?, ?, ?)',
          ...[time_ms, what, who, from, detail, what === 'refused' ? 1 : 0],
        );
      }
      this.#grown += this.#pending.length;
      if (this.#grown >= auditLimits.cutAfterRows) this.#cut();
    });
    this.#pending.length = 0;
  }

  close(): void {
    this.#write();
  }

  #write(): void {
    try {
      this.flush();
    } catch {
      // a full disk: they wait for the next row
    }
  }

  #cut(): void {
    for (const refused of [0, 1]) {
      this.#db.run(
        `DELETE FROM audit WHERE refused = ? AND n <=
          (SELECT n FROM audit WHERE refused = ? ORDER BY n DESC LIMIT 1 OFFSET ?)`,
        ...[refused, refused, auditLimits.maxRowsOfEach],
      );
    }
    this.#grown = 0;
  }
}
