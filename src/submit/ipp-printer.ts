/** The printer that clients see (RFC 8011 section 5.4, PWG 5100.7, PWG 5100.13): what is held may be printed anywhere. */
import * as ipp from '../ipp/message.ts';
import { type Attribute } from '../ipp/message.ts';
import { margin, mediaCollection, mediaDefault, mediaSizeMembers, mediaSizes } from '../ipp/media.ts';
import { operations, printerStateEnum } from '../ipp/registry.ts';
import { submitLimits } from '../limits.ts';
import {
  colorModes,
  compressions,
  documentFormats,
  maxCopies,
  resolutions_dpi,
  sides,
  template,
} from './ipp-ticket.ts';

export interface PrinterFacts {
  name: string;
  /** lower case, without urn: */
  uuid: string;
  organisation: string;
  /** as the client calls it */
  printerUri: string;
  secure: boolean;
  moreInfo: string;
  queuedJobs: number;
  maxDocumentBytes: number;
}

const sizes = mediaSizes.map((size) => size.name);
const defaultSize = mediaSizes.filter((size) => size.name === mediaDefault);
const mediaCollections = mediaSizes.map(mediaCollection);
const started = new Date();
/** printer-up-time counts from the epoch, so that every node that serves this printer says the same */
const seconds = (moment: Date) => Math.floor(moment.getTime() / 1000);

/** Attributes that only an explicit request names (PWG 5100.7 section 6.3.4). */
const onRequest: Attribute[] = [ipp.collection('media-col-database', ...mediaCollections)];

const jobTemplate: Attribute[] = [
  ipp.integer('copies-default', 1),
  ipp.range('copies-supported', 1, maxCopies),
  ipp.enumeration('finishings-default', 3),
  ipp.enumeration('finishings-supported', 3),
  ipp.keyword('media-default', mediaDefault),
  ipp.keyword('media-supported', ...sizes),
  ipp.keyword('media-ready', ...sizes),
  ipp.collection('media-col-default', ...defaultSize.map(mediaCollection)),
  ipp.collection('media-col-ready', ...mediaCollections),
  ipp.keyword('multiple-document-handling-default', 'separate-documents-collated-copies'),
  ipp.keyword('multiple-document-handling-supported', 'separate-documents-collated-copies'),
  ipp.enumeration('orientation-requested-default', 3),
  ipp.enumeration('orientation-requested-supported', 3),
  ipp.keyword('output-bin-default', 'auto'),
  ipp.keyword('output-bin-supported', 'auto'),
  ipp.keyword('print-color-mode-default', 'auto'),
  ipp.keyword('print-color-mode-supported', ...colorModes),
  ipp.keyword('print-content-optimize-default', 'auto'),
  ipp.keyword('print-content-optimize-supported', 'auto'),
  ipp.enumeration('print-quality-default', 4),
  ipp.enumeration('print-quality-supported', 4),
  ipp.keyword('print-rendering-intent-default', 'auto'),
  ipp.keyword('print-rendering-intent-supported', 'auto'),
  ipp.keyword('print-scaling-default', 'auto'),
  ipp.keyword('print-scaling-supported', 'auto'),
  ipp.dotsPerInch('printer-resolution-default', 600),
  ipp.dotsPerInch('printer-resolution-supported', ...resolutions_dpi),
  ipp.keyword('sides-default', 'one-sided'),
  ipp.keyword('sides-supported', ...sides),
];

/** What does not change while this process runs, and is the same for everyone. */
const description: Attribute[] = [
  ipp.charset('charset-configured', 'utf-8'),
  ipp.charset('charset-supported', 'us-ascii', 'utf-8'),
  ipp.boolean('color-supported', true),
  ipp.keyword('compression-supported', ...compressions),
  ipp.mimeMediaType('document-format-default', 'application/octet-stream'),
  ipp.mimeMediaType('document-format-supported', ...documentFormats),
  ipp.naturalLanguage('generated-natural-language-supported', 'en'),
  ipp.keyword('ipp-features-supported', 'none'),
  ipp.keyword('ipp-versions-supported', '1.1', '2.0'),
  ipp.keyword(
    'job-creation-attributes-supported',
    'job-name',
    'ipp-attribute-fidelity',
    ...Object.keys(template),
  ),
  ipp.boolean('job-ids-supported', true),
  ...['bottom', 'left', 'right', 'top'].map((edge) => ipp.integer(`media-${edge}-margin-supported`, margin)),
  ipp.keyword('media-col-supported', ...(mediaCollections[0] ?? []).map((member) => member.name)),
  ipp.collection('media-size-supported', ...mediaSizes.map(mediaSizeMembers)),
  ipp.keyword('media-source-supported', 'auto'),
  ipp.keyword('media-type-supported', 'stationery'),
  ipp.boolean('multiple-document-jobs-supported', false),
  ipp.integer('multiple-operation-time-out', submitLimits.openJob_ms / 1000),
  ipp.keyword('multiple-operation-time-out-action', 'abort-job'),
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
  ipp.keyword('which-jobs-supported', 'completed', 'not-completed'),
  ipp.integer('printer-config-change-time', seconds(started)),
  ipp.dateTime('printer-config-change-date-time', started),
  ipp.integer('printer-state-change-time', seconds(started)),
  ipp.dateTime('printer-state-change-date-time', started),
];

function changing(facts: PrinterFacts): Attribute[] {
  const now = new Date();
  return [
    ipp.range('job-k-octets-supported', 0, Math.min(Math.floor(facts.maxDocumentBytes / 1024), 0x7fffffff)),
    ipp.dateTime('printer-current-time', now),
    ipp.text('printer-dns-sd-name', ipp.withinOctets(facts.name, 63)),
    ipp.text('printer-info', ipp.withinOctets(facts.name, 127)),
    ipp.text('printer-location', ipp.withinOctets(facts.organisation, 127)),
    ipp.uri('printer-more-info', facts.moreInfo),
    ipp.nameAttribute('printer-name', ipp.withinOctets(facts.name, 127)),
    ipp.text('printer-organization', ipp.withinOctets(facts.organisation, 127)),
    ipp.integer('printer-up-time', seconds(now)),
    ipp.uri('printer-uri-supported', facts.printerUri),
    ipp.uri('printer-uuid', `urn:uuid:${facts.uuid}`),
    ipp.integer('queued-job-count', facts.queuedJobs),
    ipp.keyword('uri-authentication-supported', 'none'),
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
    ...chosen([...description, ...changing(facts)], 'printer-description'),
    ...chosen(jobTemplate, 'job-template'),
    ...onRequest.filter((attribute) => asked.has(attribute.name)),
  ];
}
