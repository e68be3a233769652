/**
 * The operations that change jobs and the printer (RFC 8011 sections 4.2.7 to 4.3.7, RFC 3380, RFC 3998, PWG 5100.11).
 * A submit token cancels its own jobs, and no more: it prints nothing, and is no operator.
 */
import { InkmeshError } from '../../mesh/errors.ts';
import { type Attribute, attributesOf, find, numberOf } from '../ipp/message.ts';
import { groups, jobStateEnum } from '../ipp/registry.ts';
import { jobNumber, type JobView } from '../job.ts';
import { type Call, jobsOf, requirePrinter, targetJob } from './ipp-call.ts';
import { interruption, type IppJob, isCompleted, stateOf } from './ipp-jobs.ts';
import { booleanValue, refusal, type Reply, stringValue } from './ipp-request.ts';
import { holds } from './ipp-template.ts';

const done: Reply = { status: 'successful-ok' };

export async function cancelJob(call: Call): Promise<Reply> {
  await cancel(call, await targetJob(call));
  return done;
}

/** All jobs of the token, or those that job-ids names; all of them or none, as far as can be told beforehand. */
export async function cancelMyJobs(call: Call): Promise<Reply> {
  requirePrinter(call);
  booleanValue(call.operation, 'my-jobs');
  const asked = find(call.operation, 'job-ids')?.values.map(numberOf);
  const jobs = await jobsOf(call);
  const byNumber = new Map<number | undefined, IppJob>(jobs.map((job) => [jobNumber(job.view.id), job]));
  const chosen = asked === undefined
    ? jobs.filter(({ view }) => !isCompleted(view) && view.state !== 'interrupted')
    : [...new Set(asked)].map((id) => {
      const job = byNumber.get(id);
      if (job === undefined) throw new InkmeshError('not-found', `there is no job ${id}`);
      return job;
    });
  for (const { view, open } of chosen) if (open === undefined) requireCancellable(view);
  for (const job of chosen) await cancel(call, job);
  return done;
}

/** RFC 3998: the one of the token's jobs that is being printed. */
export async function cancelCurrentJob(call: Call): Promise<Reply> {
  requirePrinter(call);
  const job = (await jobsOf(call)).find(({ view }) => stateOf(view) === jobStateEnum.processing);
  if (job === undefined) throw new InkmeshError('conflict', 'none of your jobs is being printed');
  await cancel(call, job);
  return done;
}

async function cancel(call: Call, { view, documents, open }: IppJob): Promise<void> {
  if (open === undefined) {
    requireCancellable(view);
    for (const { id } of documents.filter((one) => !isCompleted(one))) await call.door.cancel(call, id);
    return;
  }
  // the document that comes in is cancelled by whoever stores it
  open.cancelled.abort();
  call.open.remove(open);
  // what was stored since the list was made is not on it
  const ended = new Set(documents.filter(isCompleted).map(({ id }) => id));
  for (const id of open.documents.filter((stored) => !ended.has(stored))) await call.door.cancel(call, id);
}

/** @throws InkmeshError `conflict` */
export function requireCancellable(view: JobView): void {
  if (isCompleted(view)) throw new InkmeshError('conflict', 'the job has ended already');
  // a token cannot say that its user has looked at the printer
  if (view.state === 'interrupted') throw new InkmeshError('conflict', interruption(view));
}

/** Every job is held already, until its owner releases it. */
export async function holdJob(call: Call): Promise<Reply> {
  const { view } = await targetJob(call);
  const until = stringValue(call.operation, 'job-hold-until', 'keyword') ?? 'indefinite';
  if (!holds.some((known) => known === until)) {
    return {
      status: 'client-error-attributes-or-values-not-supported',
      unsupported: call.operation.filter((attribute) => attribute.name === 'job-hold-until'),
    };
  }
  if (stateOf(view) !== jobStateEnum['pending-held']) {
    throw new InkmeshError('conflict', 'the job is not held any more');
  }
  return done;
}

export async function releaseJob(call: Call): Promise<Reply> {
  await targetJob(call);
  const message = 'the job is printed when its owner releases it at a printer, or by "inkmesh release"';
  throw new InkmeshError('conflict', message);
}

/** Restart-Job, Reprocess-Job, Resubmit-Job: nothing is kept of a document that was printed (RFC 8011 section 4.3.7). */
export async function printAgain(call: Call): Promise<Reply> {
  const { view } = await targetJob(call);
  const message = isCompleted(view) ? 'the document is erased: print it again' : 'the job has not ended';
  throw new InkmeshError('conflict', message);
}

/** RFC 3380 section 4.2: what a job is stored with stays as it is. */
export async function setJobAttributes(call: Call): Promise<Reply> {
  await targetJob(call);
  return notSettable(attributesOf(call.message, groups['job-attributes-tag']));
}

const notSettableTag = 0x15;

export function notSettable(attributes: readonly Attribute[]): Reply {
  if (attributes.length === 0) throw refusal('client-error-bad-request', 'there is nothing to set');
  return {
    status: 'client-error-attributes-not-settable',
    message: 'nothing can be set: cancel the job, and print again',
    unsupported: attributes.map(({ name }) => ({
      name,
      values: [{ syntax: 'other', tag: notSettableTag, value: new Uint8Array() }],
    })),
  };
}

/** What RFC 8011 and RFC 3998 leave to operators, who have the command line. */
export function operatorOnly(): Reply {
  throw refusal(
    'client-error-not-authorized',
    'a print queue may not: administrators use the command inkmesh',
  );
}
