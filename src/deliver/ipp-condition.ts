/** What an IPP printer says of how it is, besides what its job does (RFC 8011 sections 5.4.11 and 5.4.12). */
import { type Attribute, firstNumber, stringsOf } from '../ipp/message.ts';
import { printerStateEnum } from '../ipp/registry.ts';
import type { Condition, Reason } from '../printers/condition.ts';

export const conditionNames = ['printer-state', 'printer-state-reasons'] as const;

/** Its `printer-state-reasons`; one without a severity is an error. */
export function stateReasons(printer: readonly Attribute[]): Reason[] {
  return stringsOf(printer, 'printer-state-reasons').filter((reason) => reason !== 'none').map((reason) => {
    const [, keyword = reason, severity = 'error'] = /^(.+)-(report|warning|error)$/.exec(reason) ?? [];
    return { keyword, severity: severity as Reason['severity'] };
  });
}

export function ippCondition(printer: readonly Attribute[]): Condition {
  const state = firstNumber(printer, 'printer-state');
  const activities = ['idle', 'processing', 'stopped'] as const;
  const activity = activities.find((name) => printerStateEnum[name] === state) ?? 'unknown';
  return { activity, reasons: stateReasons(printer) };
}
