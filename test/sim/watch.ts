/** What must hold after every step of a simulation, whatever has failed in it. */
import * as v from 'valibot';
import { decode } from '../../mesh/codec.ts';
import { type Lease, leaseSchema, openClaims } from '../../mesh/lease.ts';
import { unsealedAge_ms } from '../../mesh/limits.ts';
import type { ClaimRow } from '../../mesh/ports.ts';
import type { SimNode } from './node.ts';

/** A job as its owner knows it. */
export interface Job {
  readonly id: string;
  /** index of its owner among the users */
  readonly owner: number;
  readonly document: Uint8Array;
  /** by the timeline */
  readonly submitted_ms: number;
  /** the client has been told so */
  accepted: boolean;
  holders: readonly string[];
  /** claims that its owner has confirmed in any grant */
  readonly confirmed: Set<string>;
  /** claims that a refusal has named to its owner */
  toConfirm: readonly string[];
  grants: { grant: Uint8Array; target: string; issued_ms: number }[];
  /** claims that may have put something on paper, as far as their claimants' disks say */
  readonly begun: Set<string>;
  /** claims of which something went to a printer */
  readonly printed: Set<string>;
  /** those of both that put nothing on paper, as their claimants have settled */
  readonly failed: Set<string>;
  /** it is over: printed, sent or cancelled */
  ended: boolean;
}

/** An invariant that does not hold. */
export class Violation extends Error {
  readonly rule: string;
  constructor(rule: string, what: string) {
    super(`${rule}: ${what}`);
    this.rule = rule;
  }
}

/** how long jobs are held at the simulated sites */
export const retention_ms = 30 * 60_000;
/** for a node to look, also after it could not for a while */
const expirySlack_ms = 4 * 60_000;

export class Watch {
  readonly jobs = new Map<string, Job>();
  /** holders that have persisted a claim's begin */
  readonly begunAt = new Map<string, Set<string>>();
  /** the claimant that each grant has served */
  readonly #claimants = new Map<string, string>();
  #violation: Violation | undefined;

  /** Says what does not hold, from wherever it was seen. */
  breaks(rule: string, what: string): void {
    this.#violation ??= new Violation(rule, what);
  }

  /** @throws Violation */
  check(nodes: readonly SimNode[]): void {
    for (const job of this.jobs.values()) this.#once(job);
    for (const node of nodes) if (node.up) this.#expiry(node);
    for (const { failure, name } of nodes) {
      if (failure !== undefined) this.breaks('a node starts', `${name}: ${failure.stack}`);
    }
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** A write to a claim table, seen before it is made. */
  claimRow(row: ClaimRow): void {
    const job = this.jobs.get(row.job);
    if (job === undefined) return;
    if (row.phase === 'begun') job.begun.add(row.claim);
    if (row.phase !== 'ended' || row.settlement === null) return;
    const outcome = outcomeOf(row.settlement);
    if (outcome === 'failed') job.failed.add(row.claim);
    else if (outcome !== 'interrupted') job.ended = true;
  }

  lease(node: SimNode, _job: string, lease: Lease): void {
    const { vote } = lease;
    if (vote?.phase !== 'begun') return;
    const at = this.begunAt.get(vote.claim) ?? new Set();
    this.begunAt.set(vote.claim, at.add(node.peer));
  }

  /** A claim has got a quorum's votes by a grant. */
  claimed(grant: Uint8Array, claim: string): void {
    const name = grant.toHex();
    const claimant = claim.slice(0, claim.indexOf('/'));
    const first = this.#claimants.get(name) ?? claimant;
    this.#claimants.set(name, first);
    if (first !== claimant) this.breaks('a grant serves one claimant', `${first} and ${claimant}`);
  }

  /** The first octet of a document goes to a printer. */
  printed(job: Job, claim: string): void {
    job.printed.add(claim);
    this.#once(job);
  }

  #once(job: Job): void {
    const allowed = 1 + job.confirmed.size;
    for (const [what, claims] of [['begun', job.begun], ['printed', job.printed]] as const) {
      const live = [...claims].filter((claim) => !job.failed.has(claim));
      if (live.length > allowed) {
        this.breaks(
          'a job prints once',
          `${job.id} ${what} ${live.join(' ')}, confirmed ${job.confirmed.size}`,
        );
      }
    }
  }

  #expiry(node: SimNode): void {
    if (node.disk.hasLied || node.awake_ms < expirySlack_ms || node.roomy_ms < expirySlack_ms) return;
    for (const [job, kept] of node.kept) {
      const slack_ms = expirySlack_ms + node.lost_ms - kept.lost_ms;
      const age_ms = node.on_ms - kept.on_ms;
      if (age_ms <= Math.min(retention_ms, unsealedAge_ms) + slack_ms) continue;
      const piece = node.disk.storage.pieces.get(job);
      if (piece === undefined) {
        node.kept.delete(job);
        continue;
      }
      const limit_ms = piece.sealed ? retention_ms : unsealedAge_ms;
      if (age_ms <= limit_ms + slack_ms || openClaims(decode(leaseSchema, piece.lease)).length > 0) continue;
      // when the last claim has ended the piece goes at the next look
      if (node.on_ms - kept.lease_ms <= expirySlack_ms) continue;
      this.breaks('nothing outlives its retention', `${job} at ${node.name} after ${age_ms} ms`);
    }
  }
}

/** The outcome in a signed settlement. */
function outcomeOf(record: Uint8Array): string {
  const [payload] = decode(v.tuple([v.instance(Uint8Array), v.instance(Uint8Array)]), record);
  const { b } = decode(v.object({ b: v.instance(Uint8Array) }), payload);
  return decode(v.object({ outcome: v.string() }), b).outcome;
}
