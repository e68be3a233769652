/** The mesh: the only door for src/ and cloud/. Opens a node's part of it; `redeem` makes a machine one of its nodes. */
import { hostOf, meshAddress } from './address.ts';
import type { Authority } from './authority.ts';
import type { NodeIdentity, Trust } from './certificate.ts';
import { answers } from './beat.ts';
import { Claimant } from './claim.ts';
import { isCloud } from './cloud.ts';
import { Custody } from './custody.ts';
import { InkmeshError } from './errors.ts';
import type { Kind } from './facts.ts';
import type { Member } from './gate.ts';
import { Handoff } from './handoff.ts';
import { type Holders, holdersOf, serveCustody } from './holder.ts';
import type { NodeCertificates } from './issue.ts';
import { jobKind, settledKind, withdrawnKind } from './job-facts.ts';
import { FactLedger } from './ledger.ts';
import { type Keeper, Membership } from './membership.ts';
import { Network } from './network.ts';
import { Panel } from './panel.ts';
import { panelKeyKind } from './panel-key.ts';
import { nameKind } from './node-names.ts';
import { PassOn } from './pass-on.ts';
import { siteKind } from './policy.ts';
import type { Clock, Log, Spool, Storage, Transport } from './ports.ts';
import { type Probed, probed } from './probe.ts';
import type { Relayed } from './relay.ts';
import { Replica } from './replica.ts';
import { Resumption } from './resume.ts';
import { revokedKind } from './revocation.ts';
import { presenceKind } from './roster.ts';
import { Rpc } from './rpc.ts';
import { sealRecipient } from './seal.ts';
import { siteKeyKind } from './site-key.ts';
import { Acceptor } from './store.ts';
import { tokenKind } from './submit-token.ts';

export interface MeshOptions {
  /** not started yet; its key is the one that the certificate names */
  transport: Transport;
  identity: NodeIdentity;
  issuers: Uint8Array[];
  /** the private key of the node certificate */
  key: CryptoKey;
  /** age identity (X25519): opens what others seal to this node */
  sealKey: string;
  trust: Trust;
  /** HOST:PORT or multiaddrs of other nodes */
  peers: readonly string[];
  /** TCP port where this node takes documents of clients, over TLS: told to other nodes */
  clientPort?: number;
  storage: Storage;
  spool: Spool;
  clock: Clock;
  log: Log;
  /** kinds of directory facts beside the mesh's own */
  kinds: readonly Kind[];
  /** on a registrar */
  authority: Authority | undefined;
  keeper: Keeper;
  /** asks registrars for a new certificate when this node's has lapsed, and it is no member any more */
  askLapsed(): Promise<NodeCertificates>;
}

export interface Mesh {
  readonly self: NodeIdentity;
  readonly ledger: FactLedger;
  readonly custody: Custody;
  readonly holders: Holders;
  readonly acceptor: Acceptor;
  readonly resumption: Resumption;
  readonly claimant: Claimant;
  readonly membership: Membership;
  readonly panel: Panel;
  readonly passOn: PassOn;
  /** connected members, without this node */
  members(): Member[];
  /** Whether a node answers, this one too; it is dialled if need be. */
  reaches(peer: string): Promise<boolean>;
  /** Whether members can connect to this node, asked of some of them that are connected. */
  probed(): Promise<Probed[]>;
  /** whether a node did not answer when it was dialled just now, and has not come back since */
  isAway(peer: string): boolean;
  /** whether a node is connected to this one without a relay between them */
  isDirect(peer: string): boolean;
  /** the two nodes that face phones and print dialogs for this node's site, fewer where there are fewer */
  supers(): NodeIdentity[];
  /** where a node takes documents of clients over TLS: HOST:PORT each, none where it does not, or is not known to */
  clientAddresses(peer: string): string[];
  /** multiaddrs where a node says that it can be dialled */
  addressesOf(peer: string): string[];
  /** what people call a node: its name, or its PeerId where that is not known */
  nameOf(peer: string): string;
  addresses(): string[];
  /** what has passed through this node, a relay, since it started */
  relayed(): Relayed;
  /** Lets nothing new pass through this node, a relay that is about to stop; what is under way goes on. */
  stopRelaying(): void;
  /** agreed with the peers */
  now_ms(): number;
  close(): Promise<void>;
}

const meshKinds: readonly Kind[] = [
  jobKind,
  withdrawnKind,
  settledKind,
  siteKind,
  revokedKind,
  presenceKind,
  nameKind,
  tokenKind,
  siteKeyKind,
  panelKeyKind,
];

