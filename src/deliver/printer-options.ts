/** Which options a printer takes, in short: kept with it, so that pages offer no others, also when it is switched off. */
import { type Attribute, find, numberOf, stringsOf } from '../ipp/message.ts';
import { colorModes, finishings, notFinished, type PrinterOptions, sidesKeywords, stapled } from '../job.ts';

/** `finishings` that are one or more staples wherever they are (PWG 5100.1), the one that leaves that open first. */
const staples: readonly number[] = [stapled, 20, 21, 22, 23, 28, 29, 30, 31];

/** @param printer attributes; of what it does not list nothing is known */
export function printerOptions(printer: readonly Attribute[]): PrinterOptions {
  const copies = find(printer, 'copies-supported')?.values[0];
  const ranges = find(printer, 'page-ranges-supported')?.values[0];
  const sides = among(sidesKeywords, stringsOf(printer, 'sides-supported'));
  const colors = among(colorModes, stringsOf(printer, 'print-color-mode-supported'));
  const media = stringsOf(printer, 'media-supported');
  const isStapler = find(printer, 'finishings-supported') === undefined
    ? undefined
    : stapleOf(printer) !== undefined;
  return {
    ...(copies?.syntax === 'rangeOfInteger' && copies.upper > 0
      ? { copies: Math.min(copies.upper, 999) }
      : {}),
    ...(sides.length === 0 ? {} : { sides }),
    ...(colors.length === 0 ? {} : { 'print-color-mode': colors }),
    ...(media.length === 0 ? {} : { media }),
    ...(ranges?.syntax === 'boolean' ? { 'page-ranges': ranges.value } : {}),
    ...(isStapler === undefined ? {} : { finishings: isStapler ? [...finishings] : [notFinished] }),
  };
}

/** The `finishings` by which a printer staples; undefined for one that does not. */
export function stapleOf(printer: readonly Attribute[]): number | undefined {
  const supported = (find(printer, 'finishings-supported')?.values ?? []).map(numberOf);
  return staples.find((value) => supported.includes(value));
}

function among<T extends string>(known: readonly T[], said: readonly string[]): T[] {
  return known.filter((value) => said.includes(value));
}
