/** A job at an IPP printer: followed to its end, or cancelled, and what came out of it. */
import { InkmeshError } from '../../mesh/errors.ts';
import {
  type Attribute,
  attributesOf,
  find,
  firstNumber,
  integer,
  keyword,
  stringsOf,
} from '../ipp/message.ts';
import { groups, jobStateEnum, statuses } from '../ipp/registry.ts';
import { conditionAttributes, conditionOfAttributes } from '../printers/ipp-condition.ts';
import type { Attempt, Outcome } from './deliver.ts';
import { printerAttributes, requireSuccess } from './ipp-capabilities.ts';
import type { IppSession } from './ipp-session.ts';
import { pause, reasonOf } from './source.ts';
import { type Blocked, blockedBy } from './waiting.ts';

export type Ending = Pick<Outcome, 'outcome' | 'reason'>;

/** A job at a printer. */
export interface PrinterJob {
  readonly session: IppSession;
  /** `job-id` */
  readonly id: number;
  readonly attempt: Pick<Attempt, 'limits' | 'signal' | 'waiting' | 'countsSheets'>;
}

const counts = ['job-impressions-completed', 'job-media-sheets-completed'] as const;
const wanted = ['job-state', 'job-state-reasons', 'time-at-processing', ...counts];

/** undefined when the printer does not know the job (any more) */
async function jobAttributes(
  { session, id }: PrinterJob,
  signal: AbortSignal,
): Promise<Attribute[] | undefined> {
  const attributes = [integer('job-id', id), keyword('requested-attributes', ...wanted)];
  const answer = await session.ask({ operation: 'Get-Job-Attributes', attributes }, signal);
  if (answer.code === statuses['client-error-not-found']) return undefined;
  requireSuccess(answer, 'the printer does not say what the job does');
  return attributesOf(answer, groups['job-attributes-tag']);
}

/** How a job ended, or undefined while it has not. `failed` only when the printer reports that nothing came out. */
function endingOf({ attempt }: PrinterJob, job: Attribute[]): Ending | undefined {
  const state = firstNumber(job, 'job-state') ?? jobStateEnum.pending;
  if (state < jobStateEnum.canceled) return undefined;
  if (state === jobStateEnum.completed) return { outcome: 'printed' };
  const nothing = attempt.countsSheets ? noSheet(job) : neverProcessed(job);
  const reasons = stringsOf(job, 'job-state-reasons').filter((reason) => reason !== 'none').join(', ');
  const how = state === jobStateEnum.canceled ? 'cancelled at the printer' : 'aborted by the printer';
  return { outcome: nothing ? 'failed' : 'interrupted', reason: reasons === '' ? how : `${how}: ${reasons}` };
}

function noSheet(job: Attribute[]): boolean {
  const known = counts.map((name) => firstNumber(job, name)).filter((count) => count !== undefined);
  return known.length > 0 && known.every((count) => count === 0);
}

/** RFC 8011 section 5.3.14.2 */
function neverProcessed(job: Attribute[]): boolean {
  return find(job, 'time-at-processing')?.values[0]?.syntax === 'no-value';
}

/** Some printers forget a job as soon as they have it. One that knew it a moment ago has lost it. */
const forgotten: Ending = {
  outcome: 'sent',
  reason: 'the printer forgot the job before it said how it ended',
};
const vanished: Ending = {
  outcome: 'interrupted',
  reason: 'the printer lost the job before it said how it ended: look at the printer for what came out',
};

interface Patience {
  /** what it means when the printer does not know the job from the start */
  unknown: Ending;
  limit_ms: number;
  signal: AbortSignal;
  /** Whether the printer is at it, or says why it is not; the limit begins anew after that. */
  goesOn?(job: Attribute[]): Promise<boolean>;
}

/**
 * Asks until the job has ended; the printer may be out of reach for a while.
 * @throws InkmeshError `unavailable` when it stays so, `timeout` after `limit_ms`, and the signal's reason
 */
