/**
 * Redeeming a join token or an invitation. The registrar first shows that it speaks for the organisation whose
 * fingerprint the token carries; only then is the secret sent, with a certification request (PKCS#10) that
 * proves the new key. A node and a user's device enrol the same way.
 */
import * as v from 'valibot';
import { hostOf } from './address.ts';
import { type Authority, issueUser, readRequest } from './authority.ts';
import { readTrust, type Trust, verifyIdentity } from './certificate.ts';
import { isCloud } from './cloud.ts';
import { bytes, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { directoryDoc } from './facts.ts';
import { certificate, certificates, certifyNode, type NodeCertificates } from './issue.ts';
import type { FactLedger } from './ledger.ts';
import { enrolAnswer_ms, maxAddressChars, maxAddressesPerPeer, tokenLife_ms } from './limits.ts';
import { nodeName, type Role, roles, uuid } from './names.ts';
import { nameKind, nameTaken, reservedFor } from './node-names.ts';
import type { Clock, InviteTable, Link, Log } from './ports.ts';
import { mustIssue } from './renew.ts';
import { revokedSince } from './revocation.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';
import type { Self } from './self.ts';
import { deviceOf, tokenKind } from './submit-token.ts';
import { hashSecret } from './token.ts';

/** characters of a host name */
const maxOriginChars = 253;

const offerReply = v.strictObject({ root: certificate, leaf: certificate, issuers: certificates });
const offer: Method<typeof noReply, typeof offerReply> = {
  name: 'enrol-offer',
  request: noReply,
  reply: offerReply,
  admission: 'anyone',
};

const enrolRequest = v.strictObject({
  secret: bytes(16, 32),
  request: bytes(1, 4096),
  subject: v.variant('kind', [
    v.strictObject({
      kind: v.literal('node'),
      name: nodeName,
      /** where the node will listen: the registrar tries to reach it there */
      addresses: v.pipe(v.array(text(maxAddressChars)), v.maxLength(maxAddressesPerPeer)),
    }),
    v.strictObject({
      kind: v.literal('user'),
      device: uuid,
      /** SHA-256 of a submit token that the device has made, and keeps */
      tokenHash: bytes(32, 32),
    }),
  ]),
});
export type EnrolSubject = v.InferOutput<typeof enrolRequest>['subject'];

const enrolReply = v.strictObject({
  leaf: certificate,
  issuers: certificates,
  /** for a node: its TLS certificate and issuer */
  tls: v.optional(v.strictObject({ leaf: certificate, issuer: certificate })),
  site: text(63),
  user: v.nullable(text(64)),
  /** false when the registrar could not reach the node where it listens; null for a device, or through a relay */
  reachable: v.nullable(v.boolean()),
  notAfter_ms: integer(0, Number.MAX_SAFE_INTEGER),
});
export type Enrolment = v.InferOutput<typeof enrolReply>;

const enrol: Method<typeof enrolRequest, typeof enrolReply> = {
  name: 'enrol',
  request: enrolRequest,
  reply: enrolReply,
  admission: 'anyone',
};

export const enrolBrowserRequest = v.strictObject({
  secret: bytes(16, 32),
  request: bytes(1, 4096),
  device: uuid,
  /** SHA-256 of a submit token that the browser has made */
  tokenHash: bytes(32, 32),
  /** the host name at which the browser has met the node that asks for it */
  origin: v.pipe(text(maxOriginChars), v.regex(/^[\w.:[\]-]+$/, 'expected the name or address of a host')),
});
export type EnrolBrowser = v.InferOutput<typeof enrolBrowserRequest>;

/** Asked by a member for a browser, which can reach no registrar itself. */
export const enrolBrowserMethod: Method<typeof enrolBrowserRequest, typeof enrolReply> = {
  name: 'enrol-browser',
  request: enrolBrowserRequest,
  reply: enrolReply,
  admission: 'member',
};

export interface RegistrarOptions {
  rpc: Rpc;
  self: Self;
  ledger: FactLedger;
  invites: InviteTable;
  clock: Clock;
  log: Log;
  /** tries to connect to a node that is just enrolling */
  reaches(peer: string, addresses: readonly string[]): Promise<boolean>;
}

/** Serves enrolment, on a node that is a registrar or becomes one. */
export async function serveEnrolment(options: RegistrarOptions): Promise<void> {
  const { rpc, self } = options;
  await rpc.handle(offer, () => {
    const { root } = mustIssue(self.authority).trust;
    return Promise.resolve({ reply: { root, leaf: self.identity.der, issuers: self.issuers } });
  });
  await rpc.handle(enrolBrowserMethod, async ({ from, request }) => ({
    reply: await enrolBrowser(options, request, from),
  }));
  await rpc.handle(enrol, async ({ from, link, request }) => {
    const authority = mustIssue(self.authority);
    const { subject } = request;
    const invite = findInvite(options, request.secret, subject);
    const publicKey = await readRequest(request.request);
    const how = { authority, invite, publicKey, secret: request.secret };
    return {
      reply: subject.kind === 'node'
        ? await enrolNode(options, how, subject, from, link)
        : await enrolDevice(options, how, subject),
    };
  });
}

/** Enrols a browser on a registrar. @param through the node that it came to @throws InkmeshError as by `enrol` */
export async function enrolBrowser(
  options: RegistrarOptions,
  { secret, request, device, tokenHash, origin }: EnrolBrowser,
  through: string,
): Promise<Enrolment> {
  const authority = mustIssue(options.self.authority);
  const subject = { kind: 'user', device, tokenHash } as const;
  // first what costs least
  const invite = findInvite(options, secret, subject);
  const publicKey = await readRequest(request);
  options.log('info', 'a browser enrols through a node', { through, origin, device });
  // not what it says, but who it is: the page that it serves can have this credential sign. One that has stated nothing
  // may be a cloud node
  const node = options.ledger.identity(through);
  const isMarked = node === undefined || isCloud(node);
  const roles: Role[] = isMarked ? [...new Set<Role>([...invite.roles, 'cloud'])] : invite.roles;
  const how = { authority, invite: { ...invite, roles }, publicKey, secret };
  return await enrolDevice(options, how, { ...subject, origin });
}

type SubjectOf<Kind> = Extract<EnrolSubject, { kind: Kind }>;

interface Redeemed {
  authority: Authority;
  invite: Found;
  publicKey: CryptoKey;
  secret: Uint8Array;
}

async function enrolNode(
  options: RegistrarOptions,
  { authority, invite, publicKey, secret }: Redeemed,
  { name, addresses }: SubjectOf<'node'>,
  from: string,
  link: Link,
): Promise<Enrolment> {
  const { ledger, clock } = options;
  if (revokedSince(ledger, 'node', from) !== undefined) {
    throw new InkmeshError('forbidden', 'this node is revoked: join with a new data directory');
  }
  await reserveName(ledger, name, from);
  redeemInvite(options, secret);
  const { site, roles } = invite;
  const seenAt = [hostOf(link.remote)].filter((host) => host !== undefined);
  const subject = { name, site, peerId: from, roles, publicKey };
  const given = await certifyNode(authority, subject, seenAt, clock.wall_ms());
  // where it comes through a cloud node nobody is to dial it from here
  const reachable = link.relay === null ? await options.reaches(from, addresses) : null;
  options.log('info', 'a node was enrolled', { node: name, site, peer: from });
  return await answer(options, authority, invite, given, reachable);
}

async function enrolDevice(
  options: RegistrarOptions,
  { authority, invite, publicKey, secret }: Redeemed,
  { device, tokenHash, origin }: SubjectOf<'user'> & { origin?: string },
): Promise<Enrolment> {
  const { ledger, clock } = options;
  const user = invite.user as string;
  if (revokedSince(ledger, 'user', user) !== undefined) {
    throw new InkmeshError('forbidden', `the user ${user} is revoked: ask an administrator`);
  }
  // hashes are no secret: whoever enrols with another's must not get that one's jobs
  if (deviceOf(ledger, tokenHash) !== undefined) {
    throw new InkmeshError('conflict', 'this submit token is known already: log in again');
  }
  redeemInvite(options, secret);
  const subject = { user, device, roles: invite.roles, publicKey };
  const leaf = await issueUser(authority, subject, clock.wall_ms());
  const token = {
    ...{ user, device, expires_ms: clock.wall_ms() + (invite.tokenLife_ms ?? tokenLife_ms) },
    ...(origin === undefined ? {} : { origin }),
    ...(isCloud(invite) ? { cloud: true } : {}),
  };
  await ledger.state(tokenKind, () => directoryDoc, tokenHash.toHex(), token);
  options.log('info', 'a device was enrolled', { user, device });
  return await answer(options, authority, invite, { leaf, issuers: [authority.meshIssuer.der] }, null);
}

/** @throws InkmeshError `conflict` when another node has the name, or gets it in this moment */
async function reserveName(ledger: FactLedger, name: string, peer: string): Promise<void> {
  const refuseTaken = () => {
    if (!nameTaken(ledger, name, peer)) return;
    throw new InkmeshError(
      'conflict',
      `another node is called "${name}": give this one another --node NAME, or revoke that one first`,
    );
  };
  refuseTaken();
  if (reservedFor(ledger, name) === peer) return;
  await ledger.state(nameKind, () => directoryDoc, name, { peer });
  refuseTaken();
}

function redeemInvite({ invites }: RegistrarOptions, secret: Uint8Array): void {
  if (invites.redeem(hashSecret(secret))) return;
  throw new InkmeshError('unauthenticated', 'this token has been used up: ask for a new one');
}

interface Found {
  site: string;
  user: string | null;
  roles: Role[];
  tokenLife_ms: number | null;
}

/** @throws InkmeshError `unauthenticated` unless the secret is that of an invitation for such a subject */
function findInvite(options: RegistrarOptions, secret: Uint8Array, subject: EnrolSubject): Found {
  const invite = options.invites.get(hashSecret(secret));
  // one answer for unknown and for mismatched: a guess learns nothing
  if (invite === undefined || invite.kind !== subject.kind) {
    throw new InkmeshError('unauthenticated', 'this token is not known here: ask for a new one');
  }
  if (invite.usesLeft < 1) {
    throw new InkmeshError('unauthenticated', 'this token has been used up: ask for a new one');
  }
  if (invite.expires_ms < options.clock.wall_ms()) {
    throw new InkmeshError('unauthenticated', 'this token has expired: ask for a new one');
  }
  const { site, user, tokenLife_ms } = invite;
  return { site, user, roles: invite.roles.filter(isRole), tokenLife_ms };
}

const isRole = (name: string): name is Role => (roles as readonly string[]).includes(name);

async function answer(
  { clock }: RegistrarOptions,
  { trust }: Authority,
  { site, user }: Found,
  given: Pick<NodeCertificates, 'leaf' | 'issuers'> & Partial<NodeCertificates>,
  reachable: boolean | null,
): Promise<Enrolment> {
  const { notAfter } = await verifyIdentity(trust, given.leaf, given.issuers, clock.wall_ms());
  return { ...given, site, user, reachable, notAfter_ms: notAfter };
}

export interface EnrolOptions {
  rpc: Rpc;
  /** to a registrar */
  link: Link;
  /** SHA-256 of the organisation's root, from the token */
  rootFingerprint: Uint8Array;
  secret: Uint8Array;
  request: Uint8Array;
  subject: EnrolSubject;
  clock: Clock;
}

/**
 * Redeems a token with a connected registrar.
 * @throws InkmeshError `unauthenticated` when the peer does not prove itself (nothing secret was sent then),
 *   or when it does not accept the token
 */
export async function enrolWith(options: EnrolOptions): Promise<Enrolment & { trust: Trust }> {
  const { rpc, link, clock } = options;
  const { reply: shown } = await rpc.call(link.peer, offer, {}, { link });
  const trust = await readTrust(shown.root);
  const expected = Array.from(options.rootFingerprint, (octet) => octet.toString(16).padStart(2, '0')).join(
    '',
  );
  if (trust.fingerprint !== expected) {
    throw new InkmeshError('unauthenticated', 'the node at this address belongs to another organisation');
  }
  const identity = await verifyIdentity(trust, shown.leaf, shown.issuers, clock.wall_ms());
  if (identity.kind !== 'node' || identity.peerId !== link.peer || !identity.roles.includes('registrar')) {
    throw new InkmeshError(
      'unauthenticated',
      'the node at this address is not a registrar: use --at HOST:PORT of one',
    );
  }
  const { reply } = await rpc.call(link.peer, enrol, {
    secret: options.secret,
    request: options.request,
    subject: options.subject,
  }, { link, timeout_ms: enrolAnswer_ms });
  await verifyIdentity(trust, reply.leaf, reply.issuers, clock.wall_ms());
  return { ...reply, trust };
}