/** Joins the mesh with a node's identity; resolves when it listens. @throws InkmeshError `unavailable` */
export async function openMesh(options: MeshOptions): Promise<Mesh> {
  const { identity, transport, storage, trust, clock, log } = options;
  if (transport.peer !== identity.peerId) {
    throw new InkmeshError('conflict', 'the node certificate is not of this node’s key');
  }
  const rpc = new Rpc(transport, clock, log);
  const box: { network?: Network; membership?: Membership; replica?: Replica; handoff?: Handoff } = {};
  // what is stated here is dated by the clock that it is judged by elsewhere
  const ledger = await openLedger(options, () => box.network?.gate.now_ms() ?? clock.wall_ms());
  const network = await Network.open({
    ...{ transport, rpc, ledger, trust, clock, log },
    self: () => box.membership?.self.identity ?? identity,
    issuers: () => box.membership?.self.issuers ?? options.issuers,
    addresses: storage.addresses,
    configured: options.peers.map(meshAddress),
    clientPort: options.clientPort ?? null,
    onMember: (peer) => {
      box.handoff?.woke(peer);
      box.replica?.syncWith(peer).catch((error: Error) => {
        log('info', 'a peer could not be synchronised', { peer, reason: error.message });
      });
    },
  });
  box.network = network;
  const membership = await openMembership(options, rpc, ledger, network);
  box.membership = membership;
  const now_ms = () => network.gate.now_ms();
  const panel = await Panel.open({ ...options, self: membership.self, ledger, now_ms });
  const peers = () => network.members().map((member) => member.identity.peerId);
  const replica = await Replica.open({
    ...{ rpc, self: identity.peerId, table: storage.facts, ledger, peers, clock, log, now_ms },
    keeps: (doc) => holdsOf(doc, storage, ledger),
  });
  box.replica = replica;
  const parts = await openParts(options, rpc, ledger, network);
  box.handoff = parts.handoff;
  await network.start();
  return {
    ...{ ledger, membership, panel, ...parts },
    get self() {
      return membership.self.identity;
    },
    ...seenFrom(network, ledger),
    reaches: (peer) => peer === identity.peerId ? Promise.resolve(true) : answers(rpc, peer),
    probed: () => probed(rpc, neighbours(network, identity.site)),
    addresses: () => transport.addresses(),
    close: async () => {
      const { acceptor, handoff, claimant, custody } = parts;
      const open = [network, membership, panel, acceptor, handoff, claimant, custody, replica, ledger];
      for (const part of open) part.close();
      await transport.stop();
    },
  };
}

/** What a node knows of the others. */
function seenFrom(network: Network, ledger: FactLedger) {
  const { gate, roster, discovery } = network;
  return {
    members: () => gate.members(),
    relayed: () => network.relayed(),
    stopRelaying: () => network.stopRelaying(),
    isAway: (peer: string) => discovery.hasJustFailed(peer),
    isDirect: (peer: string) => gate.linkTo(peer)?.relay === null,
    supers: () => network.supers(),
    clientAddresses: (peer: string) => roster.clientAddresses(peer),
    addressesOf: (peer: string) => roster.addressesOf(peer),
    nameOf: (peer: string) => ledger.identity(peer)?.name ?? peer,
    now_ms: () => gate.now_ms(),
  };
}

/** Members who should be able to connect to a node of a site: its own, which may be behind no relay. */
function neighbours(network: Network, site: string): string[] {
  return network.members().map((member) => member.identity)
    .filter((node) => node.site === site && !node.roles.includes('cloud')).map(({ peerId }) => peerId);
}

/** Whether this node holds a piece of a job of that day. */
function holdsOf(doc: string, { pieces }: Storage, ledger: FactLedger): boolean {
  return pieces.jobs().some((job) => ledger.first(jobKind.name, job)?.doc === doc);
}

async function openLedger(options: MeshOptions, now_ms: () => number): Promise<FactLedger> {
  const { identity, issuers, key, sealKey, storage, trust, clock, log } = options;
  return await FactLedger.open({
    ...{ table: storage.facts, kinds: [...meshKinds, ...options.kinds], trust, clock, log },
    now_ms,
    self: { identity, issuers, key, seal: await sealRecipient(sealKey) },
  });
}

function openMembership(
  options: MeshOptions,
  rpc: Rpc,
  ledger: FactLedger,
  network: Network,
): Promise<Membership> {
  const { transport } = options;
  return Membership.open({
    ...options,
    ...{ rpc, ledger, invites: options.storage.invites },
    now_ms: () => network.gate.now_ms(),
    connected: () => network.members().map(({ identity }) => identity.peerId),
    ownHosts: () => transport.addresses().flatMap((address) => hostOf(address) ?? []),
    reaches: (peer, addresses) => transport.probe(peer, addresses.map(meshAddress)),
  });
}