async function awaitEnd(at: PrinterJob, patience: Patience): Promise<Ending> {
  const { limits } = at.attempt;
  const { signal, limit_ms, goesOn = () => Promise.resolve(false) } = patience;
  let lost = patience.unknown;
  let heard_ms = performance.now();
  let end_ms = heard_ms + limit_ms;
  for (let pause_ms: number = limits.followFirst_ms; performance.now() < end_ms;) {
    let job: Attribute[] | undefined | 'silent' = 'silent';
    try {
      job = await jobAttributes(at, signal);
      heard_ms = performance.now();
    } catch (thrown) {
      if (signal.aborted || performance.now() - heard_ms > limits.lost_ms) throw thrown;
    }
    if (job === undefined) return lost;
    const ending = job === 'silent' ? undefined : endingOf(at, job);
    if (ending !== undefined) return ending;
    lost = vanished;
    // most jobs are over before it is worth asking
    const slow = pause_ms * 4 >= limits.followMost_ms || isHeldUp(job);
    if (job !== 'silent' && slow && await goesOn(job)) end_ms = performance.now() + limit_ms;
    await pause(pause_ms, signal);
    pause_ms = Math.min(pause_ms * 1.5, limits.followMost_ms);
  }
  throw new InkmeshError('timeout', 'the printer does not finish the job');
}

const isHeldUp = (job: Attribute[] | 'silent' | undefined) =>
  Array.isArray(job) && firstNumber(job, 'job-state') === jobStateEnum['processing-stopped'];

/**
 * Follows a job whose document is with the printer. One that does not end is cancelled.
 * @param answered whether the printer said that it took the document
 */
export async function follow(at: PrinterJob, answered: boolean): Promise<Ending> {
  const { signal, limits, waiting } = at.attempt;
  const unknown = answered ? forgotten : vanished;
  let done = 0;
  const goesOn = async (job: Attribute[]) => {
    const before = done;
    done = Math.max(0, ...counts.map((name) => firstNumber(job, name) ?? 0));
    const why = done > before ? undefined : await whyNot(at, job);
    waiting.note(why?.reason ?? null, why?.firm);
    // the limit is for a printer that does nothing, not for a long document
    return done > before || (why?.firm ?? false);
  };
  try {
    const ending = await awaitEnd(at, { unknown, limit_ms: limits.follow_ms, signal, goesOn });
    waiting.note(null);
    return ending;
  } catch (thrown) {
    return await cancel(at, reasonOf(thrown), true);
  }
}

/** Why nothing comes out, in the printer's own words; undefined when something does, or it does not say. */
async function whyNot(at: PrinterJob, job: Attribute[]): Promise<Blocked | undefined> {
  const { signal } = at.attempt;
  const printer = await printerAttributes(at.session, conditionAttributes, signal).catch(
    (thrown: unknown) => {
      if (signal.aborted) throw thrown;
      return [];
    },
  );
  const blocked = blockedBy(conditionOfAttributes(printer));
  if (!isHeldUp(job)) return blocked;
  if (blocked !== undefined) return { ...blocked, firm: true };
  const reasons = stringsOf(job, 'job-state-reasons').filter((reason) => reason !== 'none').join(', ');
  return { reason: `the printer has stopped the job${reasons === '' ? '' : `: ${reasons}`}`, firm: true };
}

/**
 * Cancels a job and waits until the printer says what came of it.
 * @param complete whether the printer has the whole document, so that `completed` means that all of it came out
 */
export async function cancel(at: PrinterJob, reason: string, complete: boolean): Promise<Ending> {
  const { cancel_ms } = at.attempt.limits;
  const signal = AbortSignal.timeout(cancel_ms);
  try {
    await askToCancel(at, signal);
    const ending = await awaitEnd(at, { unknown: vanished, limit_ms: cancel_ms, signal });
    if (ending.outcome === 'failed') return { outcome: 'failed', reason };
    if (ending.outcome === 'printed' && complete) return ending;
    return { outcome: 'interrupted', reason };
  } catch (thrown) {
    return {
      outcome: 'interrupted',
      reason: `${reason}; and the printer's own job could not be cancelled: ${reasonOf(thrown)}`,
    };
  }
}

/** A refusal means that the job has ended already. @throws the signal's reason */
async function askToCancel({ session, id, attempt }: PrinterJob, signal: AbortSignal): Promise<void> {
  while (true) {
    try {
      await session.ask({ operation: 'Cancel-Job', attributes: [integer('job-id', id)] }, signal);
      return;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      await pause(attempt.limits.followMost_ms, signal);
    }
  }
}
