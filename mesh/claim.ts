/**
 * The claimant: a release (or cancellation) in progress at this node. Votes of a quorum are the authorisation, the
 * lock and the key; begin of a quorum comes before the first octet goes anywhere; how it ended is persisted before
 * it is told, and told until every holder has answered. What was under way when the node died is ended on start.
 */
import { type Ballot, type Count, count } from './ballots.ts';
import { printable } from './codec.ts';
import { copyOf, decryptFrom, type Held, type Source } from './document.ts';
import { envelopeLength } from './envelope.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import type { Holder, Holders } from './holder.ts';
import { type JobBody, quorumOf, type SettledBody, settledKind, verifyReceipt } from './job-facts.ts';
import type { Outcome } from './lease.ts';
import type { FactLedger } from './ledger.ts';
import {
  claimAttempts,
  claimRetryMax_ms,
  claimRetryMin_ms,
  maxReasonChars,
  maxUntoldClaims,
  thirdVoteGrace_ms,
} from './limits.ts';
import type { ClaimRow, ClaimTable, Clock, Log, Spool, SpoolWriter, Storage } from './ports.ts';
import type { Permission } from './protocol.ts';
import { gather } from './gather.ts';
import { Resender } from './resend.ts';
import { fraction, sleep } from './timing.ts';

export interface ClaimOptions {
  self: { peerId: string; site: string };
  holders: Holders;
  ledger: FactLedger;
  claims: ClaimTable;
  together: Storage['together'];
  spool: Spool;
  clock: Clock;
  /** agreed with the peers */
  now_ms(): number;
  log: Log;
  /** what people call a node */
  nameOf(peer: string): string;
}

/** A claim that has the votes of a quorum. It must end by `settle` or `yield`. */
export interface Claim {
  readonly id: string;
  readonly ticket: Uint8Array;
  readonly job: Fact;
  /** Resolves when a quorum has begin on disk. @throws InkmeshError when it can't be had; the claim has yielded then */
  begin(): Promise<void>;
  /** The decrypted document, chunk by chunk, each authenticated; from another holder when one fails. */
  document(): AsyncIterable<Uint8Array>;
  settle(outcome: Outcome, reason?: string): Promise<void>;
  /** Gives the claim up before it has begun; nothing more when it has ended. */
  yield(): void;
}

export class Claimant {
  readonly #options: ClaimOptions;
  readonly #resender: Resender;
  readonly #active = new Set<string>();

  private constructor(options: ClaimOptions) {
    this.#options = options;
    this.#resender = new Resender(options);
  }

  /**
   * Ends what a death of this node left open: yields what had not begun, and of what had, declares interrupted what
   * may be half printed, and cancelled what was being cancelled.
   */
  static async open(options: ClaimOptions): Promise<Claimant> {
    const claimant = new Claimant(options);
    for (const row of options.claims.list()) {
      try {
        // its day is over, and with it every holder's piece
        if (options.ledger.first('job', row.job) === undefined) {
          await options.claims.remove(row.claim);
          continue;
        }
        if (row.phase === 'begun') {
          if (row.target === '') await claimant.#conclude(row, 'cancelled', '');
          else await claimant.#conclude(row, 'interrupted', 'the node stopped while it was printing');
        } else if (row.phase === 'voting') claimant.#giveUp(row);
        claimant.#resender.sendSoon(row);
      } catch (thrown) {
        // it stays begun at the holders, which is what `interrupted` says; the next start tries again
        options.log('error', 'a claim cannot be ended', {
          job: row.job,
          reason: asInkmeshError(thrown).message,
        });
      }
    }
    return claimant;
  }

  close(): void {
    this.#resender.close();
  }

