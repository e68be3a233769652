/** The printer that clients see (RFC 8011 section 5.4, PWG 5100.7, PWG 5100.13): what is held may be printed anywhere. */
import * as ipp from '../ipp/message.ts';
import { type Attribute } from '../ipp/message.ts';
import { margin, mediaCollection, mediaSizeMembers, mediaSizes } from '../ipp/media.ts';
import { operations, printerStateEnum, versions } from '../ipp/registry.ts';
import { submitLimits, subscriptionLimits } from '../limits.ts';
import { whichJobs } from './ipp-jobs.ts';
import { pageUris } from './ipp-page.ts';
import { events } from './ipp-subscriptions.ts';
import { jobTemplate, onRequest } from './ipp-printer-template.ts';
import { resolutions_dpi, template } from './ipp-template.ts';
import { compressions, documentFormats } from './ipp-ticket.ts';

export interface PrinterFacts {
  name: string;
  /** lower case, without urn: */
  uuid: string;
  organisation: string;
  /** as the client calls it */
  printerUri: string;
  secure: boolean;
  queuedJobs: number;
  maxDocumentBytes: number;
}

const started = new Date();
/** printer-up-time counts from the epoch, so that every node that serves this printer says the same */
const seconds = (moment: Date) => Math.floor(moment.getTime() / 1000);

/** What does not change while this process runs, and is the same for everyone. */
const description: Attribute[] = [
  ipp.charset('charset-configured', 'utf-8'),
  ipp.charset('charset-supported', 'us-ascii', 'utf-8'),
  ipp.boolean('color-supported', true),
  ipp.keyword('compression-supported', ...compressions),
  ipp.mimeMediaType('document-format-default', 'application/octet-stream'),
  ipp.mimeMediaType('document-format-supported', ...documentFormats),
  ipp.naturalLanguage('generated-natural-language-supported', 'en'),
  ipp.keyword('identify-actions-default', 'display'),
  ipp.keyword('identify-actions-supported', 'display'),
  ipp.keyword('ipp-features-supported', 'document-object', 'ipp-everywhere', 'subscription-object'),
  ipp.keyword('ipp-versions-supported', ...Object.keys(versions)),
  ipp.keyword(
    'job-creation-attributes-supported',
    'job-name',
    'ipp-attribute-fidelity',
    ...Object.keys(template),
  ),
  ipp.boolean('job-ids-supported', true),
  ipp.keyword('job-settable-attributes-supported', 'none'),
  ...['bottom', 'left', 'right', 'top'].map((edge) => ipp.integer(`media-${edge}-margin-supported`, margin)),
  ipp.keyword(
    'media-col-supported',
    ...mediaSizes.slice(0, 1).flatMap(mediaCollection).map(({ name }) => name),
  ),
  ipp.collection('media-size-supported', ...mediaSizes.map(mediaSizeMembers)),
  ipp.keyword('media-source-supported', 'auto'),
  ipp.keyword('media-type-supported', 'stationery'),
  ipp.boolean('multiple-document-jobs-supported', true),
  ipp.integer('multiple-operation-time-out', submitLimits.openJob_ms / 1000),
  ipp.keyword('multiple-operation-time-out-action', 'process-job'),
  ipp.naturalLanguage('natural-language-configured', 'en'),
  ipp.enumeration('operations-supported', ...Object.values(operations)),
  ipp.integer('pages-per-minute', 30),
  ipp.integer('pages-per-minute-color', 30),
  ipp.keyword('pdl-override-supported', 'attempted'),
  ipp.boolean('preferred-attributes-supported', false),
  ipp.text(
    'printer-device-id',
    'MFG:inkmesh;MDL:inkmesh release queue;CMD:PDF,PWGRaster,AppleRaster,JPEG,PS;',
  ),
  ipp.keyword('printer-get-attributes-supported', 'document-format'),
  ipp.boolean('printer-is-accepting-jobs', true),
  ipp.keyword('printer-kind', 'document'),
  ipp.text('printer-make-and-model', 'inkmesh release queue'),
  ipp.enumeration('printer-state', printerStateEnum.idle),
  ipp.keyword('printer-state-reasons', 'none'),
  ipp.dotsPerInch('pwg-raster-document-resolution-supported', ...resolutions_dpi),
  ipp.keyword('pwg-raster-document-sheet-back', 'normal'),
  ipp.keyword('pwg-raster-document-type-supported', 'black_1', 'sgray_8', 'srgb_8'),
  ipp.keyword('urf-supported', 'V1.4', 'CP1', 'DM1', 'IS1', 'MT1', 'OB9', 'PQ4', 'RS300-600', 'SRGB24', 'W8'),
  ipp.keyword('which-jobs-supported', ...whichJobs),
  ipp.integer('printer-config-change-time', seconds(started)),
  ipp.dateTime('printer-config-change-date-time', started),
  ipp.integer('printer-state-change-time', seconds(started)),
  ipp.dateTime('printer-state-change-date-time', started),
];

