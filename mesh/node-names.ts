/**
 * Which node a name is: a registrar reserves it, by a fact, before it certifies a node under it. Where two registrars
 * have given out one name at once, the earlier reservation counts everywhere, and the other node is told.
 */
import * as v from 'valibot';
import { check } from './codec.ts';
import { type Fact, type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import { nodeName, peerId } from './names.ts';
import { revokedSince } from './revocation.ts';

const nameBody = v.strictObject({ peer: peerId });

/** Its subject is the name of a node. */
export const nameKind: Kind<typeof nameBody> = {
  name: 'name',
  body: nameBody,
  check(fact, author) {
    registrarOnly(fact, author);
    check(nodeName, fact.subject);
  },
};

/** What is looked up of the ledger. */
export interface Names extends KnownFacts {
  /** oldest first */
  about(kind: string, subject: string): readonly Fact[];
  nodes(): { name: string; peerId: string }[];
}

/** PeerId of the node that a name is reserved for; a revoked node has none any more. */
export function reservedFor(known: Names, name: string): string | undefined {
  return known.about(nameKind.name, name)
    .map((fact) => (fact.body as v.InferOutput<typeof nameBody>).peer)
    .find((peer) => revokedSince(known, 'node', peer) === undefined);
}

/** Whether another node than `peer` has the name. */
export function nameTaken(known: Names, name: string, peer: string): boolean {
  const reserved = reservedFor(known, name);
  if (reserved !== undefined) return reserved !== peer;
  // the first node of an organisation is named by nobody but itself
  return known.nodes().some((node) =>
    node.name === name && node.peerId !== peer && revokedSince(known, 'node', node.peerId) === undefined
  );
}
