/** From the attributes of a Print-Job, Validate-Job or Create-Job to a ticket (RFC 8011 sections 4.1.7, 4.2.1). */
import { printable } from '../../mesh/codec.ts';
import type { JobOptions, Ticket } from '../job.ts';
import { type Attribute, find, stringOf } from '../ipp/message.ts';
import { booleanValue, refusal, type Reply, stringValue } from './ipp-request.ts';
import { template } from './ipp-template.ts';

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
    const taken = accept?.(attribute.values);
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
  return printable(name, 255);
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