  /**
   * Claims a job with the owner's permission.
   * @param target the printer's name, empty for a cancellation
   * @throws InkmeshError `busy` when somebody else has it (details `claims`: what a reprint must confirm, if it
   *   may have printed), `forbidden`, `not-found`, `unavailable` when too few holders are awake
   */
  async claim(job: string, permission: Permission, target: string): Promise<Claim> {
    const fact = this.#options.ledger.first('job', job);
    if (fact === undefined) throw new InkmeshError('not-found', 'there is no such job');
    if (this.#active.has(job)) throw new InkmeshError('busy', 'this node is releasing the job already');
    if (this.#options.claims.list().filter((row) => row.job === job).length >= maxUntoldClaims) {
      const message =
        'a holder of this job has been away for many attempts: wake it, or release it at another node';
      throw new InkmeshError('busy', message);
    }
    this.#active.add(job);
    try {
      for (let attempt = 1;; attempt++) {
        const claimed = await this.#attempt(fact, permission, target);
        if (!(claimed instanceof InkmeshError)) return claimed;
        const split = claimed.code === 'busy' && claimed.about['begun'] === 'false';
        if (!split || attempt === claimAttempts) throw claimed;
        const delay_ms = claimRetryMin_ms + fraction() * (claimRetryMax_ms - claimRetryMin_ms);
        await sleep(this.#options.clock, delay_ms * attempt);
      }
    } catch (error) {
      this.#active.delete(job);
      throw error;
    }
  }

  /** One claimId's try: the claim, or why it was not to be had (it has yielded then). */
  async #attempt(fact: Fact, permission: Permission, target: string): Promise<Claim | InkmeshError> {
    const { self, holders, claims } = this.#options;
    const { holders: peers, epoch } = fact.body as JobBody;
    const row: ClaimRow = {
      claim: `${self.peerId}/${crypto.randomUUID()}`,
      job: fact.subject,
      phase: 'voting',
      holders: peers,
      receipts: [],
      settlement: null,
      target,
    };
    claims.put(row);
    const request = { job: row.job, epoch: epoch as 1, claim: row.claim, permission };
    const asked = gather(
      this.#options.clock,
      peers.map(holders),
      async (holder): Promise<Ballot> => ({ holder, vote: await holder.vote(request) }),
    );
    try {
      const { got, failed } = await asked.until(quorumOf(peers), thirdVoteGrace_ms);
      if (got.length < quorumOf(peers)) throw this.#refused(fact, failed);
      const needsKey = target !== '';
      const counted = await count(fact.subject, peers, got, needsKey).catch(async (error: unknown) => {
        const late = await asked.all;
        if (late.got.length === got.length) throw error;
        return await count(fact.subject, peers, late.got, needsKey);
      });
      for (const { peer } of counted.corrupt) {
        const node = this.#options.nameOf(peer);
        this.#options.log('error', 'a holder gave a corrupt share or ticket', { job: fact.subject, node });
      }
      return await this.#claim(fact, row, counted);
    } catch (thrown) {
      this.#yield(row);
      return asInkmeshError(thrown);
    }
  }

  async #claim(fact: Fact, row: ClaimRow, { ballots, ticket, key }: Count): Promise<Claim> {
    const holders = this.#nearestFirst(ballots.map(({ holder }) => holder));
    const { bytes } = fact.body as JobBody;
    const headers = ballots.map(({ vote }) => vote.header);
    const held = key &&
      { job: row.job, claim: row.claim, envelopeBytes: envelopeLength(bytes), headers, key };
    const copy = held === undefined ? undefined : await this.#copied(holders, held);
    let ended = false;
    const end = () => {
      if (ended) return false;
      ended = true;
      key?.fill(0);
      void copy?.writer.abort().catch(() => {});
      this.#active.delete(row.job);
      return true;
    };
    return {
      id: row.claim,
      job: fact,
      ticket,
      begin: async () => {
        try {
          row.receipts = await this.#begin(fact, row, holders);
          row.phase = 'begun';
          this.#options.claims.put(row);
        } catch (error) {
          if (end()) this.#yield(row);
          throw error;
        }
      },
      document: () => {
        if (held === undefined) throw new TypeError('a cancellation reads no document');
        return decryptFrom(copy === undefined ? holders : [copy.source], held);
      },
      settle: async (outcome, reason = '') => {
        if (!end()) throw new TypeError('this claim has ended');
        await this.#conclude(row, outcome, reason);
        await this.#resender.send(row);
      },
      yield: () => {
        if (end()) this.#yield(row);
      },
    };
  }

