/** Jobs as IPP clients see them (RFC 8011 section 5.3). */
import * as ipp from '../ipp/message.ts';
import { type Attribute } from '../ipp/message.ts';
import { jobStateEnum } from '../ipp/registry.ts';
import { jobNumber, type JobState, type JobView } from '../job.ts';
import type { OpenJob } from './ipp-open.ts';

/** A job of a client's: what is held, released and listed elsewhere are its documents, each by itself. */
export interface IppJob {
  view: JobView;
  /** those that are stored, in order */
  documents: JobView[];
  /** while it can take a document */
  open?: OpenJob;
}

interface Shown {
  state: keyof typeof jobStateEnum;
  reason: string;
  message: string;
}

/** Every state of ours as a job-state, its job-state-reasons and a sentence. */
const shownStates: Readonly<Record<JobState, Shown>> = {
  storing: { state: 'pending-held', reason: 'job-incoming', message: 'being stored' },
  held: {
    state: 'pending-held',
    reason: 'job-held-until-specified',
    message: 'held until its owner releases it at a printer',
  },
  claimed: { state: 'processing', reason: 'none', message: 'being released' },
  delivering: { state: 'processing', reason: 'job-printing', message: 'being printed' },
  printed: { state: 'completed', reason: 'job-completed-successfully', message: 'printed' },
  sent: { state: 'completed', reason: 'queued-in-device', message: 'sent to a printer that cannot say more' },
  interrupted: {
    state: 'pending-held',
    reason: 'job-held-until-specified',
    message: 'interrupted: look at the printer',
  },
  cancelled: { state: 'canceled', reason: 'job-canceled-by-user', message: 'cancelled' },
  expired: { state: 'aborted', reason: 'aborted-by-system', message: 'not released in time' },
};

export const shownOf = (view: JobView): Shown => shownStates[view.state];
export const stateOf = (view: JobView): number => jobStateEnum[shownOf(view).state];

/** What the owner of an interrupted job can do: only a credential confirms what may print twice. */
export function interruption(view: JobView): string {
  const confirmed = view.claims.map((claim) => ` --confirm-reprint ${claim}`).join('');
  return `${shownStates.interrupted.message}, then run "inkmesh cancel ${view.id}${confirmed}", ` +
    'or inkmesh release with the same';
}

function sentenceOf(view: JobView): string {
  if (view.state !== 'interrupted') {
    const message = view.reason ?? shownStates[view.state].message;
    return view.degraded === undefined ? message : `${message} (${view.degraded})`;
  }
  return view.reason === undefined ? interruption(view) : `${interruption(view)}; ${view.reason}`;
}

/** Whether a job has come to its end, so that Get-Jobs lists it as completed. */
export function isCompleted(view: JobView): boolean {
  return stateOf(view) >= jobStateEnum.canceled;
}

/** `proof-print` (PWG 5100.11) lists none: no job is printed before its owner is there. */
export const whichJobs = ['completed', 'not-completed', 'proof-print'] as const;

const seconds = (iso: string) => Math.max(Math.floor(Date.parse(iso) / 1000), 0);

/** What counts of a job's documents, first that which keeps the job from having ended. */
const leading: readonly JobState[] = [
  'delivering',
  'claimed',
  'storing',
  'interrupted',
  'held',
  'expired',
  'cancelled',
  'sent',
  'printed',
];

/** Several documents as one job. @param documents one at least */
export function together(id: string, documents: readonly JobView[]): JobView {
  const [first] = documents as [JobView];
  const shown = leading.map((state) => documents.find((view) => view.state === state)).find(Boolean) ?? first;
  const bytes = documents.reduce((sum, view) => sum + view.bytes, 0);
  return { ...shown, id, bytes, title: first.title, claims: documents.flatMap((view) => view.claims) };
}

/** @param printerUri as the client calls the printer: the job's own URI is below it */
export function jobAttributes({ view, documents }: IppJob, printerUri: string): Attribute[] {
  const shown = shownOf(view);
  const number = jobNumber(view.id);
  const pending = jobStateEnum[shown.state] < jobStateEnum.processing;
  return [
    ipp.integer('job-id', number),
    ipp.uri('job-uri', `${printerUri}/${number}`),
    ipp.enumeration('job-state', jobStateEnum[shown.state]),
    ipp.keyword('job-state-reasons', shown.reason),
    ipp.text('job-state-message', ipp.withinOctets(sentenceOf(view), 1023)),
    ipp.uri('job-printer-uri', printerUri),
    ipp.nameAttribute('job-name', ipp.withinOctets(view.title ?? 'Untitled', 255)),
    ipp.nameAttribute('job-originating-user-name', ipp.withinOctets(view.owner, 255)),
    ipp.uri('job-uuid', `urn:uuid:${view.id}`),
    ipp.integer('job-k-octets', Math.min(Math.ceil(view.bytes / 1024), 0x7fffffff)),
    ipp.integer('number-of-documents', documents.length),
    ipp.integer('time-at-creation', seconds(view.submitted)),
    ipp.dateTime('date-time-at-creation', new Date(view.submitted)),
    pending ? ipp.noValue('time-at-processing') : ipp.integer('time-at-processing', seconds(view.submitted)),
    ipp.noValue('time-at-completed'),
    ipp.integer('job-printer-up-time', Math.floor(Date.now() / 1000)),
    ...(pending ? [ipp.keyword('job-hold-until', 'indefinite')] : []),
  ];
}

/** Those that requested-attributes names, or all of them for `all` and `job-description`. */
export function requestedJobAttributes(attributes: Attribute[], requested: readonly string[]): Attribute[] {
  if (requested.includes('all') || requested.includes('job-description')) return attributes;
  return attributes.filter((attribute) => requested.includes(attribute.name));
}

/** A job that has no document yet. */
export function openJobView(job: OpenJob, owner: string): JobView {
  const created = job.created.toISOString();
  return {
    id: job.id,
    owner,
    title: job.ticket.title,
    site: '',
    state: 'storing',
    bytes: 0,
    format: job.ticket.format,
    options: job.ticket.options,
    submitted: created,
    expires: created,
    holders: [],
    claims: [],
  };
}
