/**
 * What it takes to make a registrar again when its machine is lost: the issuers, every fact of the directory, open
 * invitations, and where the others are. As a file it is locked under a passphrase, for it is the organisation.
 */
import * as v from 'valibot';
import { type Authority, exportAuthority, importAuthority, lock, unlock } from './authority.ts';
import { readIdentity } from './certificate.ts';
import { bytes, decode, encode, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { directoryDoc, type Fact, idOf, readFact } from './facts.ts';
import { maxAddressChars, maxAddressesPerPeer, maxBackupBytes, maxFactBytes } from './limits.ts';
import { peerId } from './names.ts';
import { nameKind } from './node-names.ts';
import { nodeKind } from './node-fact.ts';
import type { Storage } from './ports.ts';
import { revocationOf, revokedKind } from './revocation.ts';

const backupSchema = v.strictObject({
  version: v.literal(1),
  /** an AuthorityFile */
  authority: v.unknown(),
  records: v.array(bytes(1, maxFactBytes)),
  invites: v.array(v.strictObject({
    secretHash: text(64),
    kind: v.picklist(['node', 'user']),
    site: text(63),
    user: v.nullable(text(64)),
    roles: v.array(text(32)),
    usesLeft: integer(0, Number.MAX_SAFE_INTEGER),
    expires_ms: integer(0, Number.MAX_SAFE_INTEGER),
    tokenLife_ms: v.nullable(integer(0, Number.MAX_SAFE_INTEGER)),
  })),
  addresses: v.array(v.strictObject({
    peer: peerId,
    addresses: v.pipe(v.array(text(maxAddressChars)), v.maxLength(maxAddressesPerPeer)),
  })),
});

type Tables = Pick<Storage, 'facts' | 'invites' | 'addresses'>;

/** @returns `file`: age, scrypt, under `passphrase`, which is kept nowhere */
export async function exportBackup(
  authority: Authority,
  tables: Tables,
): Promise<{ file: Uint8Array; passphrase: string }> {
  const content: v.InferOutput<typeof backupSchema> = {
    version: 1,
    authority: await exportAuthority(authority),
    records: tables.facts.byDoc(directoryDoc).map(({ record }) => record),
    invites: tables.invites.list(),
    addresses: tables.addresses.list(),
  };
  return await lock(encode(content));
}

export interface Backup {
  readonly authority: Authority;
  /** names of nodes that are not revoked */
  readonly nodes: ReadonlySet<string>;
  /** Puts all that it holds into the empty tables of a new node. */
  restore(tables: Tables): void;
}

/** @throws InkmeshError `unauthenticated` for another passphrase, `bad-request` for what is no such file */
export async function openBackup(file: Uint8Array, passphrase: string): Promise<Backup> {
  if (file.length > maxBackupBytes) throw new InkmeshError('too-large', 'this is no export of inkmesh');
  const content = decode(backupSchema, await unlock(file, passphrase));
  const authority = await importAuthority(content.authority);
  return {
    authority,
    nodes: await nodesIn(authority, content.records),
    restore: ({ facts, invites, addresses }) => {
      facts.add(content.records.map((record) => ({ doc: directoryDoc, id: idOf(record), record })));
      for (const invite of content.invites) {
        if (invites.get(invite.secretHash) === undefined) invites.put(invite);
      }
      for (const { peer, addresses: known } of content.addresses) addresses.put(peer, known);
    },
  };
}

async function nodesIn({ trust }: Authority, records: readonly Uint8Array[]): Promise<Set<string>> {
  const facts = records.map(readFact);
  const revoked = new Set(
    facts.filter(({ fact }) => fact.kind === revokedKind.name).map(({ fact }) => fact.subject),
  );
  const isOut = (peer: string) => revoked.has(revocationOf('node', peer));
  const names = new Set<string>();
  for (const { fact, bodyBytes } of facts) {
    const named = await nameIn(fact, bodyBytes, trust);
    if (named !== undefined && !isOut(named.peer)) names.add(named.name);
  }
  return names;
}

async function nameIn(
  { kind, subject }: Fact,
  bodyBytes: Uint8Array,
  trust: Authority['trust'],
): Promise<{ name: string; peer: string } | undefined> {
  if (kind === nameKind.name) return { name: subject, peer: decode(nameKind.body, bodyBytes).peer };
  if (kind !== nodeKind.name) return undefined;
  const { leaf, issuers } = decode(nodeKind.body, bodyBytes);
  const identity = await readIdentity(trust, leaf, issuers);
  return identity.kind === 'node' ? { name: identity.name, peer: identity.peerId } : undefined;
}
