/** The mesh: the only door for src/ and cloud/. Opens a node's part of it, and redeems tokens to become one. */
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Libp2p } from 'libp2p';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import type { Authority } from './authority.ts';
import type { NodeIdentity, Trust } from './certificate.ts';
import { Claimant } from './claim.ts';
import { Custody } from './custody.ts';
import { Discovery, ownAddresses } from './discovery.ts';
import { type Enrolment, type EnrolSubject, enrolWith, serveEnrolment } from './enrol.ts';
export { tlsSubject } from './enrol.ts';
import { type Code, InkmeshError } from './errors.ts';
import type { Kind } from './facts.ts';
import { Gate, type Hello, type Member } from './gate.ts';
import { type Holders, holdersOf, serveCustody } from './holder.ts';
import { createHost, meshAddress, startHost } from './host.ts';
import { jobKind, settledKind, withdrawnKind } from './job-facts.ts';
import { FactLedger } from './ledger.ts';
import type { Clock, Log, Spool, Storage } from './ports.ts';
import { Replica } from './replica.ts';
import { Rpc } from './rpc.ts';
import { Acceptor } from './store.ts';

export interface MeshOptions {
  /** libp2p's own key, as protobuf */
  hostKey: Uint8Array;
  identity: NodeIdentity;
  issuers: Uint8Array[];
  /** the private key of the node certificate */
  key: CryptoKey;
  trust: Trust;
  /** multiaddrs */
  listen: readonly string[];
  /** HOST:PORT or multiaddrs of other nodes */
  peers: readonly string[];
  mdns: boolean;
  storage: Storage;
  spool: Spool;
  clock: Clock;
  log: Log;
  /** kinds of directory facts beside the mesh's own */
  kinds: readonly Kind[];
  /** on a registrar */
  registrar?: {
    authority: Authority;
    onDevice(user: string, device: string, tokenHash: Uint8Array): Promise<void>;
  };
}

export interface Mesh {
  readonly self: NodeIdentity;
  readonly ledger: FactLedger;
  readonly custody: Custody;
  readonly holders: Holders;
  readonly acceptor: Acceptor;
  readonly claimant: Claimant;
  /** connected members, without this node */
  members(): Member[];
  /** what people call a node: its name, or its PeerId where that is not known */
  nameOf(peer: string): string;
  addresses(): string[];
  /** agreed with the peers */
  now_ms(): number;
  close(): Promise<void>;
}

/** Joins the mesh with a node's identity; resolves when it listens. @throws InkmeshError `unavailable` */
export async function openMesh(options: MeshOptions): Promise<Mesh> {
  const { identity, trust, storage, clock, log } = options;
  const host = await createHost({
    key: privateKeyFromProtobuf(options.hostKey),
    listen: options.listen,
    organisation: trust.fingerprint,
    mdns: options.mdns,
  });
  if (host.peerId.toString() !== identity.peerId) {
    throw new InkmeshError('conflict', 'the node certificate is not of this node’s key');
  }
  const rpc = new Rpc(host, log);
  const now_ms = () => clock.wall_ms();
  const ledger = await FactLedger.open({
    table: storage.facts,
    kinds: [jobKind, withdrawnKind, settledKind, ...options.kinds],
    trust,
    self: { identity, issuers: options.issuers, key: options.key },
    now_ms,
    log,
  });
  // nothing arrives before the host has started, so these three may know each other
  const gate = await openGate(options, host, rpc, (member, hello) => {
    const { peerId } = member.identity;
    storage.addresses.put(peerId, hello.addresses);
    ledger.learnCertificate(member.identity, member.issuers);
    discovery.learn(peerId, hello.addresses);
    for (const { peer, addresses } of hello.peers) discovery.hear(peer, addresses);
    replica.syncWith(peerId).catch((error: Error) => {
      log('info', 'a peer could not be synchronised', { peer: peerId, reason: error.message });
    });
  }, () => discovery.exchange());
  const peers = () => gate.members().map((member) => member.identity.peerId);
  const replica = await Replica.open({ rpc, table: storage.facts, ledger, peers, now_ms, log });
  const onGone = (peer: string) => gate.forget(peer);
  const configured = options.peers.map(meshAddress);
  const discovery = new Discovery({
    host,
    gate,
    configured,
    addresses: storage.addresses,
    clock,
    log,
    onGone,
  });
  const parts = await openParts(options, host, rpc, ledger, gate);
  await startHost(host, options.listen);
  discovery.start();
  return {
    ...parts,
    self: identity,
    ledger,
    members: () => gate.members(),
    nameOf: (peer) => ledger.identity(peer)?.name ?? peer,
    addresses: () => ownAddresses(host),
    now_ms: () => gate.now_ms(),
    close: () => closeMesh({ host, discovery, replica, ledger, ...parts }),
  };
}

function openGate(
  options: MeshOptions,
  host: Libp2p,
  rpc: Rpc,
  onMember: (member: Member, hello: Hello) => void,
  exchange: () => Hello['peers'],
): Promise<Gate> {
  const { identity, issuers, trust, clock, log } = options;
  return Gate.open({
    ...{ rpc, trust, clock, log, onMember },
    connected: (peer) => host.getConnections(peerIdFromString(peer)).length > 0,
    introduce: () => ({
      leaf: identity.der,
      issuers,
      addresses: ownAddresses(host),
      peers: exchange().slice(0, 64),
    }),
  });
}

