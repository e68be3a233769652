/** Jobs that can still take a document, and those that have taken several. In memory only: what is stored stands by itself. */
import { InkmeshError } from '../../mesh/errors.ts';
import { remember } from '../../mesh/remember.ts';
import { jobNumber, type Ticket } from '../job.ts';
import { submitLimits } from '../limits.ts';

const { maxKnownJobs } = submitLimits;

/** A job from its creation to its last document. */
export interface OpenJob {
  /** UUID, lower case */
  readonly id: string;
  readonly token: string;
  ticket: Ticket;
  readonly created: Date;
  /** performance.now() of its creation, or of its latest document */
  touched_ms: number;
  /** a document is on the way; such a job does not time out */
  incoming: boolean;
  /** what its documents are stored as: the first one as the job itself */
  readonly documents: string[];
  readonly cancelled: AbortController;
}

export interface AbortedJob {
  readonly job: OpenJob;
  readonly reason: string;
}

/**
 * Bounded in number for each token and in all, and in time: a job that waits for too long is closed with the documents
 * that it has (`process-job`, RFC 8011 section 5.4.31), and is gone when it has none.
 */
export class OpenJobs {
  readonly #jobs = new Map<string, OpenJob>();
  /** what the users of jobs call themselves, the oldest job first */
  readonly #names = new Map<string, string>();
  /** by their first document, the oldest first */
  readonly #sets = new Map<string, { token: string; documents: readonly string[] }>();
  /** those whose first document was refused, the oldest first: whoever has their number can see why */
  readonly #aborted = new Map<string, AbortedJob>();
  readonly #newJobId: (taken: ReadonlySet<number>) => string;

  /** @param newJobId an id whose number is none of those taken */
  constructor(newJobId: (taken: ReadonlySet<number>) => string) {
    this.#newJobId = newJobId;
  }

  /**
   * @param name requesting-user-name: several people may share a token
   * @throws InkmeshError `busy` when there are too many
   */
  add(token: string, ticket: Ticket, name: string | undefined): OpenJob {
    this.#sweep();
    const own = this.of(token);
    if (this.#jobs.size >= submitLimits.maxOpenJobs || own.length >= submitLimits.maxOpenJobsPerToken) {
      throw new InkmeshError('busy', 'too many jobs are being submitted at once: try again in a moment');
    }
    const job: OpenJob = {
      id: this.#newId(token),
      token,
      ticket,
      created: new Date(),
      touched_ms: performance.now(),
      incoming: false,
      documents: [],
      cancelled: new AbortController(),
    };
    this.#jobs.set(job.id, job);
    if (name !== undefined) remember(this.#names, job.id, name, maxKnownJobs);
    return job;
  }

  /** Whether a job was submitted by who called themselves so, as far as is known. It grants nothing to anybody. */
  isBy(id: string, name: string): boolean {
    return (this.#names.get(id) ?? name) === name;
  }

  /** The id that the next document of a job is stored as. */
  documentId(job: OpenJob): string {
    return job.documents.length === 0 ? job.id : this.#newId(job.token);
  }

  /** A document of a job is stored. */
  stored(job: OpenJob, id: string): void {
    job.documents.push(id);
    job.touched_ms = performance.now();
    if (job.documents.length === 1) return;
    remember(this.#sets, job.id, { token: job.token, documents: job.documents }, maxKnownJobs);
  }

  of(token: string): OpenJob[] {
    this.#sweep();
    return [...this.#jobs.values()].filter((job) => job.token === token);
  }

  /** The closed jobs of several documents, as the ids of these. */
  sets(token: string): (readonly string[])[] {
    return [...this.#sets].filter(([id, set]) => set.token === token && !this.#jobs.has(id))
      .map(([, set]) => set.documents);
  }

  remove(job: OpenJob): void {
    this.#jobs.delete(job.id);
  }

  /** @param reason for people */
  abort(job: OpenJob, reason: string): void {
    this.remove(job);
    remember(this.#aborted, job.id, { job, reason }, maxKnownJobs);
  }

  aborted(token: string): AbortedJob[] {
    return [...this.#aborted.values()].filter(({ job }) => job.token === token);
  }

  #newId(token: string): string {
    return this.#newJobId(
      new Set(this.of(token).flatMap((job) => [job.id, ...job.documents].map(jobNumber))),
    );
  }

  #sweep(): void {
    const oldest = performance.now() - submitLimits.openJob_ms;
    for (const job of this.#jobs.values()) {
      if (!job.incoming && job.touched_ms < oldest) this.#jobs.delete(job.id);
    }
  }
}
