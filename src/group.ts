/**
 * Changes of several callers in one transaction: each is seen at once, and told to its caller when it is on disk. What
 * comes in one turn of the event loop, or while the disk is busy, shares one wait for it.
 */

/** What a group needs of its database. */
export interface Transactions {
  /** one statement */
  run(sql: string): void;
  readonly isTransaction: boolean;
}

interface Waiting {
  resolve(): void;
  reject(reason: unknown): void;
}

export class Group {
  readonly #db: Transactions;
  #waiting: Waiting[] = [];

  constructor(db: Transactions) {
    this.#db = db;
  }

  /** Makes a change at once. Resolves when it is durable. @throws what it throws: then nothing of it is there */
  add(change: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) {
        this.#db.run('BEGIN IMMEDIATE');
        setImmediate(() => this.commit());
      }
      // a change may make others: those go with it
      const from = this.#waiting.push({ resolve, reject }) - 1;
      this.#db.run('SAVEPOINT one');
      try {
        change();
        this.#db.run('RELEASE one');
      } catch (thrown) {
        this.#undo(from, thrown);
      }
    });
  }

  /** Makes durable what waits, now. */
  commit(): void {
    if (this.#waiting.length === 0) return;
    try {
      this.#db.run('COMMIT');
      for (const { resolve } of this.#taken()) resolve();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Takes back a change, the last one; a full disk takes back all of them. */
  #undo(from: number, thrown: unknown): void {
    if (!this.#db.isTransaction) return this.#fail(thrown);
    this.#db.run('ROLLBACK TO one');
    this.#db.run('RELEASE one');
    for (const { reject } of this.#waiting.splice(from)) reject(thrown);
    if (this.#waiting.length === 0) this.#db.run('ROLLBACK');
  }

  #fail(thrown: unknown): void {
    const failed = this.#taken();
    if (this.#db.isTransaction) this.#db.run('ROLLBACK');
    for (const { reject } of failed) reject(thrown);
  }

  #taken(): Waiting[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
