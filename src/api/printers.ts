/** API routes about printers themselves: how they are, which there are, and which nodes can deliver to them. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import type { Mesh } from '../../mesh/mod.ts';
import { printerName } from '../../mesh/names.ts';
import type { Directory, Printer } from '../directory.ts';
import { conditionLimits, discoverLimits, reachLimits } from '../limits.ts';
import { adviceOf, stateWord } from '../printers/advice.ts';
import type { Condition } from '../printers/condition.ts';
import { discover } from '../printers/discover.ts';
import type { Asking } from '../printers/identity.ts';
import { inParallel } from '../printers/parallel.ts';
import { deliverers } from '../printers/reach.ts';
import type { ReachWatch } from '../printers/reach-watch.ts';
import type { Conditions } from '../printers/status.ts';
import { type Api, type ApiEnv, requireAdmin, signedJson } from './app.ts';
import type { ClientNode } from './submissions.ts';

export interface PrinterDoors {
  directory: Directory;
  conditions: Conditions;
  asking: Asking;
  mesh: Mesh;
  reach: ReachWatch;
}

/** A node that can deliver to a printer, or may. */
export interface Deliverer extends ClientNode {
  /** the node that was asked */
  here: boolean;
  /** null where nobody has tried */
  reaches: boolean | null;
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
  /** names of the nodes that are awake and reach it, as far as they can tell */
  reached_by: string[];
}

export function printerRoutes(api: Api, doors: PrinterDoors): void {
  // ?name=NAME for one printer
  api.get('/v1/printer-states', (c) => states(c, doors));
  api.get('/v1/printers/:name/nodes', (c) => {
    const name = check(printerName, c.req.param('name'));
    return c.json(nodesFor(doors.directory.printer(name), doors));
  });
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

async function states(c: Context<ApiEnv>, doors: PrinterDoors): Promise<Response> {
  const { directory, conditions } = doors;
  const name = check(v.optional(printerName), c.req.query('name'));
  const printers = name === undefined ? directory.printers() : [directory.printer(name)];
  const { signal } = c.req.raw;
  const all = await inParallel(printers, conditionLimits.atOnce, async (printer): Promise<PrinterState> => {
    const { site, uri } = printer;
    const reaching = nodesFor(printer, doors).filter(({ reaches }) => reaches === true);
    const reached_by = reaching.map(({ name }) => name);
    return {
      name: printer.name,
      site,
      uri,
      ...await seen(conditions.conditionOf(printer)(signal)),
      reached_by,
    };
  });
  return c.json(all);
}

async function seen(
  asked: Promise<Condition>,
): Promise<Pick<PrinterState, 'state' | 'advice' | 'condition'>> {
  try {
    const condition = await asked;
    return { state: stateWord(condition), advice: condition.reasons.map(adviceOf), condition };
  } catch (thrown) {
    return { state: 'not reached', advice: [asInkmeshError(thrown).message], condition: null };
  }
}

/** The nodes that are awake and can deliver to a printer, the best first. */
function nodesFor(printer: Printer, { mesh, reach }: PrinterDoors): Deliverer[] {
  const here = { ...mesh.self, here: true, reaches: reach.here(printer) };
  const others = mesh.members().map(({ identity }) => {
    const reaches = identity.site === printer.site ? reach.at(identity.peerId, printer.name) : undefined;
    return { ...identity, here: false, reaches };
  });
  return deliverers([here, ...others], printer.site).slice(0, reachLimits.maxNodes).map((node) => ({
    ...{ name: node.name, site: node.site, peer: node.peerId, here: node.here },
    reaches: node.reaches ?? null,
    at: mesh.clientAddresses(node.peerId),
  }));
}
