/**
 * A client goes on at this node with a submission that broke off at another: has a job come of it there? The node that
 * accepts a job seals it at the other holders first and at itself last. What this node's own facts tell is the answer;
 * else it asks:
 *
 *     1. that node. It says that there is a job, that it has taken the job back, that it has asked nobody to seal it and
 *        will not, or that it is at it: then it is asked again. It may know nothing, as it was started anew.
 *     2. if it does not answer: the nodes that may hold the job. A job fact at any of them is the job, unless a holder
 *        keeps it back while that node is connected to it: then it is asked again.
 *     3. if none of them has one, or that node knows nothing: they are told not to seal the job, and a job fact that
 *        came meanwhile is still the job. It is made known here, and so at once to the others.
 *
 * So "there is a job" is said of what its node has accepted, or does not take back any more as it is gone; "there is
 * none" of what that node was told to leave before anybody sealed it, of what is taken back here too from then on, and
 * of what no holder has sealed or will. Nobody's silence is an answer, and neither is a refusal: who asks tries again.
 *
 * What is left: when neither the node that accepted the job nor any holder that sealed it can be reached from here, but
 * another one can, the client's document is accepted a second time, and there are two jobs when those come back. The
 * same when a holder that was told in 3. is started anew and asked to seal after that. And a node that loses all others
 * between the seals takes the job back when it comes to itself, though a holder may have told of it meanwhile.
 */
import { asInkmeshError, InkmeshError } from './errors.ts';
import { type Fact, idOf } from './facts.ts';
import type { Holders } from './holder.ts';
import { type JobBody, jobKind, withdrawnKind } from './job-facts.ts';
import { jobIdFor } from './job-id.ts';
import type { FactLedger } from './ledger.ts';
import {
  findAgain_ms,
  findAnswer_ms,
  findPatience_ms,
  maxFindersAsked,
  maxResumedPerOwner,
} from './limits.ts';
import type { Clock, Log } from './ports.ts';
import type { FindReply, FindRequest } from './protocol.ts';
import { deadline, sleep } from './timing.ts';

export interface ResumptionOptions {
  self: { peerId: string };
  holders: Holders;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
  /** the nodes that may hold what another one accepts, the likeliest first, this one too */
  likelyHolders(author: string): string[];
  /** whether a member is connected */
  isLinked(peer: string): boolean;
}

/** A submission that a client sent to another node first. */
export interface BrokenOff {
  /** UUID */
  submission: string;
  /** who has signed the client's request */
  owner: string;
  /** PeerId of that node */
  author: string;
  /** the owner's signed request for this node, as `view` takes it */
  proof: string;
}

interface Asked extends BrokenOff {
  job: string;
}

/** What is known: the job, or that there is `none` and will be none. */
type Known = Fact | 'none';

/** What a node says: that, that it has no job fact, that it is not decided, or nothing, or that it does not answer this. */
type Told = Known | 'unknown' | 'busy' | 'silent' | 'refused';

export class Resumption {
  readonly #options: ResumptionOptions;
  /** how many submissions of each user are being asked for */
  readonly #owners = new Map<string, number>();

  constructor(options: ResumptionOptions) {
    this.#options = options;
  }

  /**
   * The job that has come of a submission; when there is none, none comes of it later.
   * @throws InkmeshError `unavailable` when that cannot be told now; `busy` for too many at once
   */
  async jobOf(asked: BrokenOff): Promise<Fact | undefined> {
    const { clock } = this.#options;
    const job = jobIdFor(asked.author, asked.owner, asked.submission);
    const leave = this.#enter(asked.owner);
    try {
      const until_ms = clock.monotonic_ms() + findPatience_ms;
      for (;;) {
        const known = await this.#look({ ...asked, job });
        if (known !== undefined) return known === 'none' ? undefined : known;
        if (clock.monotonic_ms() > until_ms) throw unclear();
        await sleep(clock, findAgain_ms);
      }
    } finally {
      leave();
    }
  }

  #enter(owner: string): () => void {
    const others = this.#owners.get(owner) ?? 0;
    if (others >= maxResumedPerOwner) {
      throw new InkmeshError('busy', 'too many documents of yours go on here at once: try again in a moment');
    }
    this.#owners.set(owner, others + 1);
    return () => {
      const rest = (this.#owners.get(owner) ?? 1) - 1;
      if (rest === 0) this.#owners.delete(owner);
      else this.#owners.set(owner, rest);
    };
  }

