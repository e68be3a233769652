import { statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../mesh/codec.ts';
import { envelopeLength, headerBytes } from '../../mesh/envelope.ts';
import type { Fact } from '../../mesh/facts.ts';
import { emptyLease, type Lease } from '../../mesh/lease.ts';
import { expiryLook_ms, maxClockSkew_ms, maxRetention_ms, unsealedAge_ms } from '../../mesh/limits.ts';
import type { Clock, Spool } from '../../mesh/ports.ts';
import { shareBytes } from '../../mesh/shares.ts';
import { Shelf } from '../../mesh/shelf.ts';
import { openSpool } from '../../src/spool.ts';
import { State } from '../../src/state.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';

const hour_ms = 3600_000;
const retention_ms = 8 * hour_ms;
const patience = { deadline_ms: 30_000 };
const claim = `12D3KooWQ/${crypto.randomUUID()}`;

interface Kept {
  sealed?: boolean;
  retention_ms?: number;
  /** how long others have kept it */
  age_ms?: number;
  doc?: string;
}

/** A machine whose time only the test moves, and the shelf of its node. */
class Machine {
  readonly dir = tempDir();
  readonly logged: string[] = [];
  readonly facts = new Map<string, Fact>();
  /** what the clocks of others say, null while nobody is heard */
  agreed: number | null = null;
  shelf!: Shelf;
  state!: State;
  spool!: Spool;
  #wall_ms = 0;
  #monotonic_ms = 0;
  #uptime_ms = 5 * hour_ms;
  #timers: { at_ms: number; run: () => void }[] = [];

  readonly #clock: Clock = {
    wall_ms: () => this.#wall_ms,
    monotonic_ms: () => this.#monotonic_ms,
    uptime_ms: () => this.#uptime_ms,
    after: (delay_ms, run) => {
      const timer = { at_ms: this.#monotonic_ms + delay_ms, run };
      this.#timers.push(timer);
      return () => void (this.#timers = this.#timers.filter((one) => one !== timer));
    },
  };

  async start(): Promise<void> {
    this.state = new State(this.dir);
    this.spool = await openSpool(this.dir);
    this.shelf = new Shelf({
      ...{ pieces: this.state.pieces, age: this.state.age, spool: this.spool, clock: this.#clock },
      ledger: { about: (_kind, job) => [this.facts.get(job) ?? []].flat() },
      agreed_ms: () => this.agreed,
      log: (level, what, fields) => void this.logged.push(`${level} ${what} ${JSON.stringify(fields)}`),
    });
    await this.shelf.open();
  }

  /** Ends the process, without a word to anybody. */
  crash(): void {
    this.#timers = [];
    this.shelf.close();
    this.state.close();
  }

  run(by_ms: number): void {
    this.#pass(by_ms);
    this.#monotonic_ms += by_ms;
    this.#uptime_ms += by_ms;
    const due = this.#timers.filter(({ at_ms }) => at_ms <= this.#monotonic_ms);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { run } of due) run();
  }

  sleep(by_ms: number): void {
    this.#pass(by_ms);
    this.#uptime_ms += by_ms;
  }

  /** Crashes, stays off for so long, and runs again. */
  async reboot(off_ms: number): Promise<void> {
    this.crash();
    this.#pass(off_ms);
    [this.#uptime_ms, this.#monotonic_ms] = [30_000, 0];
    await this.start();
  }

  setWall(wall_ms: number): void {
    this.#wall_ms = wall_ms;
  }

  #pass(by_ms: number): void {
    this.#wall_ms += by_ms;
    if (this.agreed !== null) this.agreed += by_ms;
  }

  /** Keeps a piece of a job that is to be held for `retention_ms`, sealed unless told otherwise. */
  async keep(how: Kept = {}): Promise<string> {
    const job = crypto.randomUUID();
    const writer = await this.spool.create(job);
    await writer.write(new Uint8Array(envelopeLength(1000)).fill(7));
    await writer.finish();
    const share = new Uint8Array(shareBytes).fill(1);
    const ticket = new Uint8Array([1]);
    await this.shelf.keep(
      'author',
      { job, epoch: 1, owner: 'ada', submitter: null, ticket, share },
      writer,
      how.age_ms ?? 0,
    );
    await writer.close();
    if (how.sealed ?? true) this.state.pieces.markSealed(job);
    const body = { expires_ms: 1e6 + (how.retention_ms ?? retention_ms) };
    const fact = {
      doc: how.doc ?? 'd',
      author: 'author',
      seq: 1,
      kind: 'job',
      subject: job,
      time_ms: 1e6,
      body,
    };
    this.facts.set(job, fact);
    return job;
  }

  lease(job: string, changes: Partial<Lease>): void {
    this.state.pieces.setLease(job, encode({ ...emptyLease, ...changes }));
  }

  keeps(job: string): boolean {
    return this.shelf.ofOwner('ada').some((piece) => piece.job === job);
  }

  /** Resolves when nothing of a job is left, not even its envelope. */
  async gone(job: string): Promise<void> {
    const left = async () =>
      this.state.pieces.get(job) !== undefined || (await this.spool.list()).includes(job);
    await waitFor(async () => await left() ? undefined : true, { ...patience, what: 'the piece to be gone' });
  }
}

let machine: Machine;

test.before.each(async () => {
  machine = new Machine();
  await machine.start();
});

test.after.each(() => machine.crash());

const begun: Lease['vote'] = { claim, nonce: 'n', phase: 'begun', lapses_ms: null };

test('a piece goes when it is as old as its job may get, whatever the wall clock says', async () => {
  const [job, longer] = [await machine.keep(), await machine.keep({ retention_ms: retention_ms * 2 })];
  machine.setWall(Date.UTC(2099, 0));
  machine.run(retention_ms);
  assert.ok(machine.keeps(job));
  machine.setWall(0);
  machine.run(expiryLook_ms);
  await machine.gone(job);
  assert.ok(machine.keeps(longer));
  assert.ok((await machine.spool.list()).includes(longer));
});

test('a fact that asks for more than any site may is not believed', async () => {
  const job = await machine.keep({ retention_ms: maxRetention_ms * 100 });
  machine.run(maxRetention_ms);
  assert.ok(machine.keeps(job));
  machine.run(expiryLook_ms);
  await machine.gone(job);
});

test('a fact that asks for more than its site ever allowed is not believed', async () => {
  const job = await machine.keep({ retention_ms: maxRetention_ms, doc: 'jobs/main/2026-01-01' });
  machine.run(retention_ms);
  assert.ok(machine.keeps(job));
  machine.run(expiryLook_ms);
  await machine.gone(job);
});

test('sleep counts: a machine that wakes refuses what expired meanwhile, and erases it', async () => {
  const job = await machine.keep();
  const piece = machine.shelf.get(job)!;
  machine.shelf.refuseOver(piece);
  machine.sleep(retention_ms + 1);
  assert.match(await refusalOf(() => machine.shelf.refuseOver(piece)), /^not-found: this job was kept for/);
  assert.not.ok(machine.keeps(job));
  machine.run(expiryLook_ms);
  await machine.gone(job);
});

test('a crash neither erases early nor keeps for longer', async () => {
  const job = await machine.keep();
  for (let hour = 0; hour < 8; hour++) {
    machine.run(hour_ms);
    machine.crash();
    await machine.start();
  }
  assert.ok(machine.keeps(job));
  machine.crash();
  machine.sleep(expiryLook_ms);
  await machine.start();
  await machine.gone(job);
});

test('time off counts once two others have been heard, and not before', async () => {
  machine.agreed = Date.UTC(2026, 0);
  const job = await machine.keep();
  machine.run(hour_ms);
  machine.agreed = null;
  await machine.reboot(48 * hour_ms);
  assert.ok(machine.keeps(job));
  machine.run(expiryLook_ms);
  assert.ok(machine.keeps(job), 'nobody has been heard');
  const fresh = await machine.keep();
  const old = await machine.keep({ age_ms: 7 * hour_ms });
  machine.agreed = Date.UTC(2026, 0) + 49 * hour_ms + expiryLook_ms;
  machine.run(expiryLook_ms);
  await machine.gone(job);
  assert.ok(machine.keeps(fresh) && machine.keeps(old), 'what came after it was not here then');
  machine.run(hour_ms);
  await machine.gone(old);
  machine.crash();
  await machine.start();
  machine.run(6 * hour_ms);
  assert.ok(machine.keeps(fresh));
  machine.run(hour_ms);
  await machine.gone(fresh);
});

test('a machine that was off for less than the retention keeps its jobs for the rest of it', async () => {
  machine.agreed = Date.UTC(2026, 0);
  const job = await machine.keep();
  machine.run(expiryLook_ms);
  await machine.reboot(maxClockSkew_ms + 6 * hour_ms - expiryLook_ms);
  machine.run(hour_ms);
  assert.ok(machine.keeps(job));
  machine.run(hour_ms + expiryLook_ms);
  await machine.gone(job);
});

test('a machine that nobody talks to keeps a job while it runs for as long as it may, no longer', async () => {
  const job = await machine.keep();
  for (let day = 0; day < 4; day++) {
    assert.ok(machine.keeps(job));
    machine.run(2 * hour_ms);
    await machine.reboot(22 * hour_ms);
  }
  machine.run(expiryLook_ms);
  await machine.gone(job);
});

test('what may be being printed, or waits for its owner, stays past its retention, not for ever', async () => {
  const claims = ['begun', 'interrupted'] as const;
  const jobs = await Promise.all(claims.map(() => machine.keep()));
  jobs.forEach((job, i) => machine.lease(job, { vote: { ...begun!, phase: claims[i]! } }));
  machine.run(retention_ms + expiryLook_ms);
  for (const job of jobs) {
    assert.ok(machine.keeps(job));
    // the owner's word may still come
    machine.shelf.refuseOver(machine.shelf.get(job)!);
  }
  machine.lease(jobs[0]!, {});
  machine.run(expiryLook_ms);
  await machine.gone(jobs[0]!);
  machine.crash();
  await machine.start();
  assert.ok(machine.keeps(jobs[1]!));
  machine.run(maxRetention_ms + expiryLook_ms);
  await machine.gone(jobs[1]!);
});

test('a vote that may still begin is waited for; one that has lapsed is not', async () => {
  const job = await machine.keep();
  machine.run(retention_ms);
  const lapses_ms = retention_ms + expiryLook_ms + 5000;
  machine.lease(job, { vote: { ...begun!, phase: 'voted', lapses_ms } });
  machine.run(expiryLook_ms);
  assert.ok(machine.keeps(job));
  machine.run(expiryLook_ms);
  await machine.gone(job);
});

test('a job that is over goes with its retention, though a dead claimant never said how it ended', async () => {
  const job = await machine.keep();
  machine.lease(job, { vote: begun, erased: true });
  machine.state.pieces.dropShare(job);
  machine.crash();
  await machine.start();
  assert.ok(machine.keeps(job));
  machine.run(retention_ms + expiryLook_ms);
  await machine.gone(job);
});

test('what was never sealed outlives a restart, and goes when it is too old', async () => {
  const job = await machine.keep({ sealed: false });
  machine.crash();
  await machine.start();
  assert.ok(machine.keeps(job));
  await machine.reboot(0);
  machine.run(unsealedAge_ms - expiryLook_ms);
  assert.ok(machine.keeps(job));
  machine.run(2 * expiryLook_ms);
  await machine.gone(job);
});

test('a damaged envelope is told of, and its piece is kept: share and header are whole', async () => {
  const [short, missing, whole] = [await machine.keep(), await machine.keep(), await machine.keep()];
  machine.crash();
  truncateSync(join(machine.dir, 'envelopes', short), 10);
  await machine.spool.remove(missing);
  await machine.start();
  assert.equal(machine.shelf.damaged().sort(), [short, missing].sort());
  for (const job of [short, missing]) {
    assert.is(machine.logged.filter((line) => line.includes(job)).length, 1);
    assert.is(machine.shelf.get(job)?.share.length, shareBytes);
    assert.equal(machine.shelf.get(job)?.header, new Uint8Array(headerBytes).fill(7));
  }
  assert.is(statSync(join(machine.dir, 'envelopes', whole)).size, envelopeLength(1000));
  machine.run(retention_ms + expiryLook_ms);
  for (const job of [short, missing, whole]) await machine.gone(job);
  assert.equal(machine.shelf.damaged(), []);
});

test.run();
