/**
 * Sources that were judged by what this node knew, as no registrar answered: they are judged again until one does. A job
 * whose source had been shut out before it was accepted is taken back.
 */
import { hasEnded, type JobBody, type Log, maxRetention_ms, type Mesh, standingOf } from '../../mesh/mod.ts';
import type { Audit } from '../audit.ts';
import { unconfirmedLimits } from '../limits.ts';
import type { Unconfirmed, UnconfirmedTable } from '../unconfirmed.ts';
import { idOf, type Source, type Sources } from './source.ts';

export interface RecheckOptions {
  mesh: Mesh;
  sources: Sources;
  table: UnconfirmedTable;
  audit: Audit;
  log: Log;
}

export class Recheck {
  readonly #options: RecheckOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #looking = false;

  constructor(options: RecheckOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), unconfirmedLimits.look_ms);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Before the job is accepted, so that no crash forgets it. @returns false when it was remembered already */
  remember(job: string, source: Source): boolean {
    return this.#options.table.put({ job, source: idOf(source), time_ms: this.#options.mesh.now_ms() });
  }

  forget(job: string): void {
    this.#options.table.remove(job);
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      for (const row of this.#options.table.list()) await this.#judge(row);
    } catch (thrown) {
      this.#options.log('warn', 'sources could not be judged again', { reason: String(thrown) });
    } finally {
      this.#looking = false;
    }
  }

  async #judge({ job, source, time_ms }: Unconfirmed): Promise<void> {
    const { mesh, sources } = this.#options;
    const { ledger } = mesh;
    const fact = ledger.first('job', job);
    if (fact === undefined) {
      // it may be on its way in
      if (mesh.now_ms() > time_ms + maxRetention_ms) this.forget(job);
      return;
    }
    if (hasEnded(ledger, job) || mesh.now_ms() > (fact.body as JobBody).expires_ms) return this.forget(job);
    const said = await sources.ask(source);
    const known = standingOf(ledger, source, mesh.now_ms());
    const shutOut = [known, said].some((standing) =>
      standing?.standing === 'revoked' && (standing.since_ms ?? Infinity) <= fact.time_ms
    );
    if (shutOut) return await this.#withdraw(job, (fact.body as JobBody).owner);
    // a registrar that has not heard of the source itself says nothing
    if (said !== undefined && said.standing !== 'unknown') this.forget(job);
  }

  async #withdraw(job: string, owner: string): Promise<void> {
    const { mesh, audit, log } = this.#options;
    await mesh.acceptor.withdraw(job);
    this.forget(job);
    log('warn', 'a job was taken back: what submitted it had been revoked', { job });
    audit.record({ what: 'withdrawn', who: owner, from: null, detail: `job ${job}: its source was revoked` });
  }
}
