/** What users and printers do: jobs are submitted, released at printers that may fail, cancelled, confirmed. */
import { asInkmeshError } from '../../mesh/errors.ts';
import type { JobBody } from '../../mesh/job-facts.ts';
import type { Claim } from '../../mesh/mod.ts';
import { signGrant } from '../../mesh/grant.ts';
import { sleep } from '../../mesh/timing.ts';
import { start_ms, type Timeline } from './clock.ts';
import type { Running, SimNode } from './node.ts';
import type { Org } from './org.ts';
import type { Job, Watch } from './watch.ts';

/** Rules that a test may have broken, to see that it is noticed. */
export type Broken = 'vote not persisted' | 'begin skipped' | 'late reply counted';

/** What becomes of what is sent to a printer. */
export const fates = ['refuses', 'waits', 'waits', 'fails', 'dies', 'stalls'] as const;
export type Fate = 'prints' | typeof fates[number];

/** longer than a vote's lease */
const pause_ms = 15_000;
const latePatience_ms = 40_000;
/** somewhat less than what grants are good for */
const grantLife_ms = 100_000;

export class Driver {
  readonly #org: Org;
  readonly #timeline: Timeline;
  readonly #watch: Watch;
  readonly #broken: Broken | undefined;

  constructor(org: Org, timeline: Timeline, watch: Watch, broken: Broken | undefined) {
    this.#org = org;
    this.#timeline = timeline;
    this.#watch = watch;
    this.#broken = broken;
  }

  /** Never rejects, like all that follows: what goes wrong is told to the user. */
  async submit(node: SimNode, owner: number, document: Uint8Array): Promise<void> {
    const at = node.running;
    if (at === undefined) return;
    const job: Job = {
      ...{ id: at.mesh.acceptor.newJobId(), owner, document, submitted_ms: this.#timeline.now_ms },
      ...{ accepted: false, holders: [], ended: false },
      ...{ confirmed: new Set(), toConfirm: [], grants: [] },
      ...{ begun: new Set(), printed: new Set(), failed: new Set() },
    };
    this.#watch.jobs.set(job.id, job);
    try {
      const fact = await at.mesh.acceptor.accept(
        {
          job: job.id,
          owner: this.#org.users[owner]!.user,
          submitter: null,
          ticket: Uint8Array.of(1),
        },
        pieces(document),
        new AbortController().signal,
      );
      if (!at.life.alive) return;
      job.accepted = true;
      job.holders = (fact.body as JobBody).holders;
    } catch {
      // the client is told to print again
    }
  }

  /** @param confirm whether the owner confirms what the last refusal has named */
  async release(node: SimNode, job: Job, fate: Fate, confirm: boolean): Promise<string> {
    const target = `printer-${node.index}`;
    const claims = confirm ? job.toConfirm : [];
    for (const claim of claims) job.confirmed.add(claim);
    const grant = await this.#grant(node, job, 'release', target, claims);
    job.grants.push({ grant, target, issued_ms: this.#timeline.now_ms });
    return await this.claim(node, job, grant, target, fate);
  }

  /** Somebody uses a grant again, at any node. */
  async replay(node: SimNode, jobs: readonly Job[], pick: number): Promise<void> {
    const used = jobs.flatMap((job) => job.ended ? [] : job.grants.map((grant) => ({ job, ...grant })))
      .filter(({ issued_ms }) => this.#timeline.now_ms - issued_ms < grantLife_ms);
    const one = used[Math.floor(pick * used.length)];
    if (one !== undefined) await this.claim(node, one.job, one.grant, one.target, 'prints');
  }

  async cancel(node: SimNode, job: Job): Promise<void> {
    const at = node.running;
    if (at === undefined) return;
    try {
      const grant = await this.#grant(node, job, 'cancel', '', []);
      const claim = await at.mesh.claimant.claim(job.id, { grant }, '');
      await claim.begin();
      await claim.settle('cancelled');
    } catch {
      // the owner is told
    }
  }

  async claim(node: SimNode, job: Job, grant: Uint8Array, target: string, fate: Fate): Promise<string> {
    const at = node.running;
    if (at === undefined) return 'down';
    try {
      const claim = await at.mesh.claimant.claim(job.id, { grant }, target);
      if (!at.life.alive) return 'died';
      this.#watch.claimed(grant, claim.id);
      return await this.#deliver(at, job, claim, fate);
    } catch (thrown) {
      const { about, code } = asInkmeshError(thrown);
      if (about['begun'] === 'true') job.toConfirm = about['claims']!.split(',');
      return code;
    }
  }

  async #deliver(at: Running, job: Job, claim: Claim, fate: Fate): Promise<string> {
    if (fate === 'refuses') {
      claim.yield();
      return 'refused';
    }
    if (fate === 'waits') await sleep(at.clock, pause_ms);
    try {
      if (this.#broken !== 'begin skipped') await claim.begin();
      if (!at.life.alive) return 'died';
    } catch (thrown) {
      if (this.#broken === 'late reply counted') await this.#late(at, job, claim);
      throw thrown;
    }
    if (fate === 'fails') {
      await claim.settle('failed');
      return 'failed';
    }
    const out: Uint8Array[] = [];
    try {
      for await (const part of claim.document()) {
        if (!at.life.alive) return 'died';
        if (out.length === 0) this.#watch.printed(job, claim.id);
        out.push(part.slice());
        if (fate === 'stalls') await sleep(at.clock, pause_ms);
        if (fate === 'dies') throw new Error('the printer is switched off');
      }
    } catch {
      const outcome = out.length === 0 ? 'failed' : 'interrupted';
      await claim.settle(outcome).catch(() => {});
      return outcome;
    }
    if (!Buffer.concat(out).equals(job.document)) {
      this.#watch.breaks('what comes out is what went in', job.id);
    }
    await claim.settle('printed').catch(() => {});
    return 'printed';
  }

  /** The broken claimant: it has yielded, has kept the key, and counts what comes in afterwards. */
  async #late(at: Running, job: Job, claim: Claim): Promise<void> {
    for (let waited_ms = 0; waited_ms < latePatience_ms; waited_ms += 500) {
      const receipts = this.#watch.begunAt.get(claim.id)?.size ?? 0;
      if (receipts >= 2) return this.#watch.printed(job, claim.id);
      await sleep(at.clock, 500);
    }
  }

  #grant(
    node: SimNode,
    job: Job,
    action: 'release' | 'cancel',
    target: string,
    confirm: readonly string[],
  ): Promise<Uint8Array> {
    const options = new Uint8Array(0);
    const credential = this.#org.users[job.owner]!;
    const now_ms = start_ms + this.#timeline.now_ms;
    const grant = { job: job.id, claimant: node.peer, action, target, options, confirm };
    return signGrant(credential, grant, now_ms);
  }
}

async function* pieces(document: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < document.length; at += 64 * 1024) yield document.slice(at, at + 64 * 1024);
}
