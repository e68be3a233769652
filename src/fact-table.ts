/** The facts of a node in its SQLite database: small rows, as every node keeps those of its whole organisation. */
import type { SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { FactRow, FactTable } from '../mesh/mod.ts';

type Row = Record<string, SQLOutputValue>;

/** What a table uses of the database. */
export interface Database {
  rows(sql: string, ...values: SQLInputValue[]): Row[];
  row(sql: string, ...values: SQLInputValue[]): Row | undefined;
  run(sql: string, ...values: SQLInputValue[]): number;
  transaction(change: () => void): void;
}

/** Rows lie in the order in which they came, so that pages are full; documents are numbers. */
export const factSchema = `
  CREATE TABLE docs (doc INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT;
  CREATE TABLE facts (doc INTEGER, id BLOB, record BLOB) STRICT;
  CREATE UNIQUE INDEX facts_by_id ON facts (doc, id);
  CREATE TABLE snapshots (doc INTEGER PRIMARY KEY, state BLOB) STRICT;
  CREATE TABLE damaged (doc INTEGER PRIMARY KEY, state BLOB) STRICT;
`;

const blob = (value: SQLOutputValue | undefined): Uint8Array =>
  value instanceof Uint8Array ? value : new Uint8Array(0);

const numberOf = '(SELECT doc FROM docs WHERE name = ?)';

/** Within a transaction of the caller's. */
export function insertFact(db: Database, { doc, id, record }: FactRow): void {
  db.run('INSERT OR IGNORE INTO docs (name) VALUES (?)', doc);
  db.run(`INSERT OR IGNORE INTO facts (doc, id, record) VALUES (${numberOf}, ?, ?)`, doc, id, record);
}

export function factTable(db: Database): FactTable {
  const removeFrom = (table: string, doc: string) =>
    db.run(`DELETE FROM ${table} WHERE doc = ${numberOf}`, doc);
  return {
    add: (rows) => db.transaction(() => rows.forEach((row) => insertFact(db, row))),
    get: (doc, id) => {
      const row = db.row(`SELECT record FROM facts WHERE doc = ${numberOf} AND id = ?`, doc, id);
      return row === undefined ? undefined : blob(row['record']);
    },
    byDoc: (doc) =>
      db.rows(`SELECT id, record FROM facts WHERE doc = ${numberOf}`, doc)
        .map((row) => ({ doc, id: blob(row['id']), record: blob(row['record']) })),
    idsIn: (doc, octet) => {
      // longer than any id that begins so, and after all of them
      const end = new Uint8Array(17).fill(255);
      end[0] = octet;
      const between = `SELECT id FROM facts WHERE doc = ${numberOf} AND id >= ? AND id < ?`;
      return db.rows(between, doc, Uint8Array.of(octet), end).map((row) => blob(row['id']));
    },
    docs: () => db.rows('SELECT name FROM docs').map((row) => String(row['name'])),
    remove: (doc, ids) =>
      db.transaction(() =>
        ids.forEach((id) => db.run(`DELETE FROM facts WHERE doc = ${numberOf} AND id = ?`, doc, id))
      ),
    drop: (doc) =>
      db.transaction(() => {
        for (const table of ['facts', 'snapshots', 'damaged']) removeFrom(table, doc);
        db.run('DELETE FROM docs WHERE name = ?', doc);
      }),
    snapshot: (doc) => {
      const row = db.row(`SELECT state FROM snapshots WHERE doc = ${numberOf}`, doc);
      return row === undefined ? undefined : blob(row['state']);
    },
    putSnapshot: (doc, state) =>
      db.transaction(() => {
        db.run('INSERT OR IGNORE INTO docs (name) VALUES (?)', doc);
        db.run(`INSERT OR REPLACE INTO snapshots (doc, state) VALUES (${numberOf}, ?)`, doc, state);
      }),
    setAside: (doc) =>
      db.transaction(() => {
        db.run(
          `INSERT OR IGNORE INTO damaged SELECT doc, state FROM snapshots WHERE doc = ${numberOf}`,
          doc,
        );
        removeFrom('snapshots', doc);
      }),
  };
}
