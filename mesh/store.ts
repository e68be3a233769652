/**
 * Accepting a job: the envelope grows in this node's spool while the document arrives, and follows from there to
 * two other nodes, each at its own pace; one that dies or lags is replaced from the start. When all three have
 * envelope, ticket and share on disk the job fact is signed and sealed at each; only then is the job accepted.
 */
import { encryptEnvelope, keyBytes } from './envelope.ts';
import { asInkmeshError, InkmeshError } from './errors.ts';
import { type Fact, jobsDoc } from './facts.ts';
import type { Custody } from './custody.ts';
import type { Holder, Holders } from './holder.ts';
import { type JobBody, jobKind, withdrawnKind } from './job-facts.ts';
import type { FactLedger } from './ledger.ts';
import {
  holdersPerJob,
  maxBodyFrameBytes,
  maxDocumentBytes,
  sealPatience_ms,
  sealRetry_ms,
} from './limits.ts';
import type { Clock, Log, Spool, SpoolWriter } from './ports.ts';
import type { StoreRequest } from './protocol.ts';
import { splitKey } from './shares.ts';
import { sleep } from './timing.ts';

export interface StoreOptions {
  self: { peerId: string; site: string };
  custody: Custody;
  holders: Holders;
  spool: Spool;
  ledger: FactLedger;
  clock: Clock;
  log: Log;
  /** connected members that can hold a job, best first, without this node */
  candidates(): string[];
}

export interface NewJob {
  job: string;
  owner: string;
  submitter: Uint8Array | null;
  ticket: Uint8Array;
  retention_ms: number;
}

/** What grows: the local envelope, and whether it is whole. Followers wait on it. */
class Growing {
  readonly writer: SpoolWriter;
  #state: 'growing' | 'whole' | 'failed' = 'growing';
  #waiting: (() => void)[] = [];

  constructor(writer: SpoolWriter) {
    this.writer = writer;
  }

