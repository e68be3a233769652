/**
 * What a node says of a job that may have come of a submission whose answer was lost, and that none comes of it later.
 *
 * The node that accepts a job can be told to leave it until it asks the first holder to seal it; from there on it says
 * `busy` until it has accepted the job or taken it back. So whoever has been told that there will be no job was told
 * before anybody could have a job fact, or is given the record of the withdrawal, and the death of that node brings no
 * job about.
 *
 * Any other node that is fenced off does not seal the job when it is asked to; it does when it hears of the job fact,
 * for then there is a job. A holder that has sealed says `busy` for as long as it keeps the job fact back: the node
 * that accepts the job is connected to it then, and may yet take the job back.
 */
import type { Trust } from './certificate.ts';
import { InkmeshError } from './errors.ts';
import { type Fact, idOf } from './facts.ts';
import { type JobBody, jobKind, withdrawnKind } from './job-facts.ts';
import { isJobIdOf } from './job-id.ts';
import type { FactLedger } from './ledger.ts';
import { maxFenced } from './limits.ts';
import { ownerWhoSent } from './permission.ts';
import type { Piece, PieceTable } from './ports.ts';
import type { FindReply, FindRequest } from './protocol.ts';

export interface FenceOptions {
  self: { peerId: string };
  trust: Trust;
  pieces: Pick<PieceTable, 'get'>;
  ledger: FactLedger;
  now_ms(): number;
  /** whether a job is on its way in: to its seal, at the node that accepts it */
  storing(job: string): boolean;
}

export class Fence {
  readonly #options: FenceOptions;
  /** jobs, of this run: who seals does it within seconds */
  readonly #off = new Set<string>();
  /** jobs that this node accepts, and has others seal or takes back */
  readonly #deciding = new Set<string>();
  /** seals that are on their way to the disk */
  readonly #sealing = new Map<string, Promise<void>>();

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  /**
   * The job fact, if there is a job; without one it is fenced off if that is asked for.
   * @throws InkmeshError `forbidden` when the proof is not the owner's; `busy` while it is not decided
   */
  async find(from: string, { job, proof, fence, over }: FindRequest): Promise<FindReply> {
    const { trust, ledger, pieces, self, now_ms } = this.#options;
    const owner = await ownerWhoSent(from, proof, trust, ledger, now_ms());
    for (let seal; (seal = this.#sealing.get(job)) !== undefined;) await seal.catch(() => {});
    // from here to the fence nothing else runs
    const fact = ledger.first(jobKind.name, job);
    const theirs = [pieces.get(job)?.owner, (fact?.body as JobBody | undefined)?.owner];
    if (theirs.some((other) => other !== undefined && other !== owner)) {
      throw new InkmeshError('forbidden', 'this job belongs to somebody else');
    }
    if (this.#deciding.has(job)) throw undecided();
    if (fact !== undefined) return await this.#replyOf(fact, over);
    if (fence) this.#putOff(job);
    const sure = fence && isJobIdOf(job, self.peerId) && this.#options.storing(job);
    return { fact: null, withdrawn: null, sure };
  }

  async #replyOf(job: Fact, over: boolean): Promise<FindReply> {
    const { ledger } = this.#options;
    // a withdrawal comes with its job fact, and is judged after it
    await ledger.caughtUp();
    const recordOf = (fact: Fact | undefined) => fact === undefined ? null : ledger.recordFor(fact) ?? null;
    const withdrawn = recordOf(ledger.latest(withdrawnKind.name, job.subject));
    const fact = recordOf(job);
    const keptBack = fact !== null && ledger.isHeldBack(idOf(fact));
    if (withdrawn === null && keptBack && !over) throw undecided();
    return { fact, withdrawn, sure: false };
  }

  /** @throws InkmeshError `conflict` for a job that is not to be sealed any more */
  refuse(job: string): void {
    if (this.#off.has(job)) throw new InkmeshError('conflict', 'the client has gone on at another node');
  }

  /**
   * For the node that accepts a job, before it has anybody seal it: from here on a fence comes too late.
   * @returns to be called when the job is accepted, or the record of its withdrawal is on disk
   * @throws InkmeshError `conflict` for a job that is fenced off
   */
  begin(job: string): () => void {
    this.refuse(job);
    this.#deciding.add(job);
    return () => this.#deciding.delete(job);
  }

  /**
   * Seals a piece, unless it is fenced off; what is said of its job meanwhile waits.
   * @param write begins at once
   * @throws InkmeshError `conflict` for a piece that is not to be sealed any more; what `write` throws
   */
  async seal(piece: Piece, write: () => Promise<void>): Promise<void> {
    if (!piece.sealed) this.refuse(piece.job);
    const seal = write();
    this.#sealing.set(piece.job, seal);
    try {
      await seal;
    } finally {
      if (this.#sealing.get(piece.job) === seal) this.#sealing.delete(piece.job);
    }
  }

  #putOff(job: string): void {
    if (this.#off.size >= maxFenced) this.#off.delete(this.#off.values().next().value!);
    this.#off.add(job);
  }
}

const undecided = () => new InkmeshError('busy', 'the job is being sealed: ask again in a moment');