async function openParts(options: MeshOptions, host: Libp2p, rpc: Rpc, ledger: FactLedger, gate: Gate) {
  const { identity, storage, spool, clock, log, trust } = options;
  const now_ms = () => gate.now_ms();
  const self = { peerId: identity.peerId, key: options.key };
  const custody = await Custody.open({
    ...{ self, trust, pieces: storage.pieces, spool, ledger, clock, now_ms, log },
  });
  await serveCustody(rpc, custody);
  const holders = holdersOf(identity.peerId, custody, rpc);
  const acceptor = new Acceptor({
    ...{ self: identity, custody, holders, spool, ledger, clock, log },
    candidates: () => candidates(identity.site, gate.members()),
  });
  const nameOf = (peer: string) => ledger.identity(peer)?.name ?? peer;
  const claimant = await Claimant.open({
    ...{ self: identity.peerId, holders, ledger, claims: storage.claims, clock, log, nameOf },
  });
  if (options.registrar !== undefined) {
    await serveEnrolment({
      ...{ rpc, self: identity, issuers: options.issuers, invites: storage.invites, clock, log },
      ...options.registrar,
      nameTaken: (name, peer) => ledger.nodes().some((node) => node.name === name && node.peerId !== peer),
      reaches: (peer, addresses) => reaches(host, peer, addresses),
    });
  }
  return { custody, holders, acceptor, claimant };
}

/** Who may hold a job beside the accepting node: its own site's nodes first. */
function candidates(site: string, members: readonly Member[]): string[] {
  return [...members]
    .sort((a, b) => Number(b.identity.site === site) - Number(a.identity.site === site))
    .map((member) => member.identity.peerId);
}

async function closeMesh(parts: {
  host: Libp2p;
  discovery: Discovery;
  replica: Replica;
  ledger: FactLedger;
  custody: Custody;
  claimant: Claimant;
}): Promise<void> {
  parts.discovery.stop();
  parts.claimant.close();
  parts.custody.close();
  parts.replica.close();
  parts.ledger.close();
  await parts.host.stop();
}

async function reaches(host: Libp2p, peer: string, addresses: readonly string[]): Promise<boolean> {
  try {
    const dialled = addresses.map((address) => multiaddr(`${meshAddress(address)}/p2p/${peer}`));
    const connection = await host.dial(dialled, { force: true, signal: AbortSignal.timeout(3000) });
    await connection.close();
    return true;
  } catch {
    return false;
  }
}

/** A fresh libp2p key, as protobuf, and its PeerId. */
export async function generateHostKey(): Promise<{ hostKey: Uint8Array; peerId: string }> {
  const key = await generateKeyPair('Ed25519');
  return { hostKey: privateKeyToProtobuf(key), peerId: peerIdOf(key.publicKey) };
}

const peerIdOf = (key: { toString(): string }): string => key.toString();

/** Somebody else may be at the address of a registrar, and an invitation is known to the one that gave it out. */
const anotherMayDo: ReadonlySet<Code> = new Set(['unavailable', 'timeout', 'unauthenticated', 'bad-request']);

export interface RedeemOptions {
  hostKey: Uint8Array;
  /** SHA-256 of the organisation's root, and the token's secret */
  rootFingerprint: Uint8Array;
  secret: Uint8Array;
  /** HOST:PORT or multiaddrs of registrars, tried in turn */
  addresses: readonly string[];
  /** multiaddrs to listen on meanwhile, so that the registrar can try to reach this machine */
  listen: readonly string[];
  request: Uint8Array;
  subject: EnrolSubject;
  clock: Clock;
}

/**
 * Redeems a join token or an invitation with the first registrar that answers.
 * @throws InkmeshError `unavailable` when none can be reached, or what the registrar said
 */
export async function redeem(options: RedeemOptions): Promise<Enrolment & { trust: Trust }> {
  const organisation = Buffer.from(options.rootFingerprint).toString('hex');
  const key = privateKeyFromProtobuf(options.hostKey);
  const host = await createHost({ key, listen: options.listen, organisation, mdns: false });
  try {
    await startHost(host, options.listen);
    const rpc = new Rpc(host, () => {});
    let failure = new InkmeshError('unavailable', 'the token names no registrar: give --at HOST:PORT of one');
    for (const address of options.addresses.map(meshAddress)) {
      try {
        const connection = await host.dial(multiaddr(address), { signal: AbortSignal.timeout(5000) });
        return await enrolWith({ ...options, rpc, registrar: connection.remotePeer.toString() });
      } catch (thrown) {
        const error = thrown instanceof InkmeshError ? thrown : new InkmeshError(
          'unavailable',
          `no registrar answers at ${address}: is it running, and does the firewall let TCP through?`,
          {},
          { cause: thrown },
        );
        if (!anotherMayDo.has(error.code)) throw error;
        if (failure.code === 'unavailable') failure = error;
      }
    }
    throw failure;
  } finally {
    await host.stop();
  }
}

export { createOrganisation, exportAuthority, importAuthority } from './authority.ts';
export {
  createRequest,
  exportKey,
  fromPem,
  generateKeys,
  importKeyPair,
  issueNode,
  issueTls,
} from './authority.ts';
export { issueUser, toPem } from './authority.ts';
export type { Authority, AuthorityFile } from './authority.ts';
export {
  type NodeIdentity,
  readTrust,
  type Trust,
  type UserIdentity,
  verifyIdentity,
} from './certificate.ts';
export type { Claim } from './claim.ts';
export { directoryDoc, type Fact, type Kind, registrarOnly } from './facts.ts';
export { type Credential, signGrant, verifyGrant } from './grant.ts';
export { meshAddress } from './host.ts';
export type { JobBody, SettledBody } from './job-facts.ts';
export type { Member } from './gate.ts';
export type * from './ports.ts';
export { type Permission, viewPurpose } from './protocol.ts';
export { signRequest, verifyRequest } from './request.ts';
export { formatToken, hashSecret, type JoinToken, newSecret, parseToken } from './token.ts';
export { maxDocumentBytes, maxInviteLife_ms, maxInviteUses } from './limits.ts';
