/** The operations that ask for the printer and for jobs (RFC 8011 section 4.2.5 to 4.3.4, RFC 3380, PWG 5100.13). */
import { keyword, stringsOf, withinOctets } from '../ipp/message.ts';
import { groups } from '../ipp/registry.ts';
import { submitLimits } from '../limits.ts';
import { type Call, jobsOf, ownName, requirePrinter, targetJob } from './ipp-call.ts';
import { type IppJob, isCompleted, jobAttributes, requestedJobAttributes, whichJobs } from './ipp-jobs.ts';
import { printerAttributes } from './ipp-printer.ts';
import { booleanValue, integerValue, type Reply, requestedNames, stringValue } from './ipp-request.ts';

export async function getPrinterAttributes(call: Call): Promise<Reply> {
  requirePrinter(call);
  const requested = requestedNames(call.operation);
  const { door, printerUri } = call;
  const counts = requested.length === 0 ||
    ['all', 'printer-description', 'queued-job-count'].some((name) => requested.includes(name));
  const facts = {
    ...door.queue,
    printerUri,
    secure: printerUri.startsWith('ipps:'),
    queuedJobs: counts ? (await jobsOf(call)).filter(({ view }) => !isCompleted(view)).length : 0,
    maxDocumentBytes: door.maxDocumentBytes,
  };
  return {
    status: 'successful-ok',
    groups: [{ tag: groups['printer-attributes-tag'], attributes: printerAttributes(facts, requested) }],
  };
}

/** RFC 3380 section 4.3: of those that can be set, and none can. */
export function getPrinterSupportedValues(call: Call): Reply {
  requirePrinter(call);
  return { status: 'successful-ok', groups: [{ tag: groups['printer-attributes-tag'], attributes: [] }] };
}

/** PWG 5100.13 section 4.1. The queue is on no device: what is displayed is the log of the node that serves it. */
export function identifyPrinter(call: Call): Reply {
  requirePrinter(call);
  const others = stringsOf(call.operation, 'identify-actions').filter((action) => action !== 'display');
  const message = stringsOf(call.operation, 'message')[0] ?? '';
  call.log('info', 'this node serves the queue that somebody looks for', {
    user: call.user,
    message: withinOctets(message, submitLimits.maxMessageBytes),
  });
  return others.length === 0 ? { status: 'successful-ok' } : {
    status: 'successful-ok-ignored-or-substituted-attributes',
    unsupported: [keyword('identify-actions', ...others)],
  };
}

export async function getJobAttributes(call: Call): Promise<Reply> {
  const job = await targetJob(call);
  const requested = requestedNames(call.operation);
  const attributes = jobAttributes(job, call.printerUri);
  return {
    status: 'successful-ok',
    groups: [{
      tag: groups['job-attributes-tag'],
      attributes: requested.length === 0 ? attributes : requestedJobAttributes(attributes, requested),
    }],
  };
}

const isListed: Readonly<Record<typeof whichJobs[number], (job: IppJob) => boolean>> = {
  completed: ({ view }) => isCompleted(view),
  'not-completed': ({ view }) => !isCompleted(view),
  'proof-print': () => false,
};

/** All jobs that a token lists are its user's; my-jobs keeps those people apart who share a token. */
export async function getJobs(call: Call): Promise<Reply> {
  requirePrinter(call);
  const name = booleanValue(call.operation, 'my-jobs') ? ownName(call) : undefined;
  const asked = stringValue(call.operation, 'which-jobs', 'keyword') ?? 'not-completed';
  const which = whichJobs.find((known) => known === asked);
  if (which === undefined) {
    return {
      status: 'client-error-attributes-or-values-not-supported',
      unsupported: call.operation.filter((attribute) => attribute.name === 'which-jobs'),
    };
  }
  const limit = Math.min(
    integerValue(call.operation, 'limit', 1) ?? submitLimits.maxJobsListed,
    submitLimits.maxJobsListed,
  );
  const names = requestedNames(call.operation);
  const requested = names.length === 0 ? ['job-id', 'job-uri'] : names;
  const jobs = (await jobsOf(call)).filter((job) =>
    isListed[which](job) && (name === undefined || call.open.isBy(job.view.id, name))
  );
  // oldest first, but what has ended newest first (RFC 8011 section 4.2.6.2)
  const order = which === 'completed' ? -1 : 1;
  jobs.sort((a, b) => order * (Date.parse(a.view.submitted) - Date.parse(b.view.submitted)));
  return {
    status: 'successful-ok',
    groups: jobs.slice(0, limit).map((job) => ({
      tag: groups['job-attributes-tag'],
      attributes: requestedJobAttributes(jobAttributes(job, call.printerUri), requested),
    })),
  };
}