  changed(state: 'growing' | 'whole' | 'failed' = 'growing'): void {
    this.#state = state;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** The envelope from its start, as it grows; ends when it is whole. */
  async *follow(): AsyncGenerator<Uint8Array> {
    for (let at = 0;;) {
      if (this.#state === 'failed') {
        throw new InkmeshError('unavailable', 'the document did not arrive whole');
      }
      const ready = this.writer.bytes - at;
      if (ready > 0) {
        const part = await this.writer.read(at, Math.min(ready, maxBodyFrameBytes));
        at += part.length;
        yield part;
      } else if (this.#state === 'whole') return;
      else await new Promise<void>((wake) => this.#waiting.push(wake));
    }
  }
}

export class Acceptor {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /**
   * Resolves when three nodes have the job durably and it is known.
   * @param document octets in pieces of any size; read as fast as it can be encrypted and written
   * @throws InkmeshError `unavailable` when three nodes can't be had: then no trace of the job is left
   */
  async accept(job: NewJob, document: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Fact> {
    const { spool, candidates, self, custody } = this.#options;
    const others = candidates();
    if (others.length + 1 < holdersPerJob) {
      throw new InkmeshError(
        'unavailable',
        `a job is kept on ${holdersPerJob} machines and ${
          others.length + 1
        } can be reached: wake another workstation`,
      );
    }
    const key = crypto.getRandomValues(new Uint8Array(keyBytes));
    const free = custody.reserve(job.job);
    const growing = new Growing(
      await spool.create(job.job).catch((error) => {
        free();
        throw error;
      }),
    );
    const stop = new AbortController();
    const shares = await splitKey(key);
    try {
      const pieces = shares.slice(1).map((share) =>
        this.#follow(growing, pieceOf(job, share), others, stop.signal)
      );
      const remote = Promise.all(pieces);
      remote.catch(() => stop.abort());
      const bytes = await this.#write(
        growing,
        key,
        job.job,
        document,
        AbortSignal.any([signal, stop.signal]),
      );
      custody.keep(self.peerId, pieceOf(job, shares[0]), growing.writer.bytes);
      const holders = [self.peerId, ...await remote];
      // the last moment at which a client that has gone or cancelled leaves no job behind
      signal.throwIfAborted();
      return await this.#seal(job, bytes, holders);
    } catch (thrown) {
      stop.abort();
      growing.changed('failed');
      await growing.writer.abort();
      await this.#abandon(job.job, others);
      throw asInkmeshError(thrown);
    } finally {
      for (const secret of [key, ...shares]) secret.fill(0);
      free();
      await growing.writer.close().catch(() => {});
    }
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
    for await (const part of encryptEnvelope(key, job, counted())) {
      await growing.writer.write(part);
      growing.changed();
    }
    growing.changed('whole');
    await growing.writer.finish();
    return bytes;
  }

  /** Keeps one share on one of the candidates, the next one when one fails. @returns its PeerId */
  async #follow(
    growing: Growing,
    piece: StoreRequest,
    candidates: string[],
    stop: AbortSignal,
  ): Promise<string> {
    for (;;) {
      const peer = candidates.shift();
      if (peer === undefined) {
        throw new InkmeshError(
          'unavailable',
          'a machine dropped out and no other can be reached: print again',
        );
      }
      const holder = this.#options.holders(peer);
      try {
        await holder.store(piece, growing.follow(), stop);
        return peer;
      } catch (thrown) {
        if (stop.aborted) throw asInkmeshError(thrown);
        const reason = asInkmeshError(thrown).message;
        this.#options.log('warn', 'a holder is replaced', { job: piece.job, peer, reason });
        holder.abandon({ job: piece.job }).catch(() => {});
      }
    }
  }

  async #seal(job: NewJob, bytes: number, peers: string[]): Promise<Fact> {
    const { ledger, self, holders, clock } = this.#options;
    const body: JobBody = {
      owner: job.owner,
      bytes,
      epoch: 1,
      holders: peers,
      expires_ms: clock.wall_ms() + job.retention_ms,
    };
    const { fact, record } = await ledger.sign(
      jobKind,
      (time_ms) => jobsDoc(self.site, time_ms),
      job.job,
      body,
    );
    try {
      await Promise.all(peers.map((peer) => this.#sealAt(holders(peer), job.job, record)));
    } catch (cause) {
      await this.#withdraw(fact, record);
      const message = 'a machine dropped out at the last moment, and the job was taken back: print again';
      throw new InkmeshError('unavailable', message, {}, { cause });
    }
    ledger.publish(fact, record);
    return fact;
  }

  /** A seal that is lost on its way is repeated: the holder may have it already, and says so again. */
  async #sealAt(holder: Holder, job: string, fact: Uint8Array): Promise<void> {
    const deadline_ms = this.#options.clock.monotonic_ms() + sealPatience_ms;
    for (;;) {
      try {
        return await holder.seal({ job, fact });
      } catch (thrown) {
        const error = asInkmeshError(thrown);
        const lost = error.code === 'unavailable' || error.code === 'timeout';
        if (!lost || this.#options.clock.monotonic_ms() > deadline_ms) throw error;
        await sleep(this.#options.clock, sealRetry_ms);
      }
    }
  }

  /** A holder may have sealed what will never be accepted: the withdrawal reaches it with the facts. */
  async #withdraw(fact: Fact, record: Uint8Array): Promise<void> {
    const { ledger } = this.#options;
    ledger.add(fact, record);
    ledger.publish(fact, record);
    await ledger.state(withdrawnKind, () => fact.doc, fact.subject, {});
  }

  async #abandon(job: string, untried: readonly string[]): Promise<void> {
    const { custody, self, holders, candidates } = this.#options;
    await custody.abandon(self.peerId, { job }).catch(() => {});
    const tried = candidates().filter((peer) => !untried.includes(peer));
    await Promise.allSettled(tried.map((peer) => holders(peer).abandon({ job })));
  }
}

function pieceOf(job: NewJob, share: Uint8Array): StoreRequest {
  const { owner, submitter, ticket } = job;
  return { job: job.job, epoch: 1, owner, submitter, ticket, share };
}

/** The document, given up at once (not at its next octets) when the signal is aborted. */
async function* untilAborted(
  document: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const parts = document[Symbol.asyncIterator]();
  let giveUp = () => {};
  const stop = () => giveUp();
  signal.addEventListener('abort', stop);
  try {
    for (;;) {
      // a promise for each part: one for all would keep every part that it was raced with
      const { done, value } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        giveUp = () =>
          reject(
            new InkmeshError('unavailable', 'the job was given up while it was being stored: print again'),
          );
        if (signal.aborted) giveUp();
        else parts.next().then(resolve, reject);
      });
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    // not awaited: it may be waiting for octets that never come
    void parts.return?.().catch(() => {});
  }
}
