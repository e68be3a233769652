/** The IPP operations, one function each (RFC 8011 sections 4.2 and 4.3). */
import { InkmeshError } from '../../mesh/errors.ts';
import { type Attribute, attributesOf, stringsOf } from '../ipp/message.ts';
import { type IppMessage } from '../ipp/message.ts';
import { groups, type OperationName, operations } from '../ipp/registry.ts';
import { jobNumber, type JobView } from '../job.ts';
import { submitLimits } from '../limits.ts';
import { documentBytes } from './ipp-document.ts';
import {
  interruption,
  isCompleted,
  jobAttributes,
  type OpenJob,
  type OpenJobs,
  openJobView,
  requestedJobAttributes,
} from './ipp-jobs.ts';
import { printerAttributes } from './ipp-printer.ts';
import { booleanValue, integerValue, refusal, type Reply, stringValue, uriValue } from './ipp-request.ts';
import { type Accepted, acceptedReply, acceptTicket, compression, documentFormat } from './ipp-ticket.ts';
import type { IppDoor } from './ipp.ts';

/** One request with everything that an operation needs. */
export interface Call {
  readonly door: IppDoor;
  readonly open: OpenJobs;
  readonly token: string;
  /** whose token it is */
  readonly user: string;
  /** the printer as the client calls it, without a trailing slash */
  readonly printerUri: string;
  readonly message: IppMessage;
  readonly operation: readonly Attribute[];
  readonly document: AsyncIterable<Uint8Array>;
  /** aborted when the client goes away */
  readonly signal: AbortSignal;
}

type Operation = (call: Call) => Reply | Promise<Reply>;

const byName: Readonly<Record<OperationName, Operation>> = {
  'Print-Job': printJob,
  'Validate-Job': validateJob,
  'Create-Job': createJob,
  'Send-Document': sendDocument,
  'Cancel-Job': cancelJob,
  'Get-Job-Attributes': getJobAttributes,
  'Get-Jobs': getJobs,
  'Get-Printer-Attributes': getPrinterAttributes,
};
const byId = new Map(Object.entries(byName).map(([name, run]) => [operations[name as OperationName], run]));

/** @throws InkmeshError */
export function operationOf(id: number): Operation {
  const operation = byId.get(id);
  if (operation !== undefined) return operation;
  const supported = Object.keys(byName).join(', ');
  throw refusal('server-error-operation-not-supported', `this printer has ${supported}`);
}

async function getPrinterAttributes(call: Call): Promise<Reply> {
  requirePrinter(call);
  const requested = stringsOf(call.operation, 'requested-attributes');
  const { door, printerUri } = call;
  const counts = requested.length === 0 ||
    ['all', 'printer-description', 'queued-job-count'].some((name) => requested.includes(name));
  const facts = {
    ...door.queue,
    printerUri,
    secure: printerUri.startsWith('ipps:'),
    moreInfo: `${printerUri.replace(/^ipp/, 'http').split('/ipp/')[0]}/`,
    queuedJobs: counts ? (await allJobs(call)).filter((job) => !isCompleted(job)).length : 0,
    maxDocumentBytes: door.maxDocumentBytes,
  };
  return {
    status: 'successful-ok',
    groups: [{ tag: groups['printer-attributes-tag'], attributes: printerAttributes(facts, requested) }],
  };
}

function validateJob(call: Call): Reply {
  requirePrinter(call);
  compression(call.operation);
  return acceptedReply(call.operation, accept(call));
}

async function printJob(call: Call): Promise<Reply> {
  requirePrinter(call);
  compression(call.operation);
  return await withTicket(call, (job) => store(call, job));
}

async function createJob(call: Call): Promise<Reply> {
  requirePrinter(call);
  return await withTicket(call, () => Promise.resolve('storing'));
}

/** Opens a job for the ticket of this request unless fidelity forbids it, and answers with the job. */
async function withTicket(call: Call, run: (job: OpenJob) => Promise<JobView['state']>): Promise<Reply> {
  const accepted = accept(call);
  const reply = acceptedReply(call.operation, accepted);
  if (!reply.status.startsWith('successful')) return reply;
  const job = call.open.add(call.token, accepted.ticket);
  return { ...reply, groups: [jobReply(call, job, await run(job))] };
}

async function sendDocument(call: Call): Promise<Reply> {
  const target = await targetJob(call);
  const last = booleanValue(call.operation, 'last-document');
  if (last === undefined) throw refusal('client-error-bad-request', 'last-document is missing');
  if (!last) {
    const message = 'send one document, with last-document true';
    throw refusal('server-error-multiple-document-jobs-not-supported', message);
  }
  const { open } = target;
  if (open === undefined || open.incoming) {
    throw new InkmeshError('conflict', 'the job has its document: create another job for another one');
  }
  compression(call.operation);
  const named = call.operation.some((attribute) => attribute.name === 'document-format');
  if (named) open.ticket = { ...open.ticket, format: documentFormat(call.operation) };
  return { status: 'successful-ok', groups: [jobReply(call, open, await store(call, open))] };
}

async function cancelJob(call: Call): Promise<Reply> {
  const { open, view } = await targetJob(call);
  if (open !== undefined) {
    open.cancelled.abort();
    call.open.remove(open);
  } else if (isCompleted(view)) throw new InkmeshError('conflict', 'the job has ended already');
  // a token cannot say that its user has looked at the printer
  else if (view.state === 'interrupted') throw new InkmeshError('conflict', interruption(view));
  else await call.door.cancel(call.token, view.id);
  return { status: 'successful-ok' };
}

