/** The operations that make jobs and take their documents (RFC 8011 sections 4.2.1 to 4.3.1, PWG 5100.7). */
import { InkmeshError } from '../../mesh/errors.ts';
import { attributesOf } from '../ipp/message.ts';
import { groups } from '../ipp/registry.ts';
import { submitLimits } from '../limits.ts';
import { type Call, openTarget, ownName, requirePrinter, targetJob } from './ipp-call.ts';
import { documentBytes, isEmpty } from './ipp-document.ts';
import { type IppJob, jobAttributes, openJobView, requestedJobAttributes } from './ipp-jobs.ts';
import type { OpenJob } from './ipp-open.ts';
import { booleanValue, failure, integerValue, refusal, type Reply } from './ipp-request.ts';
import { type Accepted, acceptedReply, acceptTicket, compression, documentFormat } from './ipp-ticket.ts';

export async function validateJob(call: Call): Promise<Reply> {
  requirePrinter(call);
  compression(call.operation);
  const reply = acceptedReply(call.operation, accept(call));
  await call.door.ready();
  return reply;
}

export async function printJob(call: Call): Promise<Reply> {
  requirePrinter(call);
  compression(call.operation);
  return await withTicket(call, async (job) => {
    job.incoming = true;
    await store(call, job, true);
    return stored(call, job);
  });
}

export async function createJob(call: Call): Promise<Reply> {
  requirePrinter(call);
  // some clients do not say so when a document of theirs is refused: what can be known is told now
  await call.door.ready();
  return await withTicket(
    call,
    (job) => Promise.resolve({ view: openJobView(job, call.user), documents: [] }),
  );
}

/** Opens a job for the ticket of this request unless fidelity forbids it, and answers with the job. */
async function withTicket(call: Call, run: (job: OpenJob) => Promise<IppJob>): Promise<Reply> {
  const accepted = accept(call);
  const reply = acceptedReply(call.operation, accepted);
  if (!reply.status.startsWith('successful')) return reply;
  const job = call.open.add(call.token, accepted.ticket, ownName(call));
  return { ...reply, groups: [jobReply(call, await run(job))] };
}

/**
 * Each document is stored, and durable, by itself when this is answered: a job of several is one only for the client
 * that sends it.
 */
export async function sendDocument(call: Call): Promise<Reply> {
  const open = await openTarget(call);
  const last = booleanValue(call.operation, 'last-document');
  if (last === undefined) throw refusal('client-error-bad-request', 'last-document is missing');
  if (open.incoming) throw new InkmeshError('conflict', 'the job is taking a document: wait for its answer');
  compression(call.operation);
  const named = call.operation.some((attribute) => attribute.name === 'document-format');
  if (named) open.ticket = { ...open.ticket, format: documentFormat(call.operation) };
  open.incoming = true;
  try {
    // last-document may come by itself after the last document (RFC 8011 section 4.3.1)
    const { empty, document } = await isEmpty(call.document);
    if (last && empty && open.documents.length > 0) call.open.remove(open);
    else if (open.documents.length < submitLimits.maxDocumentsPerJob) {
      await store({ ...call, document }, open, last);
    } else {throw refusal(
        'server-error-too-many-documents',
        'the job has too many documents: create another one',
      );}
  } finally {
    open.incoming = false;
  }
  return { status: 'successful-ok', groups: [jobReply(call, stored(call, open))] };
}

/** PWG 5100.7: there will be no more documents. A job that has none is gone. */
export async function closeJob(call: Call): Promise<Reply> {
  const { open, view } = await targetJob(call);
  if (open?.incoming) throw new InkmeshError('conflict', 'the job is taking a document: wait for its answer');
  if (open === undefined) return { status: 'successful-ok' };
  call.open.remove(open);
  const state = open.documents.length === 0 ? 'cancelled' as const : 'held' as const;
  return { status: 'successful-ok', groups: [jobReply(call, { view: { ...view, state }, documents: [] })] };
}

function accept(call: Call): Accepted {
  const kilobytes = integerValue(call.operation, 'job-k-octets', 0) ?? 0;
  if ((kilobytes - 1) * 1024 >= call.door.maxDocumentBytes) throw tooLarge(call);
  return acceptTicket(call.operation, attributesOf(call.message, groups['job-attributes-tag']));
}

const tooLarge = ({ door }: Call) =>
  new InkmeshError('too-large', `the document is larger than ${door.maxDocumentBytes} octets`);

/** Hands the document to the door; afterwards it is either stored or gone. */
async function store(call: Call, job: OpenJob, last: boolean): Promise<void> {
  const { door, open, operation } = call;
  const packed = compression(operation);
  const document = documentBytes(call.document, packed, door.maxDocumentBytes);
  const id = open.documentId(job);
  const number = job.documents.length + 1;
  const title = number === 1 ? job.ticket.title : `${job.ticket.title.slice(0, 200)} (document ${number})`;
  let done = false;
  try {
    if (packed === 'none' && (call.length ?? 0) > door.maxDocumentBytes + submitLimits.maxRequestBytes) {
      throw tooLarge(call);
    }
    const signal = AbortSignal.any([call.signal, job.cancelled.signal]);
    await door.submit(call, id, { ...job.ticket, title }, document, signal);
    open.stored(job, id);
    done = true;
  } catch (thrown) {
    if (job.cancelled.signal.aborted) throw cancelled();
    if (number === 1) open.abort(job, failure(thrown).message ?? '');
    throw thrown;
  } finally {
    if (last || (!done && number === 1)) open.remove(job);
  }
  if (!job.cancelled.signal.aborted) return;
  // it was cancelled when it was too late to stop: Cancel-Job has been answered already
  await door.cancel(call, id);
  throw cancelled();
}

const cancelled = () => refusal('server-error-job-canceled', 'the job was cancelled');

/** A job as it is told to the client that has just sent a document of it. */
function stored(call: Call, job: OpenJob): IppJob {
  const view = openJobView(job, call.user);
  const state = call.open.of(call.token).includes(job) ? 'storing' : 'held';
  return { view: { ...view, state }, documents: [] };
}

function jobReply(call: Call, job: IppJob) {
  const names = ['job-id', 'job-uri', 'job-state', 'job-state-reasons', 'job-state-message'];
  const attributes = requestedJobAttributes(jobAttributes(job, call.printerUri), names);
  return { tag: groups['job-attributes-tag'], attributes };
}
