/** The operations on single documents (PWG 5100.5): each is stored, held and released by itself. */
import { InkmeshError } from '../../mesh/errors.ts';
import * as ipp from '../ipp/message.ts';
import { type Attribute, attributesOf } from '../ipp/message.ts';
import { documentStateEnum, groups } from '../ipp/registry.ts';
import { jobNumber, type JobView } from '../job.ts';
import { type Call, targetJob } from './ipp-call.ts';
import { notSettable, requireCancellable } from './ipp-control.ts';
import { type IppJob, shownOf } from './ipp-jobs.ts';
import { integerValue, refusal, type Reply, requestedNames } from './ipp-request.ts';

export async function getDocuments(call: Call): Promise<Reply> {
  const job = await targetJob(call);
  const asked = requestedNames(call.operation);
  const requested = asked.length === 0
    ? ['document-number', 'document-state', 'document-state-reasons']
    : asked;
  const limit = integerValue(call.operation, 'limit', 1) ?? job.documents.length;
  const listed = job.documents.slice(0, limit).map((_, at) => documentGroup(call, job, at + 1, requested));
  return { status: 'successful-ok', groups: listed };
}

export async function getDocumentAttributes(call: Call): Promise<Reply> {
  const job = await targetJob(call);
  const { number } = targetDocument(call, job);
  const asked = requestedNames(call.operation);
  const requested = asked.length === 0 ? ['all'] : asked;
  return { status: 'successful-ok', groups: [documentGroup(call, job, number, requested)] };
}

export async function cancelDocument(call: Call): Promise<Reply> {
  const { view } = targetDocument(call, await targetJob(call));
  requireCancellable(view);
  await call.door.cancel(call, view.id);
  return { status: 'successful-ok' };
}

export async function setDocumentAttributes(call: Call): Promise<Reply> {
  targetDocument(call, await targetJob(call));
  return notSettable(attributesOf(call.message, groups['document-attributes-tag']));
}

/** @throws InkmeshError */
function targetDocument(call: Call, job: IppJob): { number: number; view: JobView } {
  const number = integerValue(call.operation, 'document-number', 1);
  if (number === undefined) throw refusal('client-error-bad-request', 'document-number is missing');
  const view = job.documents[number - 1];
  if (view === undefined) throw new InkmeshError('not-found', 'the job has no such document');
  return { number, view };
}

/** @param number from 1 */
function documentGroup(call: Call, job: IppJob, number: number, requested: readonly string[]) {
  const attributes = documentAttributes(call, job, number);
  const all = ['all', 'document-description'].some((group) => requested.includes(group));
  return {
    tag: groups['document-attributes-tag'],
    attributes: all ? attributes : attributes.filter(({ name }) => requested.includes(name)),
  };
}

const stateOfJob = {
  'pending': 'pending',
  'pending-held': 'pending',
  'processing': 'processing',
  'processing-stopped': 'processing',
  'canceled': 'canceled',
  'aborted': 'aborted',
  'completed': 'completed',
} as const;

/** PWG 5100.5 section 6.1 */
function documentAttributes({ printerUri }: Call, job: IppJob, number: number): Attribute[] {
  const view = job.documents[number - 1] as JobView;
  const id = jobNumber(job.view.id);
  const shown = shownOf(view);
  return [
    ipp.integer('document-number', number),
    ipp.integer('document-job-id', id),
    ipp.uri('document-job-uri', `${printerUri}/${id}`),
    ipp.uri('document-printer-uri', printerUri),
    ipp.uri('document-uuid', `urn:uuid:${view.id}`),
    ipp.nameAttribute('document-name', ipp.withinOctets(view.title ?? 'Untitled', 255)),
    ipp.enumeration('document-state', documentStateEnum[stateOfJob[shown.state]]),
    ipp.keyword('document-state-reasons', shown.reason),
    ipp.text('document-state-message', ipp.withinOctets(shown.message, 1023)),
    ipp.mimeMediaType('document-format', view.format ?? 'application/octet-stream'),
    ipp.integer('k-octets', Math.min(Math.ceil(view.bytes / 1024), 0x7fffffff)),
    ipp.boolean('last-document', job.open === undefined && number === job.documents.length),
    ipp.integer('printer-up-time', Math.floor(Date.now() / 1000)),
  ];
}
