/** What a printer says of itself by Get-Printer-Attributes (RFC 8011 section 4.2.5). */
import { printable } from '../../mesh/codec.ts';
import { type Attribute, firstNumber, stringsOf } from '../ipp/message.ts';
import { printerStateEnum } from '../ipp/registry.ts';
import { conditionLimits } from '../limits.ts';
import { isStopping } from './advice.ts';
import { type Condition, mergedReasons, type Reason } from './condition.ts';

/** Asked for by name; keywords only, as texts of printers are not always UTF-8. */
export const conditionAttributes = ['printer-state', 'printer-state-reasons'] as const;

export function conditionOfAttributes(printer: readonly Attribute[]): Condition {
  const state = firstNumber(printer, 'printer-state');
  const activity = (['idle', 'processing', 'stopped'] as const).find((name) =>
    printerStateEnum[name] === state
  );
  const said = stringsOf(printer, 'printer-state-reasons').slice(0, conditionLimits.maxReasons);
  const reasons = said.filter((reason) => reason !== 'none' && reason !== '').map((reason) =>
    reasonOf(printable(reason, 255), activity === 'stopped')
  );
  return { activity: activity ?? 'unknown', reasons: mergedReasons(reasons) };
}

/**
 * Without a severity it is `error` by the standard, but printers leave it out where nothing is wrong as well: what is
 * known not to stop a printer, or does not while it is not stopped, is a warning.
 */
function reasonOf(said: string, isStopped: boolean): Reason {
  const [, keyword = said, severity] = /^(.+)-(report|warning|error)$/.exec(said) ?? [];
  if (severity === 'report' || severity === 'warning' || severity === 'error') return { keyword, severity };
  return { keyword, severity: isStopping(keyword) ?? isStopped ? 'error' : 'warning' };
}
