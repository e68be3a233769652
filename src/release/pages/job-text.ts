/** Jobs in words: titles, sizes, options, times. */
import type { JobOptions, JobView } from '../../job.ts';
import { strings as s } from '../strings.ts';

const over = new Set(['printed', 'sent', 'cancelled', 'expired']);

/** Whether nothing can be done with it any more. */
export const isOver = ({ state }: JobView): boolean => over.has(state);

/** Whether somebody prints it at the moment. */
export const isBusy = ({ state }: JobView): boolean => state === 'claimed' || state === 'delivering';

/** A title is gone with the job; while the job is held, only its holders know it. */
export function titleOf(job: JobView): string {
  if (job.title !== null && job.title !== '') return job.title;
  return isOver(job) || job.title === '' ? s.document : s.waiting(job.holders.join(s.or));
}

export function stateOf(job: JobView): string {
  const where = job.printer === undefined ? '' : ` ${s.at(job.printer)}`;
  const why = job.reason ?? job.degraded;
  return `${s.states[job.state]}${where}${why === undefined ? '' : `: ${why}`}`;
}

/** 1.5 MB of 1500000. */
export function sizeOf({ bytes }: JobView): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const unit = units[step] ?? 'byte';
  return new Intl.NumberFormat(s.lang, {
    ...{ style: 'unit', unit, unitDisplay: step === 0 ? 'long' : 'short' },
    maximumFractionDigits: step === 0 ? 0 : 1,
  }).format(bytes / 1000 ** step);
}

/** PDF of application/pdf. */
export function formatOf({ format }: JobView): string | undefined {
  const short = format?.split('/')[1]?.replace(/^(?:vnd\.|x-)/, '').toUpperCase();
  return short === 'OCTET-STREAM' ? undefined : short;
}

/** In the time zone of the node; the script puts it into the reader's. */
export function timeOf(iso: string): string {
  return new Intl.DateTimeFormat(s.lang, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso));
}

/** `1-3, 5` of [[1, 3], [5, 5]]. */
export function rangesText(ranges: JobOptions['page-ranges'] = []): string {
  return ranges.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(', ');
}
