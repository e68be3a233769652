/** The door by which every document comes in: it knows the source, and answers when the job's holders have it. */
import { encode } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { type Fact, type Mesh, submitterOf } from '../../mesh/mod.ts';
import { jobNumber, type Ticket } from '../job.ts';

/** Who submits: a user by credential, or by a submit token of theirs. */
export interface Source {
  user: string;
  /** a secret: only what submitterOf makes of it goes further */
  token: string | null;
}

export class SubmitDoor {
  readonly #mesh: Mesh;
  #active = 0;
  #closed = false;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  /** Submissions under way. */
  get active(): number {
    return this.#active;
  }

  /** Takes no more; what is under way goes on. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Resolves when the job is accepted: durable on its holders.
   * @param job an id of `newJobId`
   * @throws InkmeshError; then no trace of the job is left
   */
  async submit(
    source: Source,
    job: string,
    ticket: Ticket,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<Fact> {
    if (this.#closed) throw new InkmeshError('unavailable', 'this node is stopping: print again in a moment');
    this.#active++;
    try {
      const submitter = source.token === null ? null : submitterOf(source.token, job);
      return await this.#mesh.acceptor.accept(
        { job, owner: source.user, submitter, ticket: encode(ticket) },
        document,
        signal,
      );
    } finally {
      this.#active--;
    }
  }
  /** A job id whose IPP job-id is a valid one, and none of `taken`. */
  newJobId(taken: ReadonlySet<number> = new Set()): string {
    for (;;) {
      const id = this.#mesh.acceptor.newJobId();
      if (jobNumber(id) !== 0 && !taken.has(jobNumber(id))) return id;
    }
  }
}
