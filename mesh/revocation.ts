/**
 * Who is shut out: signed facts of registrars about a node, a device or a user. They only grow, so that no order of
 * arrival lets anybody back in; of several about one subject the first counts.
 */
import * as v from 'valibot';
import type { UserIdentity } from './certificate.ts';
import { check } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { type Kind, type KnownFacts, registrarOnly } from './facts.ts';
import { peerId, userName, uuid } from './names.ts';

/** A node by its PeerId, a device by its UUID, a user by name. */
export type Revocable = 'node' | 'device' | 'user';

const revokedBody = v.strictObject({});

const names = { node: peerId, device: uuid, user: userName } as const;

/** Its subject is `node:PEERID`, `device:UUID` or `user:NAME`. */
export const revokedKind: Kind<typeof revokedBody> = {
  name: 'revoked',
  body: revokedBody,
  check(fact, author) {
    registrarOnly(fact, author);
    const [, what, id] = /^(node|device|user):(.+)$/.exec(fact.subject) ?? [];
    if (what === undefined) {
      throw new InkmeshError('bad-request', 'only nodes, devices and users are revoked');
    }
    check(names[what as Revocable], id);
  },
};

/** The subject of the facts that revoke somebody. */
export const revocationOf = (what: Revocable, id: string): string => `${what}:${id}`;

/** When somebody was revoked, by the clock of the registrar that did it; undefined for who is not. */
export function revokedSince(known: KnownFacts, what: Revocable, id: string): number | undefined {
  return known.first(revokedKind.name, revocationOf(what, id))?.time_ms;
}

/** @throws InkmeshError `forbidden` when the device, or its user altogether, is revoked */
export function refuseRevoked(known: KnownFacts, by: Pick<UserIdentity, 'user' | 'device'>): void {
  if (revokedSince(known, 'device', by.device) !== undefined) {
    throw new InkmeshError('forbidden', 'this device is revoked: ask an administrator for a new invitation');
  }
  refuseRevokedUser(known, by.user);
}

/** @throws InkmeshError `forbidden` when the user is revoked */
export function refuseRevokedUser(known: KnownFacts, user: string): void {
  if (revokedSince(known, 'user', user) === undefined) return;
  throw new InkmeshError('forbidden', `the user ${user} is revoked: ask an administrator`);
}
