/**
 * Event subscriptions (RFC 3995) whose events are fetched (RFC 3996). Nothing runs between two requests: what has
 * happened to the jobs is found out when somebody asks, by comparing them with what they were.
 */
import { subscriptionLimits } from '../limits.ts';
import { type IppJob, isCompleted } from './ipp-jobs.ts';

export const jobEvents = ['job-created', 'job-completed', 'job-state-changed'] as const;
/** The queue is always idle and takes jobs: what is said of it never happens. */
export const events = [...jobEvents, 'printer-state-changed', 'printer-config-changed', 'none'] as const;
export type EventName = typeof events[number];

export interface Event {
  /** from 1 */
  readonly sequence: number;
  /** the one that was subscribed to, of which this is one */
  readonly name: EventName;
  /** as it was then */
  readonly job: IppJob;
  /** performance.now() */
  readonly at_ms: number;
}

export interface Wanted {
  readonly events: readonly EventName[];
  readonly lease_s: number;
  readonly userData: Uint8Array | undefined;
}

export interface Subscription extends Wanted {
  readonly id: number;
  readonly token: string;
  /** performance.now() */
  ends_ms: number;
  sequence: number;
  /** not older than eventLife_s, the oldest first */
  kept: Event[];
  /** job id -> its state when it was last looked at */
  seen: Map<string, string>;
}

/** Those of all clients, bounded for each token and in all. They last as long as this process at most. */
export class Subscriptions {
  readonly #all = new Map<number, Subscription>();
  #last = 0;

  /**
   * @param jobs as they are now: what is told is what becomes of them
   * @returns undefined when there are too many already
   */
  add(token: string, wanted: Wanted, jobs: readonly IppJob[]): Subscription | undefined {
    const own = this.of(token);
    if (this.#all.size >= subscriptionLimits.max || own.length >= subscriptionLimits.maxPerToken) {
      return undefined;
    }
    const subscription: Subscription = {
      ...wanted,
      id: ++this.#last,
      token,
      ends_ms: performance.now() + wanted.lease_s * 1000,
      sequence: 0,
      kept: [],
      seen: statesOf(jobs),
    };
    this.#all.set(subscription.id, subscription);
    return subscription;
  }

  /** Those of a token whose lease has not ended. */
  of(token: string): Subscription[] {
    for (const { id, ends_ms } of this.#all.values()) if (ends_ms < performance.now()) this.#all.delete(id);
    return [...this.#all.values()].filter((subscription) => subscription.token === token);
  }

  remove(subscription: Subscription): void {
    this.#all.delete(subscription.id);
  }
}

const statesOf = (jobs: readonly IppJob[]) => new Map(jobs.map(({ view }) => [view.id, view.state]));

/** Notes what has happened since the last look. @param jobs all of the token */
export function look(subscription: Subscription, jobs: readonly IppJob[]): void {
  const now = performance.now();
  for (const job of jobs) {
    const name = changeOf(job, subscription.seen.get(job.view.id), subscription.events);
    if (name === undefined) continue;
    subscription.kept.push({ sequence: ++subscription.sequence, name, job, at_ms: now });
  }
  subscription.seen = statesOf(jobs);
  const oldest = now - subscriptionLimits.eventLife_s * 1000;
  subscription.kept = subscription.kept.filter(({ at_ms }) => at_ms >= oldest).slice(
    -subscriptionLimits.maxEvents,
  );
}

/** The subscribed event that a job's change is, if it is one: each is a change of state too (RFC 3995 section 5.3.3.4). */
function changeOf(
  job: IppJob,
  before: string | undefined,
  subscribed: readonly EventName[],
): EventName | undefined {
  if (before === job.view.state) return undefined;
  const special = before === undefined ? 'job-created' : isCompleted(job.view) ? 'job-completed' : undefined;
  const names: readonly (EventName | undefined)[] = [special, 'job-state-changed'];
  return names.find((name) => name !== undefined && subscribed.includes(name));
}
