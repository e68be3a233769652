/** What an IPP printer says it can do, and whether it can print a ticket now (RFC 8011 section 5.4). */
import { printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import {
  type Attribute,
  attribute,
  attributesOf,
  enumeration,
  find,
  integer,
  type IppMessage,
  keyword,
  numberOf,
  stringOf,
  stringsOf,
  type Value,
} from '../ipp/message.ts';
import { groups, operations, statusName } from '../ipp/registry.ts';
import { stapled, type Ticket } from '../job.ts';
import { deliverLimits } from '../limits.ts';
import { adviceOf } from '../printers/advice.ts';
import { conditionOfAttributes } from '../printers/ipp-condition.ts';
import { formatObstacle } from './formats.ts';
import type { IppSession } from './ipp-session.ts';
import { stapleOf } from './printer-options.ts';

const wanted = [
  'printer-state',
  'printer-state-reasons',
  'printer-is-accepting-jobs',
  'document-format-supported',
  'operations-supported',
  'copies-supported',
  'sides-supported',
  'print-color-mode-supported',
  'media-supported',
  'page-ranges-supported',
  'number-up-supported',
  'job-sheets-supported',
  'print-quality-supported',
  'finishings-supported',
];

/** @throws InkmeshError `unavailable` and what `IppSession.ask` throws */
export async function printerAttributes(
  session: IppSession,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Attribute[]> {
  const attributes = [keyword('requested-attributes', ...names)];
  const answer = await session.ask({ operation: 'Get-Printer-Attributes', attributes }, signal);
  requireSuccess(answer, 'the printer does not say what it can do');
  return attributesOf(answer, groups['printer-attributes-tag']);
}

export function capabilities(session: IppSession, signal: AbortSignal): Promise<Attribute[]> {
  return printerAttributes(session, wanted, signal);
}

export const isSuccess = (answer: IppMessage) => answer.code < 0x0100;

/** What a printer said when it refused, as words. */
export function refusalOf(answer: IppMessage): string {
  const message = stringsOf(attributesOf(answer, groups['operation-attributes-tag']), 'status-message')[0];
  return message === undefined || message === ''
    ? statusName(answer.code)
    : `${statusName(answer.code)} (${printable(message, deliverLimits.maxReasonChars)})`;
}

/** @throws InkmeshError `unavailable` */
export function requireSuccess(answer: IppMessage, otherwise: string): void {
  if (!isSuccess(answer)) throw new InkmeshError('unavailable', `${otherwise}: ${refusalOf(answer)}`);
}

/**
 * Why the printer cannot take this ticket now, or undefined. One that has stopped takes it, and prints when somebody
 * has been there.
 */
export function obstacle(printer: readonly Attribute[], ticket: Ticket): string | undefined {
  const accepting = find(printer, 'printer-is-accepting-jobs')?.values[0];
  if (accepting?.syntax === 'boolean' && !accepting.value) {
    const reasons = conditionOfAttributes(printer).reasons.map(adviceOf).join('; ');
    return `the printer takes no jobs now${reasons === '' ? '' : `: ${reasons}`}`;
  }
  return formatObstacle(stringsOf(printer, 'document-format-supported'), ticket);
}

export function hasOperation(printer: readonly Attribute[], name: keyof typeof operations): boolean {
  const values = find(printer, 'operations-supported')?.values ?? [];
  return values.some((value) => value.syntax === 'enum' && value.value === operations[name]);
}

export interface Template {
  attributes: Attribute[];
  /** what the ticket asks for and the printer cannot do, by name */
  without: string[];
}

/** The ticket's options as job template attributes, as far as the printer supports them. */
export function template(printer: readonly Attribute[], { options }: Ticket): Template {
  const result: Template = { attributes: [], without: [] };
  const add = (attribute: Attribute, supported: boolean) => {
    if (supported) result.attributes.push(attribute);
    else result.without.push(attribute.name);
  };
  const { copies } = options;
  if (copies !== undefined && copies > 1) {
    const most = find(printer, 'copies-supported')?.values[0];
    add(integer('copies', copies), most?.syntax === 'rangeOfInteger' && copies <= most.upper);
  }
  const supported = (name: string) => find(printer, `${name}-supported`)?.values ?? [];
  for (const name of ['sides', 'print-color-mode', 'media', 'job-sheets'] as const) {
    const value = options[name];
    if (value !== undefined) {
      add(
        keyword(name, value),
        supported(name).some((known) => stringOf(known) === value),
      );
    }
  }
  const { 'page-ranges': ranges, 'number-up': up, 'print-quality': quality } = options;
  if (ranges !== undefined) {
    const values = ranges.map(([lower, upper]) => ({ syntax: 'rangeOfInteger', lower, upper }) as const);
    const [takes] = supported('page-ranges');
    add(attribute('page-ranges', ...values), takes?.syntax === 'boolean' && takes.value);
  }
  if (up !== undefined) {
    add(
      integer('number-up', up),
      supported('number-up').some((known) => includes(known, up)),
    );
  }
  if (quality !== undefined) {
    add(
      enumeration('print-quality', quality),
      supported('print-quality').some((known) => includes(known, quality)),
    );
  }
  if (options.finishings === stapled) {
    const staple = stapleOf(printer);
    if (staple === undefined) result.without.push('finishings');
    else result.attributes.push(enumeration('finishings', staple));
  } else if (options.finishings !== undefined) {
    // the printer may do something by itself
    const known = supported('finishings').some((known) => numberOf(known) === options.finishings);
    if (known) result.attributes.push(enumeration('finishings', options.finishings));
  }
  return result;
}

function includes(known: Value, number: number): boolean {
  if (known.syntax === 'rangeOfInteger') return known.lower <= number && number <= known.upper;
  return numberOf(known) === number;
}
