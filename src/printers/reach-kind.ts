/** What nodes tell each other of the printers that they can connect to. */
import * as v from 'valibot';
import { InkmeshError } from '../../mesh/errors.ts';
import { jobsDoc, type Kind, type KnownFacts } from '../../mesh/mod.ts';
import { printerName } from '../../mesh/names.ts';
import { reachLimits } from '../limits.ts';

const names = v.pipe(v.array(printerName), v.maxLength(reachLimits.maxTold));
const reachBody = v.strictObject({ reached: names, unreached: names });

export type Reach = v.InferOutput<typeof reachBody>;

/** Its subject is the node that states it. It is of a day, and goes with it: nodes say again what still holds. */
export const reachKind: Kind<typeof reachBody> = {
  name: 'reach',
  body: reachBody,
  check(fact, author) {
    if (fact.subject !== fact.author) throw new InkmeshError('forbidden', 'a node tells of itself only');
    if (fact.doc !== jobsDoc(author.site, fact.time_ms)) {
      throw new InkmeshError('forbidden', 'what a node reaches belongs to its site and day');
    }
  },
};

/** Whether a node has said that it reaches a printer of its site; undefined where it has said nothing. */
export function reachSaid(known: KnownFacts, peer: string, printer: string): boolean | undefined {
  const body = known.latest(reachKind.name, peer)?.body as Reach | undefined;
  return body?.reached.includes(printer) ? true : body?.unreached.includes(printer) ? false : undefined;
}
