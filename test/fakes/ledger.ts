/** A ledger by itself, with its table in memory. */
import type { Trust } from '../../mesh/certificate.ts';
import type { Kind } from '../../mesh/facts.ts';
import { FactLedger } from '../../mesh/ledger.ts';
import type { FactRow, FactTable } from '../../mesh/ports.ts';
import type { NodeKeys } from './mesh.ts';

/** A table in memory. */
export function memoryTable(): FactTable {
  const docs = new Map<string, Map<string, FactRow>>();
  const rows = (doc: string) => [...docs.get(doc)?.values() ?? []];
  return {
    add: (added) => {
      for (const row of added) {
        const byId = docs.get(row.doc) ?? new Map<string, FactRow>();
        docs.set(row.doc, byId);
        if (!byId.has(row.id.toHex())) byId.set(row.id.toHex(), row);
      }
    },
    get: (doc, id) => docs.get(doc)?.get(id.toHex())?.record,
    byDoc: rows,
    idsIn: (doc, octet) => rows(doc).map(({ id }) => id).filter(([first]) => first === octet),
    docs: () => [...docs.keys()],
    remove: (doc, ids) => ids.forEach((id) => docs.get(doc)?.delete(id.toHex())),
    drop: (doc) => void docs.delete(doc),
    snapshot: () => undefined,
    putSnapshot: () => {},
    setAside: () => {},
  };
}

/** Of all facts of a document that others may know. */
export const idsOf = (ledger: FactLedger, doc: string): Uint8Array[] =>
  ledger.idsIn(doc, Array.from({ length: 256 }, (_, octet) => octet));

/** The ledger of a node. */
export async function openLedger(options: {
  self: NodeKeys;
  kinds: readonly Kind[];
  trust: Trust;
  table?: FactTable;
  now_ms?: () => number;
}): Promise<FactLedger> {
  const { self: { identity, issuers, key }, kinds, trust } = options;
  const { table = memoryTable(), now_ms = () => Date.now() } = options;
  return await FactLedger.open({
    ...{ table, kinds, trust, self: { identity, issuers, key, seal: 'age1' } },
    ...{ now_ms, log: () => {} },
  });
}
