/** What the printer says of job template attributes (RFC 8011 section 5.2, PWG 5100.7). */
import * as ipp from '../ipp/message.ts';
import { type Attribute } from '../ipp/message.ts';
import { mediaCollection, mediaDefault, mediaSizes } from '../ipp/media.ts';
import { colorModes, finishings, numbersUp, sidesKeywords } from '../job.ts';
import { holds, jobSheets, maxCopies, qualities, resolutions_dpi } from './ipp-template.ts';

const sizes = mediaSizes.map((size) => size.name);
const defaultSize = mediaSizes.filter((size) => size.name === mediaDefault);
const mediaCollections = mediaSizes.map(mediaCollection);

/** Attributes that only an explicit request names (PWG 5100.7 section 6.3.4). */
export const onRequest: Attribute[] = [ipp.collection('media-col-database', ...mediaCollections)];

export const jobTemplate: Attribute[] = [
  ipp.integer('copies-default', 1),
  ipp.range('copies-supported', 1, maxCopies),
  ipp.enumeration('finishings-default', 3),
  ipp.enumeration('finishings-supported', ...finishings),
  ipp.keyword('job-hold-until-default', 'indefinite'),
  ipp.keyword('job-hold-until-supported', ...holds),
  ipp.integer('job-priority-default', 50),
  ipp.integer('job-priority-supported', 1),
  ipp.keyword('job-sheets-default', 'none'),
  ipp.keyword('job-sheets-supported', ...jobSheets),
  ipp.keyword('media-default', mediaDefault),
  ipp.keyword('media-supported', ...sizes),
  ipp.keyword('media-ready', ...sizes),
  ipp.collection('media-col-default', ...defaultSize.map(mediaCollection)),
  ipp.collection('media-col-ready', ...mediaCollections),
  ipp.keyword('multiple-document-handling-default', 'separate-documents-collated-copies'),
  ipp.keyword('multiple-document-handling-supported', 'separate-documents-collated-copies'),
  ipp.integer('number-up-default', 1),
  ipp.integer('number-up-supported', ...numbersUp),
  ipp.enumeration('orientation-requested-default', 3),
  ipp.enumeration('orientation-requested-supported', 3),
  ipp.keyword('output-bin-default', 'auto'),
  ipp.keyword('output-bin-supported', 'auto'),
  // PWG 5100.6 has document-numbers, PWG 5100.14 document-number: no attribute can be overridden by either
  ipp.keyword('overrides-supported', 'document-number', 'document-numbers', 'pages'),
  ipp.boolean('page-ranges-supported', true),
  ipp.keyword('print-color-mode-default', 'auto'),
  ipp.keyword('print-color-mode-supported', ...colorModes),
  ipp.keyword('print-content-optimize-default', 'auto'),
  ipp.keyword('print-content-optimize-supported', 'auto'),
  ipp.enumeration('print-quality-default', 4),
  ipp.enumeration('print-quality-supported', ...qualities),
  ipp.keyword('print-rendering-intent-default', 'auto'),
  ipp.keyword('print-rendering-intent-supported', 'auto'),
  ipp.keyword('print-scaling-default', 'auto'),
  ipp.keyword('print-scaling-supported', 'auto'),
  ipp.dotsPerInch('printer-resolution-default', 600),
  ipp.dotsPerInch('printer-resolution-supported', ...resolutions_dpi),
  ipp.keyword('sides-default', 'one-sided'),
  ipp.keyword('sides-supported', ...sidesKeywords),
];
