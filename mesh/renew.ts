/**
 * Renewal: certificates last 90 days, and whoever has a third of that left asks a registrar for the next one, for the
 * same key, name and site. A node whose certificate has lapsed is no member any more, and still gets a new one for 30
 * days: after a summer in a drawer it needs nobody. Who is revoked gets none.
 */
import * as v from 'valibot';
import { type Authority, issueUser } from './authority.ts';
import { type NodeIdentity, type Trust, type UserIdentity, verifyIdentity } from './certificate.ts';
import { text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import type { KnownFacts } from './facts.ts';
import { certificate, certificates, certifyNode, type NodeCertificates, nodeCertificates } from './issue.ts';
import { maxMessageBytes, renewGrace_ms } from './limits.ts';
import type { Log } from './ports.ts';
import { leaf_ms } from './profile.ts';
import { verifyRequest } from './request.ts';
import { refuseRevoked, revokedSince } from './revocation.ts';
import type { Method, Rpc } from './rpc.ts';
import { hostOf } from './address.ts';

const renewRequest = v.strictObject({ leaf: certificate, issuers: certificates });

/** Asked with the certificate that is to be renewed; open to anyone, as a lapsed one opens nothing else. */
export const renewMethod: Method<typeof renewRequest, typeof nodeCertificates> = {
  name: 'renew',
  request: renewRequest,
  reply: nodeCertificates,
  admission: 'anyone',
};

const deviceRequest = v.strictObject({ proof: text(32 * 1024) });
const deviceReply = v.strictObject({ leaf: certificate, issuers: certificates });
/** DER: a device's certificate and its issuers. */
export type DeviceCertificates = v.InferOutput<typeof deviceReply>;

/** Asked by a member for a device that has signed `renewPurpose` for it. */
export const renewDeviceMethod: Method<typeof deviceRequest, typeof deviceReply> = {
  name: 'renew-device',
  request: deviceRequest,
  reply: deviceReply,
  admission: 'member',
  maxBytes: maxMessageBytes,
};

/** What a device signs to have its certificate renewed, for the node that it hands this to. */
export const renewPurpose = { method: 'POST', path: '/renew' } as const;

/** Whether a certificate with this end is to be renewed: a third of its life is left, or less. */
export function isDue({ notAfter }: { notAfter: number }, now_ms: number): boolean {
  return notAfter - now_ms <= leaf_ms / 3;
}

/**
 * A node's certificate, also when it has lapsed no longer than `renewGrace_ms` ago.
 * @throws InkmeshError `unauthenticated`
 */
export async function verifyRenewable(
  trust: Trust,
  leaf: Uint8Array,
  issuers: readonly Uint8Array[],
  now_ms: number,
): Promise<NodeIdentity> {
  const identity = await verifyIdentity(trust, leaf, issuers, now_ms).catch((refused: unknown) =>
    // what was valid then, and not any more, has lapsed since
    verifyIdentity(trust, leaf, issuers, now_ms - renewGrace_ms).catch(() => Promise.reject(refused))
  );
  if (identity.kind !== 'node') throw new InkmeshError('unauthenticated', 'the certificate is not a node’s');
  return identity;
}

export interface RenewerOptions {
  rpc: Rpc;
  trust: Trust;
  ledger: KnownFacts;
  log: Log;
  /** agreed with the peers: a registrar's own clock may be off by more than a certificate has left */
  now_ms(): number;
  /** undefined while this node is no registrar */
  authority(): Authority | undefined;
}

/** Renews certificates of others on a registrar. */
export async function serveRenewal(options: RenewerOptions): Promise<void> {
  const { rpc, trust, ledger, log } = options;
  await rpc.handle(renewMethod, async ({ from, link, request }) => {
    const authority = mustIssue(options.authority());
    const now_ms = options.now_ms();
    const shown = await verifyRenewable(trust, request.leaf, request.issuers, now_ms);
    if (shown.peerId !== from) {
      throw new InkmeshError('unauthenticated', 'the certificate is not that of the node that sent it');
    }
    const seenAt = [hostOf(link.remote)].filter((host) => host !== undefined);
    const reply = await renewedNode(authority, ledger, shown, seenAt, now_ms);
    log('info', 'a node’s certificate was renewed', { node: shown.name, peer: from });
    return { reply };
  });
  await rpc.handle(renewDeviceMethod, async ({ from, request }) => {
    const authority = mustIssue(options.authority());
    const expected = { ...renewPurpose, audience: from };
    const now_ms = options.now_ms();
    const { by } = await verifyRequest(trust, request.proof, expected, now_ms);
    const reply = await renewedDevice(authority, ledger, by, now_ms);
    log('info', 'a device’s certificate was renewed', { user: by.user, device: by.device });
    return { reply };
  });
}

/**
 * New certificates for a node, with the roles of the newest certificate that is known.
 * @param shown a certificate of its own that has been checked
 * @throws InkmeshError `forbidden` when it is revoked, `conflict` when it is too early
 */
export async function renewedNode(
  authority: Authority,
  known: KnownFacts,
  shown: NodeIdentity,
  seenAt: readonly string[],
  now_ms: number,
): Promise<NodeCertificates> {
  if (revokedSince(known, 'node', shown.peerId) !== undefined) {
    throw new InkmeshError('forbidden', 'this node is revoked: its certificate is not renewed');
  }
  if (!isDue(shown, now_ms)) throw new InkmeshError('conflict', 'this certificate is not due yet');
  const recorded = known.identity(shown.peerId);
  // whoever shows an old certificate does not get back the roles that it had then
  const { roles } = recorded !== undefined && recorded.notAfter > shown.notAfter ? recorded : shown;
  const { name, site, peerId, publicKey } = shown;
  return await certifyNode(authority, { name, site, peerId, roles, publicKey }, seenAt, now_ms);
}

/** @throws InkmeshError `forbidden` when it, or its user, is revoked; `conflict` when it is too early */
export async function renewedDevice(
  authority: Authority,
  known: KnownFacts,
  by: UserIdentity,
  now_ms: number,
): Promise<DeviceCertificates> {
  refuseRevoked(known, by);
  if (!isDue(by, now_ms)) throw new InkmeshError('conflict', 'this certificate is not due yet');
  const { user, device, roles, publicKey } = by;
  const leaf = await issueUser(authority, { user, device, roles, publicKey }, now_ms);
  return { leaf, issuers: [authority.meshIssuer.der] };
}

/** @throws InkmeshError `unavailable` on a node that is no registrar */
export function mustIssue(authority: Authority | undefined): Authority {
  if (authority !== undefined) return authority;
  throw new InkmeshError('unavailable', 'this node is no registrar');
}
