/**
 * Redeeming a join token or an invitation. The registrar first shows that it speaks for the organisation whose
 * fingerprint the token carries; only then is the secret sent, with a certification request (PKCS#10) that
 * proves the new key. A node and a user's device enrol the same way.
 */
import { BlockList, isIP } from 'node:net';
import * as v from 'valibot';
import { type Authority, issueNode, issueTls, issueUser, readRequest, type TlsSubject } from './authority.ts';
import { type NodeIdentity, readTrust, type Trust, verifyIdentity } from './certificate.ts';
import { bytes, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { maxAddressChars, maxAddressesPerPeer } from './limits.ts';
import { nodeName, type Role, roles, uuid } from './names.ts';
import type { Clock, InviteTable, Log } from './ports.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';
import { hashSecret } from './token.ts';

const certificate = bytes(1, 4096);
const certificates = v.pipe(v.array(certificate), v.maxLength(4));

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
  /** false when the registrar could not reach the node where it listens; null for a device */
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

export interface RegistrarOptions {
  rpc: Rpc;
  authority: Authority;
  self: NodeIdentity;
  issuers: Uint8Array[];
  invites: InviteTable;
  clock: Clock;
  log: Log;
  /** whether another node than `peer` has this name */
  nameTaken(name: string, peer: string): boolean;
  /** tries to connect to a node that is just enrolling */
  reaches(peer: string, addresses: readonly string[]): Promise<boolean>;
  /** what else there is to do for a new device, durably, before it is answered */
  onDevice(user: string, device: string, tokenHash: Uint8Array): Promise<void>;
}

/** Serves enrolment on a registrar. */
export async function serveEnrolment(options: RegistrarOptions): Promise<void> {
  const { rpc, authority, self, issuers } = options;
  await rpc.handle(
    offer,
    () => Promise.resolve({ reply: { root: authority.trust.root, leaf: self.der, issuers } }),
  );
  await rpc.handle(enrol, async ({ from, connection, request }) => {
    const { subject } = request;
    const publicKey = await readRequest(request.request);
    const now = options.clock.wall_ms();
    const invite = findInvite(options, request.secret, subject);
    if (subject.kind === 'node' && options.nameTaken(subject.name, from)) {
      throw new InkmeshError(
        'conflict',
        `another node is called "${subject.name}": give this one another --node NAME`,
      );
    }
    if (!options.invites.redeem(hashSecret(request.secret))) {
      throw new InkmeshError('unauthenticated', 'this token has been used up: ask for a new one');
    }
    if (subject.kind === 'node') {
      const named = { name: subject.name, site: invite.site, peerId: from, roles: invite.roles, publicKey };
      const leaf = await issueNode(authority, named, now);
      const seenAt = connection.remoteAddr.getComponents()[0];
      const ips = seenAt?.value === undefined ? [] : [seenAt.value];
      const tls = await issueTls(authority, tlsSubject(publicKey, subject.name, invite.site, ips), now);
      const reachable = await options.reaches(from, subject.addresses);
      options.log('info', 'a node was enrolled', { node: subject.name, site: invite.site, peer: from });
      return { reply: await answer(options, leaf, invite, { tls, reachable }) };
    }
    const user = invite.user as string;
    const leaf = await issueUser(
      authority,
      { user, device: subject.device, roles: invite.roles, publicKey },
      now,
    );
    await options.onDevice(user, subject.device, subject.tokenHash);
    options.log('info', 'a device was enrolled', { user, device: subject.device });
    return { reply: await answer(options, leaf, invite, { reachable: null }) };
  });
}

/**
 * What a node's TLS certificate is for. The registrar decides, not the node: its own names, loopback, and the
 * private address that it was seen at; so no node gets a certificate for another's name or for a site's.
 */
export function tlsSubject(
  publicKey: CryptoKey,
  name: string,
  site: string,
  seenAt: readonly string[],
): TlsSubject {
  const loopback = ['127.0.0.1', '::1'];
  return {
    publicKey,
    commonName: name,
    dnsNames: ['localhost', `${name}.local`, `${name}.${site}.inkmesh.internal`],
    addresses: [...loopback, ...seenAt.filter((ip) => isPrivate(ip) && !loopback.includes(ip))].slice(0, 32),
  };
}

const privateNets = new BlockList();
for (
  const [net, bits] of [['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['127.0.0.0', 8]] as const
) {
  privateNets.addSubnet(net, bits, 'ipv4');
}
privateNets.addSubnet('fc00::', 7, 'ipv6');

/** The addresses that an organisation's TLS issuer may certify. */
const isPrivate = (ip: string): boolean =>
  isIP(ip) !== 0 && privateNets.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');

interface Found {
  site: string;
  user: string | null;
  roles: Role[];
}

/** @throws InkmeshError `unauthenticated` unless the secret is that of an invitation for such a subject */
function findInvite(options: RegistrarOptions, secret: Uint8Array, subject: EnrolSubject): Found {
  const invite = options.invites.get(hashSecret(secret));
  // one answer for unknown and for mismatched: a guess learns nothing
  if (invite === undefined || invite.kind !== subject.kind) {
    throw new InkmeshError('unauthenticated', 'this token is not known here: ask for a new one');
  }
  if (invite.expires_ms < options.clock.wall_ms()) {
    throw new InkmeshError('unauthenticated', 'this token has expired: ask for a new one');
  }
  return { site: invite.site, user: invite.user, roles: invite.roles.filter(isRole) };
}

const isRole = (name: string): name is Role => (roles as readonly string[]).includes(name);

async function answer(
  { authority, clock }: RegistrarOptions,
  leaf: Uint8Array,
  invite: Found,
  rest: { tls?: Uint8Array; reachable: boolean | null },
): Promise<Enrolment> {
  const issuers = [authority.meshIssuer.der];
  const { notAfter } = await verifyIdentity(authority.trust, leaf, issuers, clock.wall_ms());
  return {
    leaf,
    issuers,
    ...(rest.tls === undefined ? {} : { tls: { leaf: rest.tls, issuer: authority.tlsIssuer.der } }),
    site: invite.site,
    user: invite.user,
    reachable: rest.reachable,
    notAfter_ms: notAfter,
  };
}

export interface EnrolOptions {
  rpc: Rpc;
  /** PeerId of the registrar that is connected */
  registrar: string;
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
  const { rpc, registrar, clock } = options;
  const { reply: shown } = await rpc.call(registrar, offer, {});
  const trust = await readTrust(shown.root);
  const expected = Array.from(options.rootFingerprint, (octet) => octet.toString(16).padStart(2, '0')).join(
    '',
  );
  if (trust.fingerprint !== expected) {
    throw new InkmeshError('unauthenticated', 'the node at this address belongs to another organisation');
  }
  const identity = await verifyIdentity(trust, shown.leaf, shown.issuers, clock.wall_ms());
  if (identity.kind !== 'node' || identity.peerId !== registrar || !identity.roles.includes('registrar')) {
    throw new InkmeshError(
      'unauthenticated',
      'the node at this address is not a registrar: use --at HOST:PORT of one',
    );
  }
  const { reply } = await rpc.call(registrar, enrol, {
    secret: options.secret,
    request: options.request,
    subject: options.subject,
  }, { timeout_ms: 20_000 });
  await verifyIdentity(trust, reply.leaf, reply.issuers, clock.wall_ms());
  return { ...reply, trust };
}
