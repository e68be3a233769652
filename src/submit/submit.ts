/** The door by which every document comes in: it knows the source, and answers when three nodes hold the job. */
import { encode } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Fact, Mesh } from '../../mesh/mod.ts';
import { jobNumber, type Ticket } from '../job.ts';

/** Who submits: a user by credential, or by a submit token of theirs. */
export interface Source {
  user: string;
  /** SHA-256 of the token */
  token: Uint8Array | null;
}

/** Jobs are kept this long. */
const retention_ms = 8 * 3600_000;

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
   * Resolves when the job is accepted: durable on three nodes.
   * @param job a fresh UUID, see `newJobId`
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
      return await this.#mesh.acceptor.accept(
        { job, owner: source.user, submitter: source.token, ticket: encode(ticket), retention_ms },
        document,
        signal,
      );
    } finally {
      this.#active--;
    }
  }
}

/** A job id whose IPP job-id is a valid one. */
export function newJobId(): string {
  let id = crypto.randomUUID();
  while (jobNumber(id) === 0) id = crypto.randomUUID();
  return id;
}