  /** @returns undefined while it is not decided */
  async #look(asked: Asked): Promise<Known | undefined> {
    const { self, ledger, likelyHolders } = this.#options;
    const here = await this.#known(asked);
    if (here !== undefined) return here;
    // anybody may name any PeerId: only nodes of this organisation are looked for
    const isNode = ledger.identity(asked.author) !== undefined;
    const told = isNode ? await this.#ask(asked.author, asked, { fence: true, over: false }) : 'silent';
    if (told !== 'silent' && told !== 'unknown') return conclude([told]).known;
    const over = told === 'unknown';
    let others = likelyHolders(asked.author).slice(0, maxFindersAsked);
    const isAlone = others.every((peer) => peer === self.peerId);
    if (!over) {
      const seen = await Promise.all(
        others.map((peer) => this.#ask(peer, asked, { fence: false, over })),
      );
      const { decided, known } = conclude(seen);
      if (decided) return known;
      others = others.filter((_, i) => seen[i] !== 'silent');
      if (!isAlone && others.every((peer) => peer === self.peerId)) throw unclear();
    }
    const fenced = await Promise.all(others.map((peer) => this.#ask(peer, asked, { fence: true, over })));
    const { decided, known } = conclude(fenced);
    if (decided) return known;
    // who has just answered may be asked to seal, and was not told
    return !over && fenced.includes('silent') ? undefined : 'none';
  }

  /** What the facts of this node say. */
  async #known({ job, owner }: Asked): Promise<Known | undefined> {
    const { ledger } = this.#options;
    const fact = ledger.first(jobKind.name, job);
    if (fact === undefined || (fact.body as JobBody).owner !== owner) return undefined;
    // a withdrawal comes with its job fact, and is judged after it
    await ledger.caughtUp();
    if (ledger.latest(withdrawnKind.name, job) !== undefined) return 'none';
    const record = ledger.recordFor(fact);
    return record === undefined || ledger.isHeldBack(idOf(record)) ? undefined : fact;
  }

  async #ask(peer: string, asked: Asked, how: Pick<FindRequest, 'fence' | 'over'>): Promise<Told> {
    const { holders, clock, log, self, isLinked } = this.#options;
    const { job, proof, author } = asked;
    const { signal, done } = deadline(clock, findAnswer_ms);
    let reply: FindReply;
    try {
      reply = await holders(peer).find({ job, proof, ...how }, signal);
    } catch (thrown) {
      const { code, message: reason } = asInkmeshError(thrown);
      if (code === 'busy') return 'busy';
      log('info', 'a node does not say what became of a submission', { peer, job, reason });
      const isGone = code === 'unavailable' || code === 'timeout';
      // whoever shuts this node out, or is shut out, cannot be reached
      return isGone || (peer !== self.peerId && !isLinked(peer)) ? 'silent' : 'refused';
    } finally {
      done();
    }
    if (reply.fact === null) return reply.sure && peer === author ? 'none' : 'unknown';
    try {
      return await this.#learn(asked, reply.fact, reply.withdrawn);
    } catch (thrown) {
      const { code, message: reason } = asInkmeshError(thrown);
      log('warn', 'what a node says of a submission is not so, or not clear yet', { peer, job, reason });
      // the certificate that it rests on is on its way
      return code === 'unavailable' ? 'busy' : 'silent';
    }
  }

  /** A holder keeps a job fact back while its author may still be at it: from here it goes to all at once. */
  async #learn(
    { job, owner }: Asked,
    record: Uint8Array,
    withdrawn: Uint8Array | null,
  ): Promise<Known> {
    const { ledger } = this.#options;
    const fact = await ledger.judge(record);
    if (fact.kind !== jobKind.name || fact.subject !== job || (fact.body as JobBody).owner !== owner) {
      throw new InkmeshError('bad-request', 'this is another job’s fact');
    }
    // what was taken back is never told of alone
    ledger.add(fact, record, withdrawn !== null);
    if (withdrawn !== null) {
      const back = await ledger.judge(withdrawn);
      if (back.kind !== withdrawnKind.name || back.subject !== job) {
        throw new InkmeshError('bad-request', 'this is another job’s fact');
      }
      ledger.add(back, withdrawn);
      ledger.publish(back, withdrawn);
    }
    ledger.publish(fact, record);
    await ledger.caughtUp();
    return ledger.latest(withdrawnKind.name, job) === undefined ? fact : 'none';
  }
}

/**
 * What several nodes say together: one that knows is enough.
 * @returns not decided when none has a job fact, and none knows that there will be none
 * @throws InkmeshError `unavailable` when one may know, and does not say
 */
function conclude(told: readonly Told[]): { decided: boolean; known?: Known } {
  const isJob = (one: Told): one is Fact => typeof one === 'object';
  const known = told.find(isJob) ?? told.find((one) => one === 'none');
  if (known !== undefined) return { decided: true, known };
  if (told.includes('refused')) throw unclear();
  return { decided: told.includes('busy') };
}

const unclear = () =>
  new InkmeshError(
    'unavailable',
    'it is not known yet what became of the document at another node: look for it before you print again',
  );
