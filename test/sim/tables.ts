/** A node's tables in memory: what is put in and what is given out are copies, as those of a database are. */
import type { ClaimRow, ClaimTable, FactTable, Piece, PieceTable, Storage } from '../../mesh/ports.ts';
import { memoryTables } from './scale-tables.ts';

export function tables(): Storage {
  const rest = memoryTables(new Map());
  const pieces = new Map<string, Piece>();
  return {
    ...rest,
    age: {
      get: rest.age.get,
      put: (age, missed_ms) => {
        rest.age.put(age, missed_ms);
        if (age.off) return;
        for (const piece of pieces.values()) {
          if (piece.afterOff) piece.stored_ms += missed_ms;
          piece.afterOff = false;
        }
      },
    },
    pieces: pieceTable(pieces, rest.facts),
    claims: claimTable(),
  };
}

const copyOf = (piece: Piece): Piece => ({
  ...piece,
  ...{ ticket: piece.ticket.slice(), share: piece.share.slice(), header: piece.header.slice() },
  ...{ lease: piece.lease.slice(), handoff: piece.handoff?.slice() ?? null },
});

function pieceTable(pieces: Map<string, Piece>, facts: FactTable): PieceTable {
  const change = (job: string, changes: Partial<Piece>) => {
    const piece = pieces.get(job);
    if (piece !== undefined) pieces.set(job, { ...piece, ...changes });
  };
  return {
    put: (piece) => {
      if (pieces.has(piece.job)) throw new Error(`a piece of ${piece.job} is there already`);
      pieces.set(piece.job, copyOf(piece));
      return Promise.resolve();
    },
    get: (job) => {
      const piece = pieces.get(job);
      return piece === undefined ? undefined : copyOf(piece);
    },
    list: () => [...pieces.values()].map(copyOf),
    jobs: () => [...pieces.keys()],
    ofOwner: (user) => [...pieces.values()].filter(({ owner }) => owner === user).map(copyOf),
    countOf: (author) => [...pieces.values()].filter((piece) => piece.acceptedBy === author).length,
    seal: (job, fact, handoff) => {
      change(job, { sealed: true, handoff: handoff?.slice() ?? null });
      facts.add([fact]);
      return Promise.resolve();
    },
    markSealed: (job) => change(job, { sealed: true }),
    setLease: (job, lease) => change(job, { lease: lease.slice() }),
    dropShare: (job) => change(job, { share: new Uint8Array(0), handoff: null }),
    handoffs: () => [...pieces.values()].filter(({ handoff }) => handoff !== null).map(({ job }) => job),
    dropHandoff: (job) => change(job, { handoff: null }),
    remove: (job) => Promise.resolve(void pieces.delete(job)),
  };
}

function claimTable(): ClaimTable {
  const claims = new Map<string, ClaimRow>();
  const copyOf = (row: ClaimRow): ClaimRow => ({
    ...row,
    holders: [...row.holders],
    receipts: row.receipts.map(({ holder, signature }) => ({ holder, signature: signature.slice() })),
  });
  return {
    put: (row) => void claims.set(row.claim, copyOf(row)),
    list: () => [...claims.values()].map(copyOf),
    remove: (claim) => Promise.resolve(void claims.delete(claim)),
  };
}
