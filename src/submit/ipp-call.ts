/** What every IPP operation is given, and how it finds the printer and the job that it is about. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import { type Attribute, type IppMessage, stringsOf } from '../ipp/message.ts';
import { jobNumber } from '../job.ts';
import { submitLimits } from '../limits.ts';
import { type IppJob, openJobView, together } from './ipp-jobs.ts';
import type { OpenJob, OpenJobs } from './ipp-open.ts';
import { integerValue, refusal, type Reply, uriValue } from './ipp-request.ts';
import type { Subscriptions } from './ipp-subscriptions.ts';
import type { IppDoor } from './ipp.ts';

/** One request with everything that an operation needs. */
export interface Call {
  readonly door: IppDoor;
  readonly open: OpenJobs;
  readonly subscriptions: Subscriptions;
  readonly log: Log;
  readonly token: string;
  /** IP address of the client */
  readonly address: string;
  /** whose token it is */
  readonly user: string;
  /** the printer as the client calls it, without a trailing slash */
  readonly printerUri: string;
  readonly message: IppMessage;
  readonly operation: readonly Attribute[];
  readonly document: AsyncIterable<Uint8Array>;
  /** octets of the whole request, when the client has said so */
  readonly length: number | undefined;
  /** aborted when the client goes away */
  readonly signal: AbortSignal;
}

export type Operation = (call: Call) => Reply | Promise<Reply>;

/** What the user calls themselves, bounded. It is believed for nothing but to keep apart who shares a token. */
export function ownName(call: Call): string | undefined {
  return stringsOf(call.operation, 'requesting-user-name')[0]?.slice(0, submitLimits.maxUserName);
}

/** The path of the printer's URI, whatever the host is called. */
const printerPath = (call: Call) => new URL(call.printerUri).pathname;

/** @throws InkmeshError unless printer-uri names this printer */
export function requirePrinter(call: Call): void {
  const printer = uriValue(call.operation, 'printer-uri');
  if (printer === undefined) throw refusal('client-error-bad-request', 'printer-uri is missing');
  if (printer.pathname !== printerPath(call)) throw new InkmeshError('not-found', 'there is no such printer');
}

/** All jobs of the token: those that are stored, several documents of one job together, and those on their way. */
export async function jobsOf(call: Call): Promise<IppJob[]> {
  const { open, token } = call;
  const stored = new Map((await call.door.jobs(token)).map((view) => [view.id, view]));
  const take = (ids: readonly string[]) =>
    ids.flatMap((id) => {
      const view = stored.get(id);
      stored.delete(id);
      return view ?? [];
    });
  const coming = open.of(token).map((job): IppJob => {
    const documents = take([job.id, ...job.documents.slice(1)]);
    const view = documents.length === 0
      ? openJobView(job, call.user)
      : { ...together(job.id, documents), state: 'storing' as const };
    return { view, documents, open: job };
  });
  const several = open.sets(token).flatMap((ids): IppJob[] => {
    const documents = take(ids);
    const [id = ''] = ids;
    return documents.length === 0 ? [] : [{ view: together(id, documents), documents }];
  });
  const single = [...stored.values()].map((view): IppJob => ({ view, documents: [view] }));
  const aborted = open.aborted(token).map(({ job, reason }): IppJob => ({
    view: { ...openJobView(job, call.user), state: 'expired', reason },
    documents: [],
  }));
  return [...single, ...several, ...coming, ...aborted];
}

/**
 * The job that job-uri, or printer-uri with job-id, names (RFC 8011 section 4.3).
 * @throws InkmeshError `not-found`, or `bad-request` when the request names none
 */
export async function targetJob(call: Call): Promise<IppJob> {
  const number = targetNumber(call);
  const job = (await jobsOf(call)).find(({ view }) => jobNumber(view.id) === number);
  if (job === undefined) throw new InkmeshError('not-found', 'there is no such job');
  return job;
}

/** The job of the request that waits for a document. @throws InkmeshError `not-found`, `conflict` when it is closed */
export async function openTarget(call: Call): Promise<OpenJob> {
  const number = targetNumber(call);
  const open = call.open.of(call.token).find((job) => jobNumber(job.id) === number);
  if (open !== undefined) return open;
  await targetJob(call);
  throw new InkmeshError('conflict', 'the job is closed: create another job for another document');
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
