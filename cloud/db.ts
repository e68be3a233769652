/**
 * What a cloud node remembers besides facts, in a SQLite database of its own: when each node was last connected, what
 * passed for each site, and the trail of what operators did, to which rows are only ever added.
 */
import { chmodSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { printable } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import type { AuditEntry, AuditView } from '../src/audit.ts';

const schemaVersion = 1;
const maxDetailChars = 512;

const schema = `
  CREATE TABLE trail (n INTEGER PRIMARY KEY, time_ms INTEGER, what TEXT, who TEXT, address TEXT, detail TEXT,
    fact TEXT UNIQUE) STRICT;
  CREATE INDEX trail_by_time ON trail (time_ms, n);
  CREATE TRIGGER trail_stays BEFORE DELETE ON trail BEGIN SELECT RAISE(ABORT, 'the trail is only added to'); END;
  CREATE TRIGGER trail_holds BEFORE UPDATE ON trail BEGIN SELECT RAISE(ABORT, 'the trail is only added to'); END;
  CREATE TABLE seen (peer TEXT PRIMARY KEY, time_ms INTEGER) STRICT;
  CREATE TABLE relayed (site TEXT PRIMARY KEY, bytes INTEGER) STRICT;
  PRAGMA user_version = ${schemaVersion};
`;

export class CloudDb {
  readonly #db: DatabaseSync;

  /** @throws InkmeshError `conflict` when it was written by another version */
  constructor(dir: string) {
    const path = join(dir, 'cloud.sqlite');
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    this.#db = new DatabaseSync(path);
    this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    const version = this.#db.prepare('PRAGMA user_version').get()?.['user_version'];
    if (version === 0) this.#db.exec(`BEGIN; ${schema} COMMIT`);
    else if (version !== schemaVersion) {
      throw new InkmeshError('conflict', `${path} was written by another version of inkmesh`);
    }
  }

  /**
   * Adds to the trail what an operator did, durably.
   * @param fact where a fact says it: its id, by which it is noted once, and its time in milliseconds since the epoch
   */
  note({ what, who, from, detail }: AuditEntry, fact?: { id: string; time_ms: number }): void {
    this.#db.prepare(
      'INSERT INTO trail (time_ms, what, who, address, detail, fact) VALUES (?, ?, ?, ?, ?, ?)' +
        ' ON CONFLICT (fact) DO NOTHING',
    ).run(
      ...[fact?.time_ms ?? Date.now(), what, who, from, printable(detail, maxDetailChars), fact?.id ?? null],
    );
  }

  /** The last `limit` rows of the trail, newest first. */
  trail(limit: number): AuditView[] {
    return this.#db.prepare('SELECT * FROM trail ORDER BY time_ms DESC, n DESC LIMIT ?').all(limit).map((
      row,
    ) => ({
      at: new Date(Number(row['time_ms'])).toISOString(),
      what: String(row['what']) as AuditEntry['what'],
      who: row['who'] === null ? null : String(row['who']),
      from: row['address'] === null ? null : String(row['address']),
      detail: String(row['detail']),
    }));
  }

  /** Takes down that nodes are connected now. @param peers PeerIds */
  see(peers: readonly string[]): void {
    const put = this.#db.prepare(
      'INSERT INTO seen VALUES (?, ?) ON CONFLICT (peer) DO UPDATE SET time_ms = excluded.time_ms',
    );
    this.#together(() => peers.forEach((peer) => put.run(peer, Date.now())));
  }

  /** When each node was connected last, milliseconds since the epoch, by PeerId. */
  seen(): Map<string, number> {
    const rows = this.#db.prepare('SELECT * FROM seen').all();
    return new Map(rows.map((row) => [String(row['peer']), Number(row['time_ms'])]));
  }

  /** Adds octets that have passed for sites. */
  addRelayed(bytes: ReadonlyMap<string, number>): void {
    const put = this.#db.prepare(
      'INSERT INTO relayed VALUES (?, ?) ON CONFLICT (site) DO UPDATE SET bytes = bytes + excluded.bytes',
    );
    this.#together(() => bytes.forEach((more, site) => put.run(site, more)));
  }

  /** Octets that have ever passed for each site. */
  relayed(): Map<string, number> {
    const rows = this.#db.prepare('SELECT * FROM relayed').all();
    return new Map(rows.map((row) => [String(row['site']), Number(row['bytes'])]));
  }

  close(): void {
    this.#db.close();
  }

  #together(change: () => void): void {
    this.#db.exec('BEGIN');
    try {
      change();
      this.#db.exec('COMMIT');
    } catch (thrown) {
      this.#db.exec('ROLLBACK');
      throw thrown;
    }
  }
}
