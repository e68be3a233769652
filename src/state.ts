/** The tables of a node in one SQLite database: what is written is on disk when it returns, or resolves. */
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { chmodSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { InkmeshError } from '../mesh/errors.ts';
import type {
  AddressTable,
  AgeTable,
  ClaimRow,
  ClaimTable,
  FactTable,
  Invite,
  InviteTable,
  Piece,
  PieceTable,
  Storage,
} from '../mesh/mod.ts';
import { Audit, auditSchema } from './audit.ts';
import { factSchema, factTable, insertFact } from './fact-table.ts';
import { Group } from './group.ts';
import { storageLimits } from './limits.ts';
import { diskFull } from './room.ts';
import { unconfirmedSchema, type UnconfirmedTable, unconfirmedTable } from './unconfirmed.ts';

const schemaVersion = 6;

const schema = `
${factSchema}${auditSchema}${unconfirmedSchema}  CREATE TABLE pieces (job TEXT PRIMARY KEY, epoch INTEGER, owner TEXT, token BLOB, cancel BLOB, acceptedBy TEXT, ticket BLOB,
    share BLOB, header BLOB, envelopeBytes INTEGER, stored_ms INTEGER, afterOff INTEGER, sealed INTEGER, lease BLOB,
    handoff BLOB) STRICT;
  CREATE INDEX pieces_to_hand_over ON pieces (job) WHERE handoff IS NOT NULL;
  CREATE INDEX pieces_by_author ON pieces (acceptedBy);
  CREATE INDEX pieces_by_owner ON pieces (owner);
  CREATE TABLE claims (claim TEXT PRIMARY KEY, job TEXT, phase TEXT, holders TEXT, receipts TEXT, settlement BLOB,
    target TEXT) STRICT;
  CREATE TABLE invites (secretHash TEXT PRIMARY KEY, kind TEXT, site TEXT, user TEXT, roles TEXT, usesLeft INTEGER,
    expires_ms INTEGER, tokenLife_ms INTEGER) STRICT;
  CREATE TABLE addresses (peer TEXT PRIMARY KEY, addresses TEXT) STRICT;
  CREATE TABLE age (one INTEGER PRIMARY KEY CHECK (one = 1), age_ms INTEGER, uptime_ms INTEGER, zero_ms INTEGER,
    off INTEGER) STRICT;
  PRAGMA user_version = ${schemaVersion};
`;

type Row = Record<string, SQLOutputValue>;

/** The database of a data directory. @throws InkmeshError when it was written by a newer inkmesh, or is damaged */
export class State implements Storage {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #group: Group;
  #scrub: ReturnType<typeof setTimeout> | undefined;
  /** within a transaction, or a change of the group's */
  #inside = false;
  readonly facts: FactTable = factTable(this);
  readonly pieces: PieceTable = pieceTable(this);
  readonly claims: ClaimTable = claimTable(this);
  readonly invites: InviteTable = inviteTable(this);
  readonly addresses: AddressTable = addressTable(this);
  readonly age: AgeTable = ageTable(this);
  readonly audit: Audit = new Audit(this);
  readonly unconfirmed: UnconfirmedTable = unconfirmedTable(this);

  constructor(dir: string) {
    const path = join(dir, 'state.sqlite');
    // shares and tickets are in it; its log takes the mode of the database
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    this.#db = new DatabaseSync(path);
    const db = this.#db;
    this.#group = new Group({
      run: (sql) => this.#execute(sql),
      get isTransaction() {
        return db.isTransaction;
      },
    });
    // EXCLUSIVE: one node per directory; FULL: a commit is on disk when it returns; secure_delete: what is
    // removed is overwritten
    this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 1000');
    const version = this.#begin(dir);
    if (version === 0) this.transaction(() => this.#db.exec(schema));
    else if (version !== schemaVersion) {
      throw new InkmeshError(
        'conflict',
        `${dir} was written by another version of inkmesh (schema ${version})`,
      );
    }
    // a death may have come between a removal and this
    this.scrubSoon();
  }

  #begin(dir: string): unknown {
    try {
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON');
      return this.row('PRAGMA user_version')?.['user_version'];
    } catch (cause) {
      const locked = cause instanceof Error && cause.message.includes('locked');
      if (locked) throw new InkmeshError('conflict', `another node is running in ${dir}`, {}, { cause });
      throw new InkmeshError('corrupt', `the database in ${dir} cannot be opened`, {}, { cause });
    }
  }

  rows(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values);
  }

  row(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  /** @returns the number of rows changed @throws InkmeshError `unavailable` when the disk is full */
  run(sql: string, ...values: SQLInputValue[]): number {
    if (!this.#inside) this.#group.commit();
    return this.#execute(sql, ...values);
  }

  #execute(sql: string, ...values: SQLInputValue[]): number {
    return refusingFull(() => Number(this.#statement(sql).run(...values).changes));
  }

  /** @throws InkmeshError `unavailable` when the disk is full: then nothing of it is written */
  transaction(change: () => void): void {
    if (this.#inside) return change();
    this.#group.commit();
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      this.#within(change);
      this.#execute('COMMIT');
    } catch (error) {
      // a full disk may have ended the transaction already
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /**
   * Makes a change, which is seen at once, together with others that come soon after. Resolves when it is on disk; what
   * else is written puts it there first.
   * @throws InkmeshError `unavailable` when the disk is full: then nothing of it is written
   */
  async together(change: () => void): Promise<void> {
    await this.#group.add(() => this.#within(change));
  }

  /** Puts on disk at once what waits for others. */
  commit(): void {
    if (!this.#inside) this.#group.commit();
  }

  #within(change: () => void): void {
    const before = this.#inside;
    this.#inside = true;
    try {
      change();
    } finally {
      this.#inside = before;
    }
  }

  /** Empties the write-ahead log, which still holds what was just removed from the database: soon, and for all of it. */
  scrubSoon(): void {
    this.#scrub ??= setTimeout(() => {
      this.#scrub = undefined;
      try {
        this.#group.commit();
        this.row('PRAGMA wal_checkpoint(TRUNCATE)');
      } catch {
        // a full disk
        this.scrubSoon();
      }
    }, storageLimits.scrub_ms);
  }

  /** Closing empties the log. */
  close(): void {
    clearTimeout(this.#scrub);
    this.audit.close();
    this.#group.commit();
    this.#statements.clear();
    this.#db.close();
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** SQLite result code: the disk is full */
const sqliteFull = 13;

function refusingFull<T>(work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw (thrown as { errcode?: number }).errcode === sqliteFull ? diskFull(thrown) : thrown;
  }
}

const string = (value: SQLOutputValue | undefined): string => String(value);
const number = (value: SQLOutputValue | undefined): number => Number(value);
const blob = (value: SQLOutputValue | undefined): Uint8Array =>
  value instanceof Uint8Array ? value : new Uint8Array(0);
const list = (value: SQLOutputValue | undefined): string[] => JSON.parse(string(value)) as string[];
const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

function pieceOf(row: Row): Piece {
  return {
    job: string(row['job']),
    epoch: number(row['epoch']),
    owner: string(row['owner']),
    submitter: row['token'] === null ? null : { token: blob(row['token']), cancel: blob(row['cancel']) },
    acceptedBy: string(row['acceptedBy']),
    ticket: blob(row['ticket']),
    share: blob(row['share']),
    header: blob(row['header']),
    envelopeBytes: number(row['envelopeBytes']),
    stored_ms: number(row['stored_ms']),
    afterOff: row['afterOff'] === 1,
    sealed: row['sealed'] === 1,
    lease: blob(row['lease']),
    handoff: row['handoff'] instanceof Uint8Array ? row['handoff'] : null,
  };
}

/** In the order of their columns. */
function valuesOf(p: Piece): SQLInputValue[] {
  const { token, cancel } = p.submitter ?? { token: null, cancel: null };
  const kept = [p.ticket, p.share, p.header, p.envelopeBytes, p.stored_ms];
  const states = [p.afterOff ? 1 : 0, p.sealed ? 1 : 0, p.lease, p.handoff];
  return [p.job, p.epoch, p.owner, token, cancel, p.acceptedBy, ...kept, ...states];
}

function insertPiece(state: State, p: Piece): void {
  state.run(
    `INSERT INTO pieces (job, epoch, owner, token, cancel, acceptedBy, ticket, share, header, envelopeBytes,
      stored_ms, afterOff, sealed, lease, handoff) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...valuesOf(p),
  );
}

function pieceTable(state: State): PieceTable {
  return {
    put: (piece) => state.together(() => insertPiece(state, piece)),
    get: (job) => {
      const row = state.row('SELECT * FROM pieces WHERE job = ?', job);
      return row === undefined ? undefined : pieceOf(row);
    },
    list: () => state.rows('SELECT * FROM pieces').map(pieceOf),
    jobs: () => state.rows('SELECT job FROM pieces').map((row) => string(row['job'])),
    ofOwner: (user) => {
      // what is told of them is durable
      state.commit();
      return state.rows('SELECT * FROM pieces WHERE owner = ?', user).map(pieceOf);
    },
    countOf: (author) =>
      number(state.row('SELECT count(*) AS n FROM pieces WHERE acceptedBy = ?', author)?.['n']),
    seal: (job, fact, handoff) =>
      state.together(() => {
        state.run('UPDATE pieces SET sealed = 1, handoff = ? WHERE job = ?', handoff, job);
        insertFact(state, fact);
      }),
    markSealed: (job) => {
      state.run('UPDATE pieces SET sealed = 1 WHERE job = ?', job);
    },
    setLease: (job, lease) => {
      state.run('UPDATE pieces SET lease = ? WHERE job = ?', lease, job);
    },
    dropShare: (job) => {
      const dropped = state.run(
        "UPDATE pieces SET share = x'', handoff = NULL WHERE job = ? AND (share <> x'' OR handoff IS NOT NULL)",
        job,
      );
      if (dropped > 0) state.scrubSoon();
    },
    handoffs: () =>
      state.rows('SELECT job FROM pieces WHERE handoff IS NOT NULL').map((row) => string(row['job'])),
    dropHandoff: (job) => {
      state.run('UPDATE pieces SET handoff = NULL WHERE job = ?', job);
    },
    remove: (job) =>
      state.together(() => {
        if (state.run('DELETE FROM pieces WHERE job = ?', job) > 0) state.scrubSoon();
      }),
  };
}

function claimTable(state: State): ClaimTable {
  return {
    put: (c) => {
      const receipts = JSON.stringify(c.receipts.map(({ holder, signature }) => [holder, hex(signature)]));
      state.run(
        `INSERT OR REPLACE INTO claims (claim, job, phase, holders, receipts, settlement, target)
          VALUES (?, ?, ?, ?, ?, ?, ?)`,
        ...[c.claim, c.job, c.phase, JSON.stringify(c.holders), receipts, c.settlement, c.target],
      );
    },
    list: () =>
      state.rows('SELECT * FROM claims').map((row): ClaimRow => ({
        claim: string(row['claim']),
        job: string(row['job']),
        phase: string(row['phase']) as ClaimRow['phase'],
        holders: list(row['holders']),
        receipts: (JSON.parse(string(row['receipts'])) as [string, string][]).map(([holder, signature]) => ({
          holder,
          signature: unhex(signature),
        })),
        settlement: row['settlement'] instanceof Uint8Array ? row['settlement'] : null,
        target: string(row['target']),
      })),
    remove: (claim) =>
      state.together(() => {
        state.run('DELETE FROM claims WHERE claim = ?', claim);
      }),
  };
}

function inviteOf(row: Row): Invite {
  return {
    secretHash: string(row['secretHash']),
    kind: string(row['kind']) as Invite['kind'],
    site: string(row['site']),
    user: row['user'] === null ? null : string(row['user']),
    roles: list(row['roles']),
    usesLeft: number(row['usesLeft']),
    expires_ms: number(row['expires_ms']),
    tokenLife_ms: row['tokenLife_ms'] === null ? null : number(row['tokenLife_ms']),
  };
}

function inviteTable(state: State): InviteTable {
  return {
    put: (i) => {
      state.run(
        'INSERT INTO invites VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
        ...[i.secretHash, i.kind, i.site, i.user, JSON.stringify(i.roles)],
        ...[i.usesLeft, i.expires_ms, i.tokenLife_ms],
      );
    },
    get: (hash): Invite | undefined => {
      const row = state.row('SELECT * FROM invites WHERE secretHash = ?', hash);
      return row === undefined ? undefined : inviteOf(row);
    },
    list: () => state.rows('SELECT * FROM invites').map(inviteOf),
    redeem: (hash) =>
      state.run('UPDATE invites SET usesLeft = usesLeft - 1 WHERE secretHash = ? AND usesLeft > 0', hash) ===
        1,
  };
}

function addressTable(state: State): AddressTable {
  return {
    list: () =>
      state.rows('SELECT * FROM addresses').map((row) => ({
        peer: string(row['peer']),
        addresses: list(row['addresses']),
      })),
    put: (peer, addresses) => {
      const packed = JSON.stringify(addresses);
      const same = state.row('SELECT 1 FROM addresses WHERE peer = ? AND addresses = ?', peer, packed);
      if (same === undefined) {
        state.run('INSERT OR REPLACE INTO addresses (peer, addresses) VALUES (?, ?)', peer, packed);
      }
    },
  };
}

function ageTable(state: State): AgeTable {
  return {
    get: () => {
      const row = state.row('SELECT * FROM age');
      if (row === undefined) return undefined;
      return {
        age_ms: number(row['age_ms']),
        uptime_ms: number(row['uptime_ms']),
        zero_ms: row['zero_ms'] === null ? null : number(row['zero_ms']),
        off: row['off'] === 1,
      };
    },
    put: ({ age_ms, uptime_ms, zero_ms, off }, missed_ms) =>
      state.transaction(() => {
        state.run(
          'INSERT OR REPLACE INTO age (one, age_ms, uptime_ms, zero_ms, off) VALUES (1, ?, ?, ?, ?)',
          ...[age_ms, uptime_ms, zero_ms, off ? 1 : 0],
        );
        if (off) return;
        state.run('UPDATE pieces SET stored_ms = stored_ms + ?, afterOff = 0 WHERE afterOff = 1', missed_ms);
      }),
  };
}
