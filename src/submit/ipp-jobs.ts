/** Jobs as IPP clients see them (RFC 8011 section 5.3), and those that are not stored yet. */
import { InkmeshError } from '../../mesh/errors.ts';
import * as ipp from '../ipp/message.ts';
import { type Attribute } from '../ipp/message.ts';
import { jobStateEnum } from '../ipp/registry.ts';
import { jobNumber, type JobState, type JobView, type Ticket } from '../job.ts';
import { submitLimits } from '../limits.ts';

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
  return jobStateEnum[shownStates[view.state].state] >= jobStateEnum.canceled;
}

const seconds = (iso: string) => Math.max(Math.floor(Date.parse(iso) / 1000), 0);

/** @param printerUri as the client calls the printer: the job's own URI is below it */
export function jobAttributes(view: JobView, printerUri: string): Attribute[] {
  const shown = shownStates[view.state];
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
    ipp.integer('number-of-documents', view.state === 'storing' ? 0 : 1),
    ipp.integer('time-at-creation', seconds(view.submitted)),
    ipp.dateTime('date-time-at-creation', new Date(view.submitted)),
    pending ? ipp.noValue('time-at-processing') : ipp.integer('time-at-processing', seconds(view.submitted)),
    ipp.noValue('time-at-completed'),
    ipp.integer('job-printer-up-time', Math.floor(Date.now() / 1000)),
  ];
}

/** Those that requested-attributes names, or all of them for `all` and `job-description`. */
export function requestedJobAttributes(attributes: Attribute[], requested: readonly string[]): Attribute[] {
  if (requested.includes('all') || requested.includes('job-description')) return attributes;
  return attributes.filter((attribute) => requested.includes(attribute.name));
}

/** A job between its creation and the moment when it is stored. Lives in memory only. */
export interface OpenJob {
  /** UUID, lower case */
  readonly id: string;
  readonly token: string;
  ticket: Ticket;
  readonly created: Date;
  /** performance.now() */
  readonly created_ms: number;
  /** its document is on the way; such a job does not time out */
  incoming: boolean;
  readonly cancelled: AbortController;
}

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
    submitted: created,
    expires: created,
    holders: [],
    claims: [],
  };
}

/** The jobs that are not stored yet, bounded in number for each token and in all, and in time. */
export class OpenJobs {
  readonly #jobs = new Map<string, OpenJob>();
  readonly #newJobId: (taken: ReadonlySet<number>) => string;

  /** @param newJobId an id whose number is none of those taken */
  constructor(newJobId: (taken: ReadonlySet<number>) => string) {
    this.#newJobId = newJobId;
  }

  /** @throws InkmeshError `busy` when there are too many */
  add(token: string, ticket: Ticket): OpenJob {
    this.#sweep();
    const own = this.of(token);
    if (this.#jobs.size >= submitLimits.maxOpenJobs || own.length >= submitLimits.maxOpenJobsPerToken) {
      throw new InkmeshError('busy', 'too many jobs are being submitted at once: try again in a moment');
    }
    const taken = new Set(own.map((job) => jobNumber(job.id)));
    const job: OpenJob = {
      id: this.#newJobId(taken),
      token,
      ticket,
      created: new Date(),
      created_ms: performance.now(),
      incoming: false,
      cancelled: new AbortController(),
    };
    this.#jobs.set(job.id, job);
    return job;
  }

  of(token: string): OpenJob[] {
    this.#sweep();
    return [...this.#jobs.values()].filter((job) => job.token === token);
  }

  remove(job: OpenJob): void {
    this.#jobs.delete(job.id);
  }

  #sweep(): void {
    const oldest = performance.now() - submitLimits.openJob_ms;
    for (const job of this.#jobs.values()) {
      if (!job.incoming && job.created_ms < oldest) this.#jobs.delete(job.id);
    }
  }
}
