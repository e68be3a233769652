/**
 * Accepting a job: the envelope grows in this node's spool while the document arrives, and follows from there to
 * two other nodes, each at its own pace; one that dies or lags is replaced from the start. When all three have
 * envelope, ticket and share on disk the job fact is signed and sealed at each; only then is the job accepted.
 * Where there is no third, its share is sealed for a machine that is asleep, and the two keep it until that wakes.
 */
import { encryptEnvelope, keyBytes } from './envelope.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import { type Fact, jobsDoc } from './facts.ts';
import type { Custody } from './custody.ts';
import { Growing, hurried, untilAborted } from './growing.ts';
import type { Holders } from './holder.ts';
import { handedDigest, type JobBody, jobKind, withdrawnKind } from './job-facts.ts';
import { jobIdFor, newJobId } from './job-id.ts';
import type { FactLedger } from './ledger.ts';
import { acceptLimits, holdersPerJob, maxDocumentBytes } from './limits.ts';
import { degradedBy } from './placement.ts';
import { policyOf } from './policy.ts';
import type { Clock, Log, Spool } from './ports.ts';
import type { StoreRequest } from './protocol.ts';
import { sealFor } from './seal.ts';
import { isUndecided, Sealing } from './sealing.ts';
import { splitKey } from './shares.ts';
import { Slots } from './slots.ts';
import type { Submitter } from './submit-token.ts';

export interface StoreOptions {
  self: { peerId: string; site: string };
  custody: Custody;
  holders: Holders;
  spool: Spool;
  ledger: FactLedger;
  clock: Clock;
  /** agreed with the peers */
  now_ms(): number;
  log: Log;
  /** connected members that can hold a job, best first, without this node */
  candidates(job: string): string[];
  /** all other nodes of this site that may hold the job, awake or not, best first */
  enrolled(job: string): string[];
}

export interface NewJob {
  /** an id of `newJobId` */
  job: string;
  owner: string;
  submitter: Submitter | null;
  ticket: Uint8Array;
}

/** Who keeps a job. */
interface Placed {
  /** awake, this node first */
  peers: string[];
  degraded: JobBody['degraded'];
  sleeper: string | null;
  /** the sleeper's share, sealed for it */
  handoff: Uint8Array | null;
}

