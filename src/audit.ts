/**
 * The audit trail of a node: what it was asked to do by whom, and whom it refused. It has no tokens and no titles. It is
 * only added to; the oldest rows go when there are too many, those of refusals and of mere requests apart from the
 * others, so that nobody washes out what was done by being refused, or by asking, often. Rows are written once a second: a crash loses the last of them.
 */
import { printable } from '../mesh/codec.ts';
import type { Database } from './fact-table.ts';
import { auditLimits } from './limits.ts';

export const auditSchema = `
  CREATE TABLE audit (n INTEGER PRIMARY KEY, time_ms INTEGER, what TEXT, who TEXT, address TEXT, detail TEXT,
    class INTEGER) STRICT;
  CREATE INDEX audit_by_class ON audit (class, n);
`;

export interface AuditEntry {
  /** `decided`: a registrar has stated it, whoever asked for that */
  what: 'submitted' | 'cancelled' | 'withdrawn' | 'asked' | 'refused' | 'decided';
  /** the user, as far as that is certain */
  who: string | null;
  /** the IP address that it came from, or the PeerId of the node that has passed it on */
  from: string | null;
  /** one phrase, without secrets and titles */
  detail: string;
}

/** Rows that are cut apart from each other: what was done, what was refused, what was asked for. */
const classes = [0, 1, 2] as const;

function classOf(what: AuditEntry['what']): typeof classes[number] {
  return what === 'refused' ? 1 : what === 'asked' ? 2 : 0;
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
          'INSERT INTO audit (time_ms, what, who, address, detail, class) VALUES (?, ?, ?, ?, ?, ?)',
          ...[time_ms, what, who, from, detail, classOf(what)],
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
    for (const rows of classes) {
      this.#db.run(
        `DELETE FROM audit WHERE class = ? AND n <=
          (SELECT n FROM audit WHERE class = ? ORDER BY n DESC LIMIT 1 OFFSET ?)`,
        ...[rows, rows, auditLimits.maxRowsOfEach],
      );
    }
    this.#grown = 0;
  }
}
