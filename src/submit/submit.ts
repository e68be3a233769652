/** The door by which every document comes in: it knows the source, and answers when the job's holders have it. */
import { encode } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { type Fact, type Mesh, submitterOf } from '../../mesh/mod.ts';
import type { Audit } from '../audit.ts';
import { jobNumber, type Ticket } from '../job.ts';
import { submitLimits } from '../limits.ts';
import type { Recheck } from './recheck.ts';
import type { Source, Sources } from './source.ts';

export interface SubmitOptions {
  mesh: Mesh;
  sources: Sources;
  recheck: Recheck;
  audit: Audit;
}

export class SubmitDoor {
  readonly #options: SubmitOptions;
  readonly #coming = new Map<string, number>();
  #active = 0;
  #closed = false;

  constructor(options: SubmitOptions) {
    this.#options = options;
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
   * @throws InkmeshError, `busy` when this source sends too many at once; then no trace of the job is left
   */
  async submit(
    source: Source,
    job: string,
    ticket: Ticket,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<Fact> {
    if (this.#closed) throw stopping();
    const { mesh, sources, recheck, audit } = this.#options;
    const leave = this.#enter('token' in source ? source.token : source.device);
    this.#active++;
    try {
      const confirmed = await sources.confirm(source);
      const remembered = !confirmed && recheck.remember(job, source);
      try {
        const submitter = 'token' in source ? submitterOf(source.token, job) : null;
        const wanted = { job, owner: source.user, submitter, ticket: encode(ticket) };
        const fact = await mesh.acceptor.accept(wanted, document, signal);
        const by = 'token' in source ? 'a submit token' : `device ${source.device}`;
        const offline = confirmed ? '' : ', judged offline';
        const detail = `job ${job} by ${by}${offline}`;
        audit.record({ what: 'submitted', who: source.user, from: source.address, detail });
        return fact;
      } catch (thrown) {
        if (remembered) recheck.forget(job);
        throw thrown;
      }
    } finally {
      this.#active--;
      leave();
    }
  }

  /** Nobody takes all of a node's places with one device. */
  #enter(source: string): () => void {
    const before = this.#coming.get(source) ?? 0;
    if (before >= submitLimits.maxAtOnce) {
      throw new InkmeshError('busy', 'this device sends too many documents at once: try again in a moment');
    }
    this.#coming.set(source, before + 1);
    return () => {
      const left = (this.#coming.get(source) ?? 1) - 1;
      if (left > 0) this.#coming.set(source, left);
      else this.#coming.delete(source);
    };
  }

  /** @throws InkmeshError when no job can be taken now, as `submit` would after its document has come */
  async ready(): Promise<void> {
    if (this.#closed) throw stopping();
    await this.#options.mesh.acceptor.ready();
  }

  /** A job id whose IPP job-id is a valid one, and none of `taken`. */
  newJobId(taken: ReadonlySet<number> = new Set()): string {
    for (;;) {
      const id = this.#options.mesh.acceptor.newJobId();
      if (jobNumber(id) !== 0 && !taken.has(jobNumber(id))) return id;
    }
  }
}

const stopping = () => new InkmeshError('unavailable', 'this node is stopping: print again in a moment');
