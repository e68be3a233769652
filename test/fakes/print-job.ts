/** Print-Job requests (RFC 8011 section 4.2.1) for clients that bring their documents themselves. */
import { encodeMessage } from '../../src/ipp/codec.ts';
import {
  type Attribute,
  charset,
  mimeMediaType,
  nameAttribute,
  naturalLanguage,
  uri,
} from '../../src/ipp/message.ts';
import { groups, operations } from '../../src/ipp/registry.ts';

export interface PrintJob {
  title?: string;
  /** MIME media type, application/octet-stream unless told */
  format?: string;
  /** attributes of the job, none unless told */
  job?: Attribute[];
}

/** What comes before the document. @param printer ipp: or ipps: URI, with the token for a node */
export function printJobHead(printer: string, asked: PrintJob = {}): Uint8Array {
  const { title = 'Quarterly figures of the north', format = 'application/octet-stream', job } = asked;
  const operation = [
    charset('attributes-charset', 'utf-8'),
    naturalLanguage('attributes-natural-language', 'en'),
    uri('printer-uri', printer),
    nameAttribute('job-name', title),
    mimeMediaType('document-format', format),
  ];
  return encodeMessage({
    version: 0x0101,
    code: operations['Print-Job'],
    requestId: 1,
    groups: [
      { tag: groups['operation-attributes-tag'], attributes: operation },
      ...(job === undefined ? [] : [{ tag: groups['job-attributes-tag'], attributes: job }]),
    ],
  });
}