export class Acceptor {
  readonly #options: StoreOptions;
  readonly #slots: Slots;
  readonly #sealing: Sealing;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#slots = new Slots(acceptLimits, options.clock);
    this.#sealing = new Sealing(options);
  }

  close(): void {
    this.#sealing.close();
  }

  /** A fresh id of a job that this node accepts. */
  newJobId(): string {
    return newJobId(this.#options.self.peerId);
  }

  /** The id of the job that this node makes of a submission, the same every time. @param submission UUID */
  jobIdFor(owner: string, submission: string): string {
    return jobIdFor(this.#options.self.peerId, owner, submission);
  }

  /**
   * Resolves when a job would be taken now: what keeps it from being taken is heard before its document comes.
   * @throws InkmeshError as `accept` does
   */
  async ready(): Promise<void> {
    const { spool, candidates, self, custody } = this.#options;
    const job = this.newJobId();
    this.#degraded(job, [self.peerId, ...candidates(job)]);
    const free = custody.reserve(self.peerId, job);
    try {
      await (await spool.create(job)).abort();
    } catch (thrown) {
      throw this.#told(thrown);
    } finally {
      free();
    }
  }

  /**
   * Resolves when the job's holders have it durably and it is known.
   * @param document octets in pieces of any size; read as fast as it can be encrypted and written
   * @throws InkmeshError `unavailable` when there are too few holders, `busy` when too many documents come in at
   *   once: then no trace of the job is left, but for what `Sealing.seal` leaves open; `conflict` when the client has
   *   gone on elsewhere
   */
  async accept(job: NewJob, document: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Fact> {
    const { custody, self } = this.#options;
    // before it waits in line: who asks what became of it is told that nothing will (fence.ts)
    const free = custody.reserve(self.peerId, job.job);
    try {
      custody.fence.refuse(job.job);
      const leave = await this.#slots.take(signal);
      try {
        return await this.#accept(job, document, signal);
      } finally {
        leave();
      }
    } finally {
      free();
    }
  }

  async #accept(job: NewJob, document: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Fact> {
    const { spool, candidates, self, custody } = this.#options;
    const others = candidates(job.job);
    const alone = this.#degraded(job.job, [self.peerId, ...others]) === 'one';
    const key = crypto.getRandomValues(new Uint8Array(keyBytes));
    const growing = new Growing(
      await spool.create(job.job).catch((error) => {
        throw this.#told(error);
      }),
    );
    const stop = new AbortController();
    const shares = await splitKey(key);
    try {
      const spread = this.#spread(growing, job, shares.slice(1), alone ? [] : others, stop.signal);
      spread.catch((reason) => stop.abort(reason));
      const either = AbortSignal.any([signal, stop.signal]);
      const bytes = await this.#write(
        growing,
        key,
        job.job,
        hurried(document, this.#slots, this.#options.clock, stop),
        either,
      );
      const own = alone ? await this.#sealedFor(self.peerId, key) : shares[0];
      await custody.keep(self.peerId, pieceOf(job, own), growing.writer);
      const placed = await spread;
      // the last moment at which a client that has gone or cancelled leaves no job behind
      signal.throwIfAborted();
      return await this.#seal(job, bytes, placed);
    } catch (thrown) {
      stop.abort();
      growing.changed('failed');
      const error = this.#told(thrown);
      if (!isUndecided(error)) {
        await growing.writer.abort();
        await this.#abandon(job.job, others);
      }
      throw error;
    } finally {
      for (const secret of [key, ...shares]) secret.fill(0);
      await growing.writer.close().catch(() => {});
    }
  }

  /** What went wrong here, as whoever prints is told it, on another machine perhaps. */
  #told(thrown: unknown): InkmeshError {
    const error = asInkmeshError(thrown);
    return error.about['full'] === undefined ? error : noneLeft([this.#nameOf(this.#options.self.peerId)]);
  }

  #nameOf(peer: string): string {
    return this.#options.ledger.identity(peer)?.name ?? peer;
  }

  /** @param awake PeerIds, this node's among them */
  #degraded(job: string, awake: readonly string[]): JobBody['degraded'] {
    const { self, enrolled, ledger } = this.#options;
    // with three awake nobody is asked for: who is enrolled is a list to be sorted
    const isEnough = awake.length >= holdersPerJob;
    const asleep = isEnough ? 0 : enrolled(job).filter((peer) => !awake.includes(peer)).length;
    return degradedBy({
      ...{ site: self.site, awake: awake.length, asleep, policy: policyOf(ledger, self.site) },
    });
  }

  async #sealedFor(peer: string, secret: Uint8Array): Promise<Uint8Array> {
    const recipient = this.#options.ledger.sealOf(peer);
    if (recipient === undefined) throw new InkmeshError('unavailable', 'nothing can be sealed for this node');
    return await sealFor(recipient, secret);
  }

  /** Encrypts the document into the spool. @returns octets of the document */
  async #write(
    growing: Growing,
    key: Uint8Array,
    job: string,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<number> {
    let bytes = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const part of untilAborted(document, signal)) {
        bytes += part.length;
        if (bytes > maxDocumentBytes) throw new InkmeshError('too-large', 'the document is too large');
        yield part;
      }
      if (bytes === 0) throw new InkmeshError('bad-request', 'the document is empty');
    }
    for await (const part of headed(encryptEnvelope(key, job, counted()))) {
      await growing.writer.write(part);
      growing.changed();
    }
    growing.changed('whole');
    await growing.writer.finish();
    return bytes;
  }

  /** Keeps each share on another one of the candidates, as far as they go; a share that is left is for a sleeper. */
  async #spread(
    growing: Growing,
    job: NewJob,
    shares: readonly Uint8Array[],
    candidates: string[],
    stop: AbortSignal,
  ): Promise<Placed> {
    const some = candidates.length > 0;
    const tried = new Map<string, Uint8Array>();
    const full: string[] = [];
    const follow = async (share: Uint8Array) => {
      for (let peer = candidates.shift(); peer !== undefined; peer = candidates.shift()) {
        tried.set(peer, share);
        const failure = await this.#follow(growing, pieceOf(job, share), peer, stop);
        if (failure === undefined) return peer;
        if (failure.about['full'] !== undefined) full.push(this.#nameOf(peer));
      }
      return undefined;
    };
    const found = await Promise.all(shares.map(follow));
    const peers = [this.#options.self.peerId, ...found.flatMap((peer) => peer ?? [])];
    const left = shares.find((_, i) => found[i] === undefined);
    if (some && peers.length === 1) throw noneLeft(full);
    const degraded = this.#degraded(job.job, peers);
    if (degraded !== 'handoff' || left === undefined) {
      return { peers, degraded, sleeper: null, handoff: null };
    }
    // one that may have kept another share already would have two of them
    const mayHave = (peer: string) => !peers.includes(peer) && (tried.get(peer) ?? left) === left;
    for (const sleeper of this.#options.enrolled(job.job).filter(mayHave)) {
      try {
        return { peers, degraded, sleeper, handoff: await this.#sealedFor(sleeper, left) };
      } catch (thrown) {
        const reason = asInkmeshError(thrown).message;
        this.#options.log('warn', 'nothing can be sealed for a node', { peer: sleeper, reason });
      }
    }
    throw new InkmeshError('unavailable', 'a machine dropped out and no other can stand in: print again');
  }

  /** Keeps one share on one node. @returns why it is not there, if it is not */
  async #follow(
    growing: Growing,
    piece: StoreRequest,
    peer: string,
    stop: AbortSignal,
  ): Promise<InkmeshError | undefined> {
    const holder = this.#options.holders(peer);
    try {
      await holder.store(piece, growing.follow(), stop);
      return undefined;
    } catch (thrown) {
      const error = asInkmeshError(thrown);
      if (stop.aborted) throw error;
      this.#options.log('warn', 'a holder is replaced', { job: piece.job, peer, reason: error.message });
      holder.abandon({ job: piece.job }).catch(() => {});
      return error;
    }
  }

  async #seal(job: NewJob, bytes: number, { peers, degraded, sleeper, handoff }: Placed): Promise<Fact> {
    const { ledger, self, now_ms } = this.#options;
    const { submitter, ticket } = job;
    const body = {
      ...{ owner: job.owner, bytes, epoch: 1, degraded, sleeper },
      holders: sleeper === null ? peers : [...peers, sleeper],
      expires_ms: now_ms() + policyOf(ledger, self.site).retention_ms,
      handed: handoff === null ? null : handedDigest({ submitter, ticket, handoff }),
    } as JobBody;
    const { fact, record } = await ledger.sign(
      jobKind,
      (time_ms) => jobsDoc(self.site, time_ms),
      job.job,
      body,
    );
    await this.#sealing.seal({ fact, record, handoff }, peers.filter((peer) => peer !== self.peerId));
    return fact;
  }

  /**
   * Takes back a job that this node has accepted: holders erase it, unless a claim is open.
   * @throws InkmeshError `not-found` for a job that it has not accepted
   */
  async withdraw(job: string): Promise<void> {
    const { ledger, self } = this.#options;
    const fact = ledger.first(jobKind.name, job);
    if (fact?.author !== self.peerId) throw new InkmeshError('not-found', 'this node has no such job');
    await ledger.state(withdrawnKind, () => fact.doc, job, {});
  }

  async #abandon(job: string, untried: readonly string[]): Promise<void> {
    const { custody, self, holders, candidates } = this.#options;
    await custody.abandon(self.peerId, { job }).catch(() => {});
    const tried = candidates(job).filter((peer) => !untried.includes(peer));
    await Promise.allSettled(tried.map((peer) => holders(peer).abandon({ job })));
  }
}

/** @param full names of the machines that had no room */
function noneLeft(full: readonly string[]): InkmeshError {
  const message = full.length === 0
    ? 'a machine dropped out and no other can be reached: print again'
    : `${full.join(' and ')} ${full.length === 1 ? 'has' : 'have'} no room for documents: ` +
      'release or cancel what waits there, or free some space';
  return new InkmeshError('unavailable', message);
}

/** The same octets, the header with the first chunk: most documents are a single write then. */
async function* headed(envelope: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let header: Uint8Array | undefined;
  for await (const part of envelope) {
    if (header === undefined) header = part;
    else if (header.length === 0) yield part;
    else {
      yield Buffer.concat([header, part]);
      header = new Uint8Array(0);
    }
  }
}

function pieceOf(job: NewJob, share: Uint8Array): StoreRequest {
  const { owner, submitter, ticket } = job;
  return { job: job.job, epoch: 1, owner, submitter, ticket, share };
}
