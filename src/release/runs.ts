/** Releases that were asked for at a panel, and how far they are: its pages ask for that again and again. */
import { asInkmeshError } from '../../mesh/errors.ts';
import { remember } from '../../mesh/remember.ts';
import { pageLimits } from '../limits.ts';
import type { Released, ReleaseRequest } from './release.ts';

export interface Run {
  /** octets that the printer has, of how many; 0 of 0 before the first */
  sent: number;
  total: number;
  /** why the printer waits; null when it does not */
  waiting: string | null;
  outcome?: Released['outcome'];
  reason?: string;
  /** performance.now() */
  ended_ms?: number;
}

type Start = (
  steps: Required<Pick<ReleaseRequest, 'onProgress' | 'onWaiting'>>,
) => Promise<Released>;

export class Runs {
  /** by job */
  readonly #runs = new Map<string, Run>();

  /** What has ended is shown for a while, then the job is as the list has it. */
  of(job: string): Run | undefined {
    const run = this.#runs.get(job);
    const isOld = run?.ended_ms !== undefined &&
      performance.now() - run.ended_ms > pageLimits.outcomeShown_ms;
    return isOld ? undefined : run;
  }

  /** Starts a release, unless one of this job is under way here. */
  start(job: string, release: Start): void {
    const before = this.#runs.get(job);
    if (before !== undefined && before.outcome === undefined) return;
    const run: Run = { sent: 0, total: 0, waiting: null };
    this.#runs.delete(job);
    remember(this.#runs, job, run, pageLimits.maxRuns);
    const end = ({ outcome, reason }: Pick<Released, 'outcome' | 'reason'>) => {
      Object.assign(run, { outcome, ended_ms: performance.now() });
      if (reason !== undefined) run.reason = reason;
    };
    const steps = {
      onProgress: (sent: number, total: number) => void Object.assign(run, { sent, total }),
      onWaiting: (reason: string | null) => void (run.waiting = reason),
    };
    release(steps).then(
      end,
      (thrown: unknown) => end({ outcome: 'refused', reason: asInkmeshError(thrown).message }),
    );
  }
}
