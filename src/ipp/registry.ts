/** The IANA numbers of IPP that inkmesh uses, by name. The tables are those of the package `ipp`. */
import ipp from 'ipp';

/** @throws TypeError for a name that the table does not have; this happens when the program starts, or never */
function pick<const N extends string>(table: object, names: readonly N[]): Readonly<Record<N, number>> {
  const found: Partial<Record<N, number>> = {};
  for (const name of names) {
    const number: unknown = Reflect.get(table, name);
    if (typeof number !== 'number') throw new TypeError(`the IPP registry has no ${name}`);
    found[name] = number;
  }
  return found as Record<N, number>;
}

export const versions = { '1.1': 0x0101, '2.0': 0x0200, '2.1': 0x0201, '2.2': 0x0202 } as const;

export const groups = pick(ipp.tags, [
  'operation-attributes-tag',
  'job-attributes-tag',
  'end-of-attributes-tag',
  'printer-attributes-tag',
  'unsupported-attributes-tag',
  'subscription-attributes-tag',
  'event-notification-attributes-tag',
  'document-attributes-tag',
]);

export const operations = pick(ipp.operations, [
  'Print-Job',
  'Validate-Job',
  'Create-Job',
  'Send-Document',
  'Cancel-Job',
  'Get-Job-Attributes',
  'Get-Jobs',
  'Get-Printer-Attributes',
  'Hold-Job',
  'Release-Job',
  'Restart-Job',
  'Pause-Printer',
  'Resume-Printer',
  'Purge-Jobs',
  'Set-Printer-Attributes',
  'Set-Job-Attributes',
  'Get-Printer-Supported-Values',
  'Create-Printer-Subscriptions',
  'Get-Subscription-Attributes',
  'Get-Subscriptions',
  'Renew-Subscription',
  'Cancel-Subscription',
  'Get-Notifications',
  'Enable-Printer',
  'Disable-Printer',
  'Pause-Printer-After-Current-Job',
  'Hold-New-Jobs',
  'Release-Held-New-Jobs',
  'Restart-Printer',
  'Shutdown-Printer',
  'Startup-Printer',
  'Reprocess-Job',
  'Cancel-Current-Job',
  'Suspend-Current-Job',
  'Resume-Job',
  'Promote-Job',
  'Schedule-Job-After',
  'Cancel-Document',
  'Get-Document-Attributes',
  'Get-Documents',
  'Set-Document-Attributes',
  'Cancel-Jobs',
  'Cancel-My-Jobs',
  'Resubmit-Job',
  'Close-Job',
  'Identify-Printer',
]);
export type OperationName = keyof typeof operations;

export const statuses = pick(ipp.statusCodes, [
  'successful-ok',
  'successful-ok-ignored-or-substituted-attributes',
  'successful-ok-ignored-subscriptions',
  'client-error-bad-request',
  'client-error-forbidden',
  'client-error-not-authenticated',
  'client-error-not-authorized',
  'client-error-not-possible',
  'client-error-not-found',
  'client-error-request-entity-too-large',
  'client-error-document-format-not-supported',
  'client-error-attributes-or-values-not-supported',
  'client-error-uri-scheme-not-supported',
  'client-error-charset-not-supported',
  'client-error-attributes-not-settable',
  'client-error-ignored-all-subscriptions',
  'client-error-too-many-subscriptions',
  'client-error-compression-not-supported',
  'client-error-compression-error',
  'server-error-internal-error',
  'server-error-operation-not-supported',
  'server-error-service-unavailable',
  'server-error-version-not-supported',
  'server-error-temporary-error',
  'server-error-busy',
  'server-error-job-canceled',
  'server-error-too-many-documents',
]);
export type StatusName = keyof typeof statuses;

/** The keyword of a status code, or its number in hexadecimal. */
export function statusName(code: number): string {
  const name: unknown = Reflect.get(Reflect.get(ipp.statusCodes, 'lookup'), code);
  return typeof name === 'string' ? name : `status 0x${code.toString(16).padStart(4, '0')}`;
}

/** RFC 8011 section 5.3.7 */
export const jobStateEnum = pick(Reflect.get(ipp.enums, 'job-state'), [
  'pending',
  'pending-held',
  'processing',
  'processing-stopped',
  'canceled',
  'aborted',
  'completed',
]);

/** PWG 5100.5 section 6.1.9 */
export const documentStateEnum = pick(Reflect.get(ipp.enums, 'document-state'), [
  'pending',
  'processing',
  'canceled',
  'aborted',
  'completed',
]);

/** RFC 8011 section 5.4.11 */
export const printerStateEnum = pick(Reflect.get(ipp.enums, 'printer-state'), [
  'idle',
  'processing',
  'stopped',
]);

/** Tags of values whose syntax has a fixed or textual form (RFC 8010 section 3.5.2). */
export const valueTags = pick(ipp.tags, [
  'unsupported',
  'unknown',
  'no-value',
  'integer',
  'boolean',
  'enum',
  'octetString',
  'dateTime',
  'resolution',
  'rangeOfInteger',
  'begCollection',
  'textWithLanguage',
  'nameWithLanguage',
  'endCollection',
  'textWithoutLanguage',
  'nameWithoutLanguage',
  'keyword',
  'uri',
  'uriScheme',
  'charset',
  'naturalLanguage',
  'mimeMediaType',
  'memberAttrName',
]);