/** What keeps documents, and what asks for them. */
async function openParts(options: MeshOptions, rpc: Rpc, ledger: FactLedger, network: Network) {
  const { identity, storage, spool, clock, log, trust, key, sealKey } = options;
  const { gate } = network;
  const self = { peerId: identity.peerId, site: identity.site, key, sealKey };
  const together: Storage['together'] = (change) => storage.together(change);
  const common = { self, spool, ledger, together, clock, log };
  const now_ms = () => gate.now_ms();
  const custody = await Custody.open({
    ...{ ...common, trust, pieces: storage.pieces, age: storage.age, now_ms },
    agreed_ms: () => gate.agreed_ms(),
    member: (peer) => gate.member(peer)?.identity,
  });
  const holders = holdersOf(identity.peerId, custody, rpc);
  const handoff = new Handoff({
    ...{ ...common, custody, holders, pieces: storage.pieces, now_ms },
    isLinked: (peer) => gate.linkTo(peer) !== undefined,
  });
  // a cloud node is no holder: it does not even know what it is asked
  if (!isCloud(identity)) await serveCustody(rpc, custody, handoff);
  const acceptor = new Acceptor({
    ...{ ...common, custody, holders, now_ms },
    candidates: (job) => network.awake(job),
    enrolled: (job) => network.roster.mates(job),
  });
  const claimant = await Claimant.open({
    ...{ ...common, holders, claims: storage.claims, now_ms },
    nameOf: (peer) => ledger.identity(peer)?.name ?? peer,
  });
  const resumption = new Resumption({
    ...{ self, holders, ledger, clock, log },
    likelyHolders: (author) => network.likelyHolders(author),
    isLinked: (peer) => gate.linkTo(peer) !== undefined,
  });
  const passOn = await PassOn.open(rpc);
  return { custody, holders, handoff, acceptor, resumption, claimant, passOn };
}

export { generateHostKey, redeem, type Redeemed, type RedeemOptions } from './redeem.ts';
export { createOrganisation, exportAuthority, importAuthority } from './authority.ts';
export { type Backup, exportBackup, openBackup } from './backup.ts';
export {
  createRequest,
  exportKey,
  fromPem,
  generateKeys,
  generateSealKey,
  importKeyPair,
  issueNode,
  issueTls,
} from './authority.ts';
export { issueUser, toPem } from './authority.ts';
export type { Authority, AuthorityFile } from './authority.ts';
export { certifyNode, type NodeCertificates, tlsSubject } from './issue.ts';
export { renewLapsed } from './lapsed.ts';
export type { Keeper, Membership } from './membership.ts';
export { nameTaken, reservedFor } from './node-names.ts';
export { type DeviceCertificates, isDue, renewPurpose, verifyRenewable } from './renew.ts';
export {
  type NodeIdentity,
  readTrust,
  type Trust,
  type UserIdentity,
  verifyIdentity,
} from './certificate.ts';
export type { Claim } from './claim.ts';
export {
  directoryDoc,
  type Fact,
  jobsDoc,
  type Kind,
  type KnownFacts,
  Missing,
  registrarOnly,
} from './facts.ts';
export { type Credential, signGrant, verifyGrant } from './grant.ts';
export { hostOf, meshAddress, relayOf, socketPath, socketTarget, socketUrl, subnetOf } from './address.ts';
export { createTransport, type HostOptions } from './host.ts';
export { type LanInterface, lanInterfaces, lanSocket, meshService } from './lan.ts';
export { hasEnded, type JobBody, quorumOf, type SettledBody } from './job-facts.ts';
export { isCloud, refuseCloud, refuseCloudToken } from './cloud.ts';
export type { Member } from './gate.ts';
export type { Answers, PassedAnswer, PassedRequest } from './pass-on.ts';
export type * from './ports.ts';
export { type Permission, viewPurpose } from './protocol.ts';
export { type PanelKey, panelKeyIdBytes } from './panel-key.ts';
export { policyOf, siteKind, type SitePolicy } from './policy.ts';
export { signRequest, verifyRequest } from './request.ts';
export type { SiteTls } from './site-key.ts';
export type { Relayed } from './relay.ts';
export { SocketDoor } from './websocket.ts';
export { refuseRevoked, type Revocable, revocationOf, revokedKind, revokedSince } from './revocation.ts';
export { type SourceId, type Standing, standingOf } from './source.ts';
export { cancelProof, deviceOf, submitterOf, tokenHash, tokenKind, type TokenOwner } from './submit-token.ts';
export { formatToken, hashSecret, type JoinToken, newSecret, parseToken } from './token.ts';
export {
  issuerWarning_ms,
  maxDocumentBytes,
  maxInviteLife_ms,
  maxInviteUses,
  maxRetention_ms,
  maxTokenLife_ms,
  minRetention_ms,
  tokenLife_ms,
} from './limits.ts';
