/** The nouns of printing that several parts share: the ticket, its options, and how a job is shown. */
import * as v from 'valibot';
import { integer, text } from '../mesh/codec.ts';

export const maxPageRanges = 64;
/** of those that a printer is known to take */
const maxPapers = 16;
const page = integer(1, 0x7fffffff);
export const numbersUp = [1, 2, 4, 6, 9, 16] as const;

export const sidesKeywords = ['one-sided', 'two-sided-long-edge', 'two-sided-short-edge'] as const;
export const colorModes = ['auto', 'color', 'monochrome'] as const;
/** of `finishings` (PWG 5100.1): none, and a staple wherever the printer puts one */
export const finishings = [3, 4] as const;
export const [notFinished, stapled] = finishings;

/** Job template attributes that travel with a job, under their PWG 5100 names and keywords. */
export const jobOptionsSchema = v.strictObject({
  copies: v.optional(integer(1, 999)),
  sides: v.optional(v.picklist(sidesKeywords)),
  'print-color-mode': v.optional(v.picklist(colorModes)),
  media: v.optional(text(255)),
  /** first and last page of each range, ascending */
  'page-ranges': v.optional(v.pipe(v.array(v.strictTuple([page, page])), v.maxLength(maxPageRanges))),
  'number-up': v.optional(v.picklist(numbersUp)),
  'job-sheets': v.optional(v.picklist(['none', 'standard'])),
  /** 3 draft, 4 normal, 5 high */
  'print-quality': v.optional(v.picklist([3, 4, 5])),
  finishings: v.optional(v.picklist(finishings)),
});
export type JobOptions = v.InferOutput<typeof jobOptionsSchema>;

/** What of these a printer takes; what is left out is not known. */
export const printerOptionsSchema = v.strictObject({
  /** at most */
  copies: v.optional(integer(1, 999)),
  sides: v.optional(v.pipe(v.array(v.picklist(sidesKeywords)), v.maxLength(sidesKeywords.length))),
  'print-color-mode': v.optional(v.pipe(v.array(v.picklist(colorModes)), v.maxLength(colorModes.length))),
  media: v.optional(v.pipe(v.array(text(127)), v.maxLength(maxPapers))),
  'page-ranges': v.optional(v.boolean()),
  finishings: v.optional(v.pipe(v.array(v.picklist(finishings)), v.maxLength(finishings.length))),
});
export type PrinterOptions = v.InferOutput<typeof printerOptionsSchema>;

/** What is known of a job without its key. Kept by its holders only. */
export const ticketSchema = v.strictObject({
  title: text(255),
  /** MIME media type of the document as it was submitted, `application/octet-stream` when not told */
  format: v.pipe(text(127), v.regex(/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/i)),
  options: jobOptionsSchema,
});
export type Ticket = v.InferOutput<typeof ticketSchema>;

export const jobStates = [
  'storing',
  'held',
  'claimed',
  'delivering',
  'printed',
  'sent',
  'interrupted',
  'cancelled',
  'expired',
] as const;
export type JobState = typeof jobStates[number];

/** A job as lists show it: the JSON of `inkmesh jobs --json`. */
export interface JobView {
  /** UUID, lower case */
  id: string;
  owner: string;
  /** null while none of the job's holders is awake */
  title: string | null;
  site: string;
  state: JobState;
  /** octets of the document */
  bytes: number;
  /** null while none of the job's holders is awake */
  format: string | null;
  /** what it was submitted with; null while none of the job's holders is awake */
  options: JobOptions | null;
  /** ISO 8601, UTC */
  submitted: string;
  /** ISO 8601, UTC */
  expires: string;
  /** names of the nodes that hold it */
  holders: string[];
  /** unsettled claims, as `--confirm-reprint` takes them */
  claims: string[];
  /** what it lacks because fewer than three machines keep it, as one phrase */
  degraded?: string;
  printer?: string;
  reason?: string;
}

/**
 * The IPP job-id of a job (1 to 2^31-1): the first 31 bits of its UUID, so that every node that serves a
 * printer under one name gives one job the same number. Ids that map to 0 are never made.
 */
export function jobNumber(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) & 0x7fffffff;
}
