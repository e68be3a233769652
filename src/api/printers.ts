/** API routes about printers themselves: how they are, and which there are. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { printerName } from '../../mesh/names.ts';
import type { Directory, Printer } from '../directory.ts';
import { conditionLimits, discoverLimits } from '../limits.ts';
import { adviceOf, stateWord } from '../printers/advice.ts';
import type { Condition } from '../printers/condition.ts';
import { discover } from '../printers/discover.ts';
import type { Asking } from '../printers/identity.ts';
import { inParallel } from '../printers/parallel.ts';
import type { Conditions } from '../printers/status.ts';
import { type Api, type ApiEnv, requireAdmin, signedJson } from './app.ts';

export interface PrinterDoors {
  directory: Directory;
  conditions: Conditions;
  asking: Asking;
}

const discoverRequest = v.strictObject({
  subnets: v.pipe(v.array(text(32)), v.maxLength(discoverLimits.maxSubnets)),
});

/** How a printer is, as this node sees it. */
export interface PrinterState {
  name: string;
  site: string;
  uri: string;
  /** `ready`, `printing`, `needs help`, …; `not reached` where it does not answer this node */
  state: string;
  /** what is to be done, the most urgent first */
  advice: string[];
  /** null where it does not answer */
  condition: Condition | null;
}

export function printerRoutes(api: Api, doors: PrinterDoors): void {
  // ?name=NAME for one printer
  api.get('/v1/printer-states', (c) => states(c, doors));
  let looking = false;
  api.post('/v1/discover', async (c) => {
    requireAdmin(c);
    const { subnets } = check(discoverRequest, await signedJson(c));
    if (looking) {
      throw new InkmeshError('busy', 'this node is looking for printers already: try again in a minute');
    }
    looking = true;
    try {
      return c.json(await discover(subnets, doors.directory.printers(), doors.asking));
    } finally {
      looking = false;
    }
  });
}

async function states(c: Context<ApiEnv>, { directory, conditions }: PrinterDoors): Promise<Response> {
  const name = check(v.optional(printerName), c.req.query('name'));
  const printers = name === undefined ? directory.printers() : [directory.printer(name)];
  const { signal } = c.req.raw;
  const all = await inParallel(
    printers,
    conditionLimits.atOnce,
    (printer) => stateOf(printer, conditions, signal),
  );
  return c.json(all);
}

async function stateOf(printer: Printer, conditions: Conditions, signal: AbortSignal): Promise<PrinterState> {
  const { name, site, uri } = printer;
  try {
    const condition = await conditions.conditionOf(printer)(signal);
    const advice = condition.reasons.map(adviceOf);
    return { name, site, uri, state: stateWord(condition), advice, condition };
  } catch (thrown) {
    const advice = [asInkmeshError(thrown).message];
    return { name, site, uri, state: 'not reached', advice, condition: null };
  }
}
