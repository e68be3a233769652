/** A cloud node keeps no documents: there is no place for one, whatever asks for it. */
import { InkmeshError } from '../mesh/errors.ts';
import type { Spool } from '../mesh/mod.ts';

export const noSpool: Spool = {
  create: () => Promise.reject(new InkmeshError('forbidden', 'a cloud node keeps no documents')),
  open: () => Promise.resolve(undefined),
  remove: () => Promise.resolve(),
  list: () => Promise.resolve([]),
};
