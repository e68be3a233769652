/** From the attributes of a Print-Job, Validate-Job or Create-Job to a ticket (RFC 8011 sections 4.1.7, 4.2.1). */
import type { JobOptions, Ticket } from '../job.ts';
import { type Attribute, find, stringOf, type Value } from '../ipp/message.ts';
import { mediaOfCollection, mediaSizes } from '../ipp/media.ts';
import { booleanValue, refusal, type Reply, stringValue } from './ipp-request.ts';

export const documentFormats = [
  'application/pdf',
  'image/pwg-raster',
  'image/urf',
  'image/jpeg',
  'application/postscript',
  'application/octet-stream',
] as const;

export const compressions = ['none', 'gzip', 'deflate'] as const;
export type Compression = typeof compressions[number];

export const maxCopies = 999;
export const sides = ['one-sided', 'two-sided-long-edge', 'two-sided-short-edge'] as const;
export const colorModes = ['auto', 'color', 'monochrome'] as const;
export const resolutions_dpi = [300, 600] as const;

/** What a value adds to the options, or undefined when it is not supported. */
type Taken = JobOptions | undefined;
const oneOf = <T extends string>(values: readonly T[], value: Value): T | undefined => {
  const string = stringOf(value);
  return values.find((known) => known === string);
};
const only = (accepted: (value: Value) => boolean) => (value: Value): Taken =>
  accepted(value) ? {} : undefined;
const enumIs = (number: number) => only((value) => value.syntax === 'enum' && value.value === number);
const keywordIs = (keyword: string) => only((value) => stringOf(value) === keyword);

/**
 * The job template attributes that are understood. Those that a ticket does not carry are taken only with the value
 * that changes nothing.
 */
export const template: Readonly<Record<string, (value: Value) => Taken>> = {
  copies: (value) =>
    value.syntax === 'integer' && value.value >= 1 && value.value <= maxCopies
      ? { copies: value.value }
      : undefined,
  sides: (value) => optional('sides', oneOf(sides, value)),
  'print-color-mode': (value) => optional('print-color-mode', oneOf(colorModes, value)),
  media: (value) => optional('media', oneOf(mediaSizes.map((size) => size.name), value)),
  'media-col': (value) => optional('media', mediaOfCollection(value)),
  finishings: enumIs(3),
  'orientation-requested': enumIs(3),
  'print-quality': enumIs(4),
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

function optional<K extends keyof JobOptions>(key: K, value: JobOptions[K] | undefined): Taken {
  return value === undefined ? undefined : { [key]: value };
}

export interface Accepted {
  ticket: Ticket;
  unsupported: Attribute[];
}

/**
 * The ticket that these attributes ask for, and the job attributes that it cannot carry.
 * @throws InkmeshError for a document-format that is not supported
 */
export function acceptTicket(operation: readonly Attribute[], job: readonly Attribute[]): Accepted {
  const unsupported: Attribute[] = [];
  let options: JobOptions = {};
  for (const attribute of job) {
    const accept = Object.hasOwn(template, attribute.name) ? template[attribute.name] : undefined;
    const [value] = attribute.values;
    const taken = value !== undefined && attribute.values.length === 1 ? accept?.(value) : undefined;
    if (taken !== undefined) options = { ...options, ...taken };
    else {unsupported.push(
        accept === undefined ? { ...attribute, values: [{ syntax: 'unsupported' }] } : attribute,
      );}
  }
  const ticket: Ticket = { title: title(operation), format: documentFormat(operation), options };
  return { ticket, unsupported };
}

/** What an accepted ticket is answered with when nothing else happens. */
export function acceptedReply(operation: readonly Attribute[], { unsupported }: Accepted): Reply {
  if (unsupported.length === 0) return { status: 'successful-ok' };
  const strict = booleanValue(operation, 'ipp-attribute-fidelity') ?? false;
  return strict
    ? {
      status: 'client-error-attributes-or-values-not-supported',
      message: `not supported: ${unsupported.map((attribute) => attribute.name).join(', ')}`,
      unsupported,
    }
    : { status: 'successful-ok-ignored-or-substituted-attributes', unsupported };
}

/** job-name, or else document-name, as ticket titles must be: at most 255 units, no control characters. */
function title(operation: readonly Attribute[]): string {
  const names = ['job-name', 'document-name'].map((name) => stringOf(find(operation, name)?.values[0]));
  const name = names.find((name) => name !== undefined && name.trim() !== '') ?? 'Untitled';
  return name.replace(/\p{Cc}/gu, ' ').slice(0, 255).toWellFormed();
}

/** @throws InkmeshError for a format that no printer of ours takes */
export function documentFormat(operation: readonly Attribute[]): string {
  const asked = stringValue(operation, 'document-format', 'mimeMediaType') ?? 'application/octet-stream';
  const format = documentFormats.find((known) => known === asked.toLowerCase());
  if (format !== undefined) return format;
  throw refusal('client-error-document-format-not-supported', `send one of ${documentFormats.join(', ')}`);
}

/** @throws InkmeshError for a compression that is not supported */
export function compression(operation: readonly Attribute[]): Compression {
  const asked = stringValue(operation, 'compression', 'keyword') ?? 'none';
  const known = compressions.find((known) => known === asked);
  if (known !== undefined) return known;
  throw refusal('client-error-compression-not-supported', `send one of ${compressions.join(', ')}`);
}
