/** The job template attributes that jobs may have (RFC 8011 section 5.2, PWG 5100.7), and which values. */
import { mediaOfCollection, mediaSizes } from '../ipp/media.ts';
import { stringOf, type Value } from '../ipp/message.ts';
import {
  colorModes,
  finishings,
  type JobOptions,
  maxPageRanges,
  notFinished,
  numbersUp,
  sidesKeywords,
} from '../job.ts';

export const maxCopies = 999;
export const qualities = [3, 4, 5] as const;
export const jobSheets = ['none', 'standard'] as const;
/** Both mean the same here: a job waits for its owner's release, whatever else it is told to wait for. */
export const holds = ['indefinite', 'no-hold'] as const;
export const resolutions_dpi = [300, 600] as const;
/** one level (RFC 8011 section 5.2.1): what any number is mapped to changes nothing */
const maxPriority = 100;

/** What values add to the options, or undefined when they are not supported. */
type Taken = JobOptions | undefined;
type Take = (values: readonly Value[]) => Taken;

const single = (take: (value: Value) => Taken): Take => ([value, ...more]) =>
  value === undefined || more.length > 0 ? undefined : take(value);
const only = (accepted: (value: Value) => boolean): Take =>
  single((value) => accepted(value) ? {} : undefined);
const enumIs = (number: number) => only((value) => value.syntax === 'enum' && value.value === number);
const keywordIs = (...keywords: string[]) => only((value) => keywords.includes(stringOf(value) ?? ''));

function oneOf<T extends string | number>(values: readonly T[], value: Value): T | undefined {
  const plain: unknown = 'value' in value ? value.value : undefined;
  return values.find((known) => known === plain);
}

/** Adds nothing for the value that changes nothing. */
function changed<K extends keyof JobOptions>(
  key: K,
  plain: JobOptions[K],
  value: JobOptions[K] | undefined,
): Taken {
  return value === plain ? {} : optional(key, value);
}

function optional<K extends keyof JobOptions>(key: K, value: JobOptions[K] | undefined): Taken {
  return value === undefined ? undefined : { [key]: value };
}

/** Ascending, and none within another (RFC 8011 section 5.2.7). */
const pageRanges: Take = (values) => {
  let last = 0;
  const ranges: [number, number][] = [];
  for (const value of values) {
    if (value.syntax !== 'rangeOfInteger' || value.lower <= last || value.upper < value.lower) {
      return undefined;
    }
    last = value.upper;
    ranges.push([value.lower, value.upper]);
  }
  return ranges.length > maxPageRanges ? undefined : { 'page-ranges': ranges };
};

/**
 * The job template attributes that are understood. Those that a ticket does not carry are taken only with the value
 * that changes nothing.
 */
export const template: Readonly<Record<string, Take>> = {
  copies: single((value) =>
    value.syntax === 'integer' && value.value >= 1 && value.value <= maxCopies
      ? { copies: value.value }
      : undefined
  ),
  sides: single((value) => optional('sides', oneOf(sidesKeywords, value))),
  'print-color-mode': single((value) => optional('print-color-mode', oneOf(colorModes, value))),
  media: single((value) => optional('media', oneOf(mediaSizes.map((size) => size.name), value))),
  'media-col': single((value) => optional('media', mediaOfCollection(value))),
  'page-ranges': pageRanges,
  'number-up': single((value) => changed('number-up', 1, oneOf(numbersUp, value))),
  'job-sheets': single((value) => changed('job-sheets', 'none', oneOf(jobSheets, value))),
  'print-quality': single((value) => changed('print-quality', 4, oneOf(qualities, value))),
  'job-hold-until': keywordIs(...holds),
  'job-priority': only((value) =>
    value.syntax === 'integer' && value.value >= 1 && value.value <= maxPriority
  ),
  finishings: single((value) => changed('finishings', notFinished, oneOf(finishings, value))),
  'orientation-requested': enumIs(3),
  'printer-resolution': only((value) =>
    value.syntax === 'resolution' && value.units === 3 && value.cross === value.feed &&
    resolutions_dpi.some((dpi) => dpi === value.cross)
  ),
  'output-bin': keywordIs('auto'),
  'multiple-document-handling': keywordIs('separate-documents-collated-copies'),
  'print-content-optimize': keywordIs('auto'),
  'print-rendering-intent': keywordIs('auto'),
  'print-scaling': keywordIs('auto'),
};
