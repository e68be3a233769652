/**
 * The tables of a node in memory, for sites of many: what all nodes knew before they started is one copy, each has
 * what came later for itself.
 */
import type { Age } from '../../mesh/age.ts';
import type { ClaimRow, FactRow, FactTable, Invite, Piece, Spool, Storage } from '../../mesh/ports.ts';

/** What is in the tables from the start, by document. */
export type Known = ReadonlyMap<string, { rows: ReadonlyMap<string, FactRow>; snapshot: Uint8Array }>;

/** Rows by their ids in hexadecimal. */
export const byId = (rows: readonly FactRow[]) => new Map(rows.map((row) => [row.id.toHex(), row]));

function facts(known: Known): FactTable {
  const own = new Map<string, Map<string, FactRow>>();
  const gone = new Set<string>();
  const snapshots = new Map<string, Uint8Array>();
  const basis = (doc: string) => gone.has(doc) ? undefined : known.get(doc)?.rows;
  const byDoc = (doc: string) => [...basis(doc)?.values() ?? [], ...own.get(doc)?.values() ?? []];
  const find = (doc: string, name: string) => own.get(doc)?.get(name) ?? basis(doc)?.get(name);
  return {
    add: (rows) => {
      for (const row of rows) {
        const name = row.id.toHex();
        if (find(row.doc, name) !== undefined) continue;
        const added = own.get(row.doc) ?? new Map<string, FactRow>();
        own.set(row.doc, added);
        added.set(name, row);
      }
    },
    get: (doc, id) => find(doc, id.toHex())?.record,
    byDoc,
    idsIn: (doc, octet) => byDoc(doc).map(({ id }) => id).filter(([first]) => first === octet),
    docs: () => [
      ...new Set(
        [...known.keys()].filter((doc) => !gone.has(doc)).concat([...own.keys(), ...snapshots.keys()]),
      ),
    ],
    remove: (doc, ids) => {
      const left = byDoc(doc).filter(({ id }) => !ids.some((one) => one.toHex() === id.toHex()));
      gone.add(doc);
      own.set(doc, byId(left));
    },
    drop: (doc) => {
      gone.add(doc);
      own.delete(doc);
      snapshots.delete(doc);
    },
    snapshot: (doc) => snapshots.get(doc) ?? (gone.has(doc) ? undefined : known.get(doc)?.snapshot),
    putSnapshot: (doc, state) => void snapshots.set(doc, state),
    setAside: (doc) => void snapshots.delete(doc),
  };
}

const unused = () => {
  throw new TypeError('no documents are kept in this simulation');
};

/** Of a node that holds no documents. */
export function memoryTables(known: Known): Storage {
  const addresses = new Map<string, readonly string[]>();
  const claims = new Map<string, ClaimRow>();
  const invites = new Map<string, Invite>();
  let age: Age | undefined;
  return {
    together: (change) => Promise.resolve(change()),
    facts: facts(known),
    age: { get: () => age, put: (next) => void (age = next) },
    pieces: {
      put: unused,
      get: (): Piece | undefined => undefined,
      list: () => [],
      jobs: () => [],
      ofOwner: () => [],
      seal: unused,
      markSealed: unused,
      setLease: unused,
      dropShare: unused,
      countOf: () => 0,
      handoffs: () => [],
      dropHandoff: unused,
      remove: unused,
    },
    claims: {
      put: (row) => void claims.set(row.claim, row),
      list: () => [...claims.values()],
      remove: (claim) => Promise.resolve(void claims.delete(claim)),
    },
    invites: {
      put: (invite) => void invites.set(invite.secretHash, invite),
      get: (secretHash) => invites.get(secretHash),
      list: () => [...invites.values()],
      redeem: () => false,
    },
    addresses: {
      list: () => [...addresses].map(([peer, list]) => ({ peer, addresses: [...list] })),
      put: (peer, list) => void addresses.set(peer, list),
    },
  };
}

export const noSpool: Spool = {
  create: unused,
  open: () => Promise.resolve(undefined),
  remove: () => Promise.resolve(),
  list: () => Promise.resolve([]),
};