  #isNear(holder: Holder): boolean {
    const { self, ledger } = this.#options;
    return ledger.identity(holder.peer)?.site === self.site;
  }

  /** This node itself, if it holds the job, then its own site's. */
  #nearestFirst(holders: readonly Holder[]): Holder[] {
    const rank = (holder: Holder) =>
      Number(holder.peer !== this.#options.self.peerId) + Number(!this.#isNear(holder));
    return [...holders].sort((a, b) => rank(a) - rank(b));
  }

  /**
   * Where no holder is at this site: a copy of the whole envelope. It has no name in the spool, so that a crash
   * leaves nothing that a sweep would keep.
   */
  async #copied(
    holders: readonly Holder[],
    held: Held,
  ): Promise<{ writer: SpoolWriter; source: Source } | undefined> {
    if (holders.some((holder) => this.#isNear(holder))) return undefined;
    const writer = await this.#options.spool.create(held.claim.slice(held.claim.indexOf('/') + 1));
    try {
      return { writer, source: await copyOf(holders, held, writer) };
    } catch (error) {
      held.key.fill(0);
      await writer.abort();
      throw error;
    }
  }

  async #begin(fact: Fact, row: ClaimRow, holders: readonly Holder[]): Promise<ClaimRow['receipts']> {
    const { epoch, holders: all } = fact.body as JobBody;
    const { ledger } = this.#options;
    const asked = gather(this.#options.clock, holders, async (holder) => {
      const { receipt: signature } = await holder.begin({
        job: row.job,
        epoch: epoch as 1,
        claim: row.claim,
      });
      const identity = ledger.identity(holder.peer);
      const receipt = { job: row.job, epoch, claim: row.claim, holder: holder.peer };
      if (identity === undefined || !await verifyReceipt(identity, receipt, signature)) {
        throw new InkmeshError('unauthenticated', 'a begin receipt is not its holder’s');
      }
      return { holder: holder.peer, signature };
    });
    const { got, failed } = await asked.until(quorumOf(all), 0);
    if (got.length < quorumOf(all)) throw this.#refused(fact, failed);
    return got;
  }

  /** Decides how the claim ended, durably; telling the holders is the resender's. */
  async #conclude(row: ClaimRow, outcome: Outcome, reason: string): Promise<void> {
    const { ledger, claims, together } = this.#options;
    const job = ledger.first('job', row.job);
    if (job === undefined) throw new InkmeshError('corrupt', `the job fact of ${row.job} is missing here`);
    const body: SettledBody = {
      epoch: 1,
      claim: row.claim,
      outcome,
      target: row.target,
      reason: printable(reason, maxReasonChars),
      receipts: row.receipts.map(({ holder, signature }) => [holder, signature]),
    };
    const { fact, record } = await ledger.sign(settledKind, () => job.doc, row.job, body);
    row.phase = 'ended';
    row.settlement = record;
    if (outcome === 'failed') return claims.put(row);
    try {
      await ledger.addWith(together, fact, record, () => claims.put(row));
      ledger.publish(fact, record);
    } catch (thrown) {
      // what is decided is told to the holders: their facts bring it back here
      claims.put(row);
      this.#options.log('error', 'a settlement cannot be kept', { job: row.job, reason: String(thrown) });
    }
  }

  #giveUp(row: ClaimRow): void {
    row.phase = 'ended';
    try {
      this.#options.claims.put(row);
    } catch (thrown) {
      // a full disk: the holders are told all the same, and again after a restart
      const fields = { job: row.job, reason: asInkmeshError(thrown).message };
      this.#options.log('error', 'a claim that is given up cannot be written', fields);
    }
  }

  #yield(row: ClaimRow): void {
    this.#giveUp(row);
    this.#resender.sendSoon(row);
  }

  /** Why a quorum was not to be had, in one sentence for the owner. */
  #refused(fact: Fact, failed: readonly { of: Holder; error: InkmeshError }[]): InkmeshError {
    const { nameOf } = this.#options;
    const held = failed.filter(({ error }) => error.code === 'busy' && error.about['claim'] !== undefined);
    const begun = held.filter(({ error }) => error.about['begun'] === 'true');
    const [by] = begun.length > 0 ? begun : held;
    if (by !== undefined) {
      const name = nameOf(by.error.about['claimant'] ?? '');
      const claims = [...new Set(begun.map(({ error }) => error.about['claim'] ?? ''))].join(',');
      const message = begun.length > 0
        ? `${name} is printing this job or was stopped while it did: look there, then --confirm-reprint ${claims}`
        : `${name} is releasing this job: try again in a moment`;
      return new InkmeshError('busy', message, { begun: String(begun.length > 0), claims, claimant: name });
    }
    const refusal = failed.find(({ error }) => error.code !== 'unavailable' && error.code !== 'timeout');
    if (refusal !== undefined) return refusal.error;
    const off = failed.find(({ error }) => error.about['relay'] === 'off');
    if (off !== undefined) return off.error;
    const asleep = failed.map(({ of }) => nameOf(of.peer));
    return new InkmeshError('unavailable', `waiting for ${asleep.join(' or ')} to wake up`, {
      holders: asleep.join(','),
      job: fact.subject,
    });
  }
}
