/**
 * What a node says of a job that may have come of a submission whose answer was lost, and that none comes of it later:
 * a job that is fenced off is not sealed any more, and without every seal there is no job. Nothing of it is erased, for
 * the job fact may be on its way from another holder, and then the job is whole.
 */
import type { Trust } from './certificate.ts';
import { InkmeshError } from './errors.ts';
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
  /** seals that are on their way to the disk */
  readonly #sealing = new Map<string, Promise<void>>();

  constructor(options: FenceOptions) {
    this.#options = options;
  }

  /**
   * The job fact, if there is a job; without one it is fenced off if that is asked for.
   * @throws InkmeshError `forbidden` when the proof is not the owner's
   */
  async find(from: string, { job, proof, fence }: FindRequest): Promise<FindReply> {
    const { trust, ledger, pieces, self, now_ms } = this.#options;
    const owner = await ownerWhoSent(from, proof, trust, ledger, now_ms());
    for (let seal; (seal = this.#sealing.get(job)) !== undefined;) await seal.catch(() => {});
    // from here to the fence nothing else runs
    const piece = pieces.get(job);
    const fact = ledger.first(jobKind.name, job);
    const theirs = [piece?.owner, (fact?.body as JobBody | undefined)?.owner];
    if (theirs.some((other) => other !== undefined && other !== owner)) {
      throw new InkmeshError('forbidden', 'this job belongs to somebody else');
    }
    const withdrawn = ledger.latest(withdrawnKind.name, job) !== undefined;
    if (fact !== undefined && !withdrawn) return { fact: ledger.recordFor(fact) ?? null, sure: false };
    const underWay = this.#options.storing(job);
    if (fence && (piece !== undefined || underWay)) this.#putOff(job);
    // after a restart it knows nothing of what it has had others seal
    const sure = isJobIdOf(job, self.peerId) && (withdrawn || (fence && underWay));
    return { fact: null, sure };
  }

  #refuse({ job, sealed }: Piece): void {
    if (!sealed && this.#off.has(job)) {
      throw new InkmeshError('conflict', 'the client has gone on at another node');
    }
  }

  /**
   * Seals a piece, unless it is fenced off; what is said of its job meanwhile waits.
   * @param write begins at once
   * @throws InkmeshError `conflict` for a piece that is not to be sealed any more; what `write` throws
   */
  async seal(piece: Piece, write: () => Promise<void>): Promise<void> {
    this.#refuse(piece);
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
