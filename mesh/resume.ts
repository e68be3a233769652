/**
 * A client goes on at this node with a submission that broke off at another: has a job come of it there? The node that
 * accepts a job seals it at the other holders first and at itself last, so:
 *
 *     1. it answers that it has a job fact, or that it knows of none: it had the job on its way in and will not seal it
 *        any more, or has taken it back. That is the answer.
 *     2. it does not answer, or has been started anew: a job fact at any holder is the job. It is made known here, and
 *        so at once to the others.
 *     3. no holder has one: they are told not to seal the job, and a job fact that came meanwhile is still the job.
 *
 * What is left: when neither the node that accepted the job nor any holder that sealed it can be reached from here, the
 * client's document is accepted a second time, and there are two jobs when those come back. The same if the node that
 * cannot be reached from here still reaches the holders, and some seal between 2. and 3., or a holder that was told in 3.
 * is started anew in between. And a job that is found in 2. while that node is still sealing it, which it does for some
 * seconds, is taken back after all if it fails there.
 */
import { asInkmeshError, InkmeshError } from './errors.ts';
import type { Fact } from './facts.ts';
import type { Holders } from './holder.ts';
import { type JobBody, jobKind, withdrawnKind } from './job-facts.ts';
import { jobIdFor } from './job-id.ts';
import type { FactLedger } from './ledger.ts';
import { findAnswer_ms, maxFindersAsked } from './limits.ts';
import type { Clock, Log } from './ports.ts';
import type { FindRequest } from './protocol.ts';
import { deadline } from './timing.ts';

export interface ResumptionOptions {
  holders: Holders;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
  /** the nodes that may hold what another one accepts, the likeliest first, this one too */
  likelyHolders(author: string): string[];
}

/** A submission that a client sent to another node first. */
export interface BrokenOff {
  /** UUID */
  submission: string;
  owner: string;
  /** PeerId of that node */
  author: string;
  /** the owner's signed request for this node, as `view` takes it */
  proof: string;
}

interface Told {
  fact: Fact | undefined;
  sure: boolean;
}

export class Resumption {
  readonly #options: ResumptionOptions;

  constructor(options: ResumptionOptions) {
    this.#options = options;
  }

  /** The job that has come of a submission; when there is none, none comes of it later. */
  async jobOf({ submission, owner, author, proof }: BrokenOff): Promise<Fact | undefined> {
    const job = jobIdFor(author, owner, submission);
    const ask = (peer: string, fence: boolean) => this.#ask(peer, { job, proof, fence }, owner);
    const told = await ask(author, true);
    if (told?.fact !== undefined || told?.sure) return told.fact;
    const others = this.#options.likelyHolders(author).slice(0, maxFindersAsked);
    const seen = await Promise.all(others.map((peer) => ask(peer, false)));
    const found = seen.find((one) => one?.fact !== undefined)?.fact;
    if (found !== undefined) return found;
    const awake = others.filter((_, i) => seen[i] !== undefined);
    const fenced = await Promise.all(awake.map((peer) => ask(peer, true)));
    return fenced.find((one) => one?.fact !== undefined)?.fact;
  }

  /** @returns undefined when the node does not say */
  async #ask(peer: string, request: FindRequest, owner: string): Promise<Told | undefined> {
    const { holders, clock, log } = this.#options;
    const { signal, done } = deadline(clock, findAnswer_ms);
    try {
      const { fact, sure } = await holders(peer).find(request, signal);
      return { fact: fact === null ? undefined : await this.#learn(request.job, owner, fact), sure };
    } catch (thrown) {
      const reason = asInkmeshError(thrown).message;
      log('info', 'a node does not say what became of a submission', { peer, job: request.job, reason });
      return undefined;
    } finally {
      done();
    }
  }

  /** A holder keeps a job fact back while its author may still be at it: from here it goes to all at once. */
  async #learn(job: string, owner: string, record: Uint8Array): Promise<Fact | undefined> {
    const { ledger } = this.#options;
    const fact = await ledger.judge(record);
    if (fact.kind !== jobKind.name || fact.subject !== job || (fact.body as JobBody).owner !== owner) {
      throw new InkmeshError('bad-request', 'this is another job’s fact');
    }
    if (ledger.latest(withdrawnKind.name, job) !== undefined) return undefined;
    ledger.add(fact, record);
    ledger.publish(fact, record);
    return fact;
  }
}
