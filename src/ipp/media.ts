/** Paper sizes by their self-describing names (PWG 5101.1), in hundredths of a millimetre. */
import { type Attribute, collection, firstNumber, integer, type Value } from './message.ts';

export interface MediaSize {
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

export const mediaSizes: readonly MediaSize[] = [
  { name: 'iso_a4_210x297mm', x: 21000, y: 29700 },
  { name: 'na_letter_8.5x11in', x: 21590, y: 27940 },
  { name: 'iso_a3_297x420mm', x: 29700, y: 42000 },
  { name: 'iso_a5_148x210mm', x: 14800, y: 21000 },
  { name: 'na_legal_8.5x14in', x: 21590, y: 35560 },
  { name: 'na_ledger_11x17in', x: 27940, y: 43180 },
  { name: 'na_index-4x6_4x6in', x: 10160, y: 15240 },
];

export const mediaDefault = 'iso_a4_210x297mm';

/** what office printers cannot reach at the edge of a sheet */
export const margin = 423;
/** clients compute sizes from inches or points: what they may be off */
const tolerance = 100;

export function mediaSizeMembers(size: MediaSize): Attribute[] {
  return [integer('x-dimension', size.x), integer('y-dimension', size.y)];
}

/** The name of the paper that a media-col value asks for (PWG 5100.7), or undefined for a size not in the list. */
export function mediaOfCollection(value: Value): string | undefined {
  if (value.syntax !== 'collection') return undefined;
  const named = value.members.find((member) => member.name === 'media-size-name')?.values[0];
  if (named?.syntax === 'keyword') return mediaSizes.find((size) => size.name === named.value)?.name;
  const size = value.members.find((member) => member.name === 'media-size')?.values[0];
  if (size?.syntax !== 'collection') return undefined;
  const x = firstNumber(size.members, 'x-dimension') ?? 0;
  const y = firstNumber(size.members, 'y-dimension') ?? 0;
  const near = (a: number, b: number) => Math.abs(a - b) <= tolerance;
  return mediaSizes.find((known) => near(known.x, x) && near(known.y, y))?.name;
}

/** A media-col value: the size, margins, and the one source and type that stand for any. */
export function mediaCollection(size: MediaSize): Attribute[] {
  return [
    collection('media-size', mediaSizeMembers(size)),
    ...['bottom', 'left', 'right', 'top'].map((edge) => integer(`media-${edge}-margin`, margin)),
    { name: 'media-source', values: [{ syntax: 'keyword', value: 'auto' }] },
    { name: 'media-type', values: [{ syntax: 'keyword', value: 'stationery' }] },
  ];
}