async function getJobAttributes(call: Call): Promise<Reply> {
  const { view } = await targetJob(call);
  const requested = stringsOf(call.operation, 'requested-attributes');
  const attributes = jobAttributes(view, call.printerUri);
  return {
    status: 'successful-ok',
    groups: [{
      tag: groups['job-attributes-tag'],
      attributes: requested.length === 0 ? attributes : requestedJobAttributes(attributes, requested),
    }],
  };
}

/** All jobs that a token lists are its user's, so that my-jobs changes nothing. */
async function getJobs(call: Call): Promise<Reply> {
  requirePrinter(call);
  booleanValue(call.operation, 'my-jobs');
  const which = stringValue(call.operation, 'which-jobs', 'keyword') ?? 'not-completed';
  if (which !== 'completed' && which !== 'not-completed') {
    return {
      status: 'client-error-attributes-or-values-not-supported',
      unsupported: call.operation.filter((attribute) => attribute.name === 'which-jobs'),
    };
  }
  const limit = Math.min(
    integerValue(call.operation, 'limit', 1) ?? submitLimits.maxJobsListed,
    submitLimits.maxJobsListed,
  );
  const asked = stringsOf(call.operation, 'requested-attributes');
  const requested = asked.length === 0 ? ['job-id', 'job-uri'] : asked;
  const jobs = (await allJobs(call)).filter((view) => isCompleted(view) === (which === 'completed'));
  // oldest first, but what has ended newest first (RFC 8011 section 4.2.6.2)
  const order = which === 'completed' ? -1 : 1;
  jobs.sort((a, b) => order * (Date.parse(a.submitted) - Date.parse(b.submitted)));
  return {
    status: 'successful-ok',
    groups: jobs.slice(0, limit).map((view) => ({
      tag: groups['job-attributes-tag'],
      attributes: requestedJobAttributes(jobAttributes(view, call.printerUri), requested),
    })),
  };
}

function accept(call: Call): Accepted {
  return acceptTicket(call.operation, attributesOf(call.message, groups['job-attributes-tag']));
}

/** Hands the document to the door; afterwards the job is either stored or gone. */
async function store(call: Call, job: OpenJob): Promise<'held'> {
  const { door, open, token, operation } = call;
  job.incoming = true;
  const document = documentBytes(call.document, compression(operation), door.maxDocumentBytes);
  try {
    const signal = AbortSignal.any([call.signal, job.cancelled.signal]);
    await door.submit(token, job.id, job.ticket, document, signal);
  } catch (thrown) {
    if (job.cancelled.signal.aborted) throw cancelled();
    throw thrown;
  } finally {
    open.remove(job);
  }
  if (!job.cancelled.signal.aborted) return 'held';
  // it was cancelled when it was too late to stop: Cancel-Job has been answered already
  await door.cancel(token, job.id);
  throw cancelled();
}

const cancelled = () => refusal('server-error-job-canceled', 'the job was cancelled');

function jobReply(call: Call, job: OpenJob, state: JobView['state']) {
  const view: JobView = { ...openJobView(job, call.user), state };
  const names = ['job-id', 'job-uri', 'job-state', 'job-state-reasons', 'job-state-message'];
  const attributes = requestedJobAttributes(jobAttributes(view, call.printerUri), names);
  return { tag: groups['job-attributes-tag'], attributes };
}

async function allJobs(call: Call): Promise<JobView[]> {
  const open = call.open.of(call.token).map((job) => openJobView(job, call.user));
  const stored = await call.door.jobs(call.token);
  const known = new Set(stored.map((view) => view.id));
  return [...stored, ...open.filter((view) => !known.has(view.id))];
}

/** The path of the printer's URI, whatever the host is called. */
const printerPath = (call: Call) => new URL(call.printerUri).pathname;

/** @throws InkmeshError unless printer-uri names this printer */
function requirePrinter(call: Call): void {
  const printer = uriValue(call.operation, 'printer-uri');
  if (printer === undefined) throw refusal('client-error-bad-request', 'printer-uri is missing');
  if (printer.pathname !== printerPath(call)) throw new InkmeshError('not-found', 'there is no such printer');
}

interface Target {
  view: JobView;
  /** while it is not stored yet */
  open?: OpenJob;
}

/** The job that job-uri, or printer-uri with job-id, names (RFC 8011 section 4.3). */
async function targetJob(call: Call): Promise<Target> {
  const number = targetNumber(call);
  const open = call.open.of(call.token).find((job) => jobNumber(job.id) === number);
  if (open !== undefined) return { open, view: openJobView(open, call.user) };
  const view = (await call.door.jobs(call.token)).find((job) => jobNumber(job.id) === number);
  if (view === undefined) throw new InkmeshError('not-found', 'there is no such job');
  return { view };
}

function targetNumber(call: Call): number {
  const job = uriValue(call.operation, 'job-uri');
  if (job === undefined) {
    requirePrinter(call);
    const id = integerValue(call.operation, 'job-id', 1);
    if (id === undefined) throw refusal('client-error-bad-request', 'job-id is missing');
    return id;
  }
  const parent = `${printerPath(call)}/`;
  const id = job.pathname.startsWith(parent) ? job.pathname.slice(parent.length) : '';
  if (!/^[1-9][0-9]{0,9}$/.test(id)) throw new InkmeshError('not-found', 'there is no such job');
  return Number(id);
}