/** Of a printer that is no device (PWG 5100.9, PWG 5100.13). Supplies are other, and of unknown capacity and level. */
const device: Attribute[] = [
  octets('printer-alert', 'code=configurationChange;severity=other;group=generalPrinter;groupindex=1;'),
  ipp.text('printer-alert-description', 'What is printed is held until its owner releases it at a printer.'),
  ipp.attribute('printer-geo-location', { syntax: 'unknown' }),
  ipp.text('printer-message-from-operator', ''),
  ipp.text('printer-organizational-unit', ''),
  ipp.keyword('printer-settable-attributes-supported', 'none'),
  octets('printer-supply', 'index=1;class=other;type=other;unit=other;maxcapacity=-2;level=-2;'),
  ipp.text('printer-supply-description', 'The printers show their own supplies'),
];

function octets(name: string, value: string): Attribute {
  return ipp.attribute(name, { syntax: 'octetString', value: new TextEncoder().encode(value) });
}

/** RFC 3995 section 5.3, RFC 3996 section 8 */
const notification: Attribute[] = [
  ipp.integer('ippget-event-life', subscriptionLimits.eventLife_s),
  ipp.keyword('notify-events-default', 'job-completed'),
  ipp.keyword('notify-events-supported', ...events),
  ipp.integer('notify-lease-duration-default', subscriptionLimits.leaseDefault_s),
  ipp.range('notify-lease-duration-supported', 1, subscriptionLimits.leaseMax_s),
  ipp.integer('notify-max-events-supported', events.length),
  ipp.keyword('notify-pull-method-supported', 'ippget'),
];

function changing(facts: PrinterFacts): Attribute[] {
  const now = new Date();
  const uris = pageUris(facts.printerUri);
  return [
    ipp.range('job-k-octets-supported', 0, Math.min(Math.floor(facts.maxDocumentBytes / 1024), 0x7fffffff)),
    ipp.dateTime('printer-current-time', now),
    ipp.text('printer-dns-sd-name', ipp.withinOctets(facts.name, 63)),
    ipp.text('printer-info', ipp.withinOctets(facts.name, 127)),
    ipp.text('printer-location', ipp.withinOctets(facts.organisation, 127)),
    ipp.uri('printer-icons', ...uris.icons),
    ipp.uri('printer-more-info', uris.page),
    ipp.nameAttribute('printer-name', ipp.withinOctets(facts.name, 127)),
    ipp.text('printer-organization', ipp.withinOctets(facts.organisation, 127)),
    ipp.uri('printer-supply-info-uri', uris.supplies),
    ipp.integer('printer-up-time', seconds(now)),
    ipp.uri('printer-uri-supported', facts.printerUri),
    ipp.uri('printer-uuid', `urn:uuid:${facts.uuid}`),
    ipp.integer('queued-job-count', facts.queuedJobs),
    ipp.keyword('uri-authentication-supported', /\/print$/.test(facts.printerUri) ? 'basic' : 'none'),
    ipp.keyword('uri-security-supported', facts.secure ? 'tls' : 'none'),
  ];
}

/**
 * The attributes that requested-attributes asks for: names, and the groups `all`, `job-template` and
 * `printer-description` (RFC 8011 section 4.2.5.1). None asked for means all.
 */
export function printerAttributes(facts: PrinterFacts, requested: readonly string[]): Attribute[] {
  const asked = new Set(requested.length === 0 ? ['all'] : requested);
  const chosen = (attributes: Attribute[], group: string) =>
    asked.has('all') || asked.has(group)
      ? attributes
      : attributes.filter((attribute) => asked.has(attribute.name));
  return [
    ...chosen([...description, ...device, ...notification, ...changing(facts)], 'printer-description'),
    ...chosen(jobTemplate, 'job-template'),
    ...onRequest.filter((attribute) => asked.has(attribute.name)),
  ];
}
