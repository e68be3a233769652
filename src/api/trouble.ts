/** Why printers cannot print now, for lists that do not wait for printers. */
import { printable } from '../../mesh/codec.ts';
import { asInkmeshError } from '../../mesh/errors.ts';
import { remember } from '../../mesh/remember.ts';
import type { Printer } from '../directory.ts';
import { conditionLimits, deliverLimits, pageLimits } from '../limits.ts';
import { adviceOf, stateWord } from '../printers/advice.ts';
import type { Conditions } from '../printers/status.ts';

export class Troubles {
  readonly #conditions: Pick<Conditions, 'conditionOf'>;
  /** what was known last, by printer */
  readonly #known = new Map<string, string | undefined>();

  constructor(conditions: Pick<Conditions, 'conditionOf'>) {
    this.#conditions = conditions;
  }

  /**
   * A sentence for people; undefined when nothing is known to be wrong. A printer that takes longer than `patience_ms` is
   * as it was when it was asked before.
   */
  async of(
    printer: Printer,
    patience_ms: number = pageLimits.printerPatience_ms,
  ): Promise<string | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((done) => timer = setTimeout(done, patience_ms));
    await Promise.race([this.#ask(printer), patience]);
    clearTimeout(timer);
    return this.#known.get(printer.name);
  }

  async #ask(printer: Printer): Promise<void> {
    let trouble: string | undefined;
    try {
      const condition = await this.#conditions.conditionOf(printer)(new AbortController().signal);
      const errors = condition.reasons.filter(({ severity }) => severity === 'error').map(adviceOf);
      if (errors.length > 0) trouble = errors.join('; ');
      else if (condition.activity === 'stopped') trouble = stateWord(condition);
    } catch (thrown) {
      trouble = asInkmeshError(thrown).message;
    }
    this.#known.delete(printer.name);
    const said = trouble === undefined ? undefined : printable(trouble, deliverLimits.maxReasonChars);
    remember(this.#known, printer.name, said, conditionLimits.maxKnown);
  }
}
