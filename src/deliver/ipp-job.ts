/** A job at an IPP printer: followed to its end, or cancelled, and what came out of it. */
import { InkmeshError } from '../../mesh/errors.ts';
import { type Attribute, attributesOf, firstNumber, integer, keyword, stringsOf } from '../ipp/message.ts';
import { groups, jobStateEnum, statuses } from '../ipp/registry.ts';
import { deliverLimits } from '../limits.ts';
import type { Outcome } from './deliver.ts';
import { requireSuccess } from './ipp-capabilities.ts';
import type { IppSession } from './ipp-session.ts';
import { reasonOf } from './source.ts';

export type Ending = Pick<Outcome, 'outcome' | 'reason'>;

const wanted = ['job-state', 'job-state-reasons', 'job-impressions-completed', 'job-media-sheets-completed'];

/** undefined when the printer does not know the job (any more) */
async function jobAttributes(
  session: IppSession,
  id: number,
  signal: AbortSignal,
): Promise<Attribute[] | undefined> {
  const attributes = [integer('job-id', id), keyword('requested-attributes', ...wanted)];
  const answer = await session.ask({ operation: 'Get-Job-Attributes', attributes }, signal);
  if (answer.code === statuses['client-error-not-found']) return undefined;
  requireSuccess(answer, 'the printer does not say what the job does');
  return attributesOf(answer, groups['job-attributes-tag']);
}

/** How a job ended, or undefined while it has not. `failed` only when the printer reports that nothing came out. */
function endingOf(job: Attribute[]): Ending | undefined {
  const state = firstNumber(job, 'job-state') ?? jobStateEnum.pending;
  if (state < jobStateEnum.canceled) return undefined;
  if (state === jobStateEnum.completed) return { outcome: 'printed' };
  const counts = ['job-impressions-completed', 'job-media-sheets-completed'].map((name) =>
    firstNumber(job, name)
  );
  const known = counts.filter((count) => count !== undefined);
  const nothing = known.length > 0 && known.every((count) => count === 0);
  const reasons = stringsOf(job, 'job-state-reasons').filter((reason) => reason !== 'none').join(', ');
  const how = state === jobStateEnum.canceled ? 'cancelled at the printer' : 'aborted by the printer';
  return { outcome: nothing ? 'failed' : 'interrupted', reason: reasons === '' ? how : `${how}: ${reasons}` };
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

/**
 * Asks until the job has ended; the printer may be out of reach for a while.
 * @param unknown what it means when the printer does not know the job from the start
 * @throws InkmeshError `unavailable` when it stays so, `timeout` after `limit_ms`, and the signal's reason
 */
async function awaitEnd(
  session: IppSession,
  id: number,
  unknown: Ending,
  limit_ms: number,
  signal: AbortSignal,
): Promise<Ending> {
  let lost = unknown;
  const end = performance.now() + limit_ms;
  let heard = performance.now();
  for (let pause_ms: number = deliverLimits.followFirst_ms; performance.now() < end;) {
    try {
      const job = await jobAttributes(session, id, signal);
      heard = performance.now();
      if (job === undefined) return lost;
      const ending = endingOf(job);
      if (ending !== undefined) return ending;
    } catch (thrown) {
      if (signal.aborted || performance.now() - heard > deliverLimits.lost_ms) throw thrown;
    }
    lost = vanished;
    await pause(pause_ms, signal);
    pause_ms = Math.min(pause_ms * 1.5, deliverLimits.followMost_ms);
  }
  throw new InkmeshError('timeout', 'the printer does not finish the job');
}

/**
 * Follows a job whose document is with the printer. One that does not end is cancelled.
 * @param answered whether the printer said that it took the document
 */
export async function follow(
  session: IppSession,
  id: number,
  answered: boolean,
  signal: AbortSignal,
): Promise<Ending> {
  const unknown = answered ? forgotten : vanished;
  try {
    return await awaitEnd(session, id, unknown, deliverLimits.follow_ms, signal);
  } catch (thrown) {
    return await cancel(session, id, reasonOf(thrown), true);
  }
}

/**
 * Cancels a job and waits until the printer says what came of it.
 * @param complete whether the printer has the whole document, so that `completed` means that all of it came out
 */
export async function cancel(
  session: IppSession,
  id: number,
  reason: string,
  complete: boolean,
): Promise<Ending> {
  const signal = AbortSignal.timeout(deliverLimits.cancel_ms);
  try {
    await askToCancel(session, id, signal);
    const ending = await awaitEnd(session, id, vanished, deliverLimits.cancel_ms, signal);
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
async function askToCancel(session: IppSession, id: number, signal: AbortSignal): Promise<void> {
  while (true) {
    try {
      await session.ask({ operation: 'Cancel-Job', attributes: [integer('job-id', id)] }, signal);
      return;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      await pause(deliverLimits.followMost_ms, signal);
    }
  }
}

/** @throws the signal's reason */
export function pause(length_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, length_ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
