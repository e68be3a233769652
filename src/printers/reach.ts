/** Which node is to deliver to a printer: one that can connect to it. Pure. */

/** A node that may be asked to deliver. */
export interface Candidate {
  site: string;
  /** whether it is the node that is asked */
  here: boolean;
  /** undefined where nobody has tried */
  reaches: boolean | undefined;
}

/**
 * The nodes that may deliver, the best first: who reaches the printer, then who may, of the printer's site before
 * others; the node that is asked before its equals, as it costs no further step. Who cannot reach it is left out.
 */
export function deliverers<C extends Candidate>(candidates: readonly C[], printerSite: string): C[] {
  const rank = ({ reaches, site, here }: Candidate) =>
    (reaches === true ? 0 : 4) + (site === printerSite ? 0 : 2) + (here ? 0 : 1);
  return candidates.filter(({ reaches }) => reaches !== false).sort((a, b) => rank(a) - rank(b));
}
