/** A mesh of real nodes in this process, each with its own database and spool on disk, on loopback. */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Authority,
  type AuthorityFile,
  generateKeys,
  generateSealKey,
  issueNode,
} from '../../mesh/authority.ts';
import { type NodeIdentity, verifyIdentity } from '../../mesh/certificate.ts';
import { decode } from '../../mesh/codec.ts';
import type { Fact } from '../../mesh/facts.ts';
import { type Credential, type Grant, signGrant } from '../../mesh/grant.ts';
import { type Lease, leaseSchema } from '../../mesh/lease.ts';
import {
  createTransport,
  generateHostKey,
  type Kind,
  type Mesh,
  type NodeCertificates,
  openMesh,
  renewLapsed,
  type SocketDoor,
  submitterOf,
} from '../../mesh/mod.ts';
import type { Role } from '../../mesh/names.ts';
import { directoryKinds } from '../../src/directory.ts';
import { storageLimits } from '../../src/limits.ts';
import type { Quota } from '../../src/room.ts';
import { openSpool } from '../../src/spool.ts';
import { State } from '../../src/state.ts';
import { type FakeClock, fakeClock } from './clock.ts';
import { fakeAuthority, fakeUser } from './organisation.ts';
import { tempDir, waitFor } from './processes.ts';

const loopback = '/ip4/127.0.0.1/tcp/0';

/** Everything that makes a node what it is. */
export interface NodeKeys {
  readonly hostKey: Uint8Array;
  readonly identity: NodeIdentity;
  readonly issuers: Uint8Array[];
  /** private, P-256 */
  readonly key: CryptoKey;
  /** age identity */
  readonly sealKey: string;
}

export interface FakeNode {
  readonly name: string;
  readonly dir: string;
  readonly peer: string;
  readonly keys: NodeKeys;
  readonly clock: FakeClock;
  /** what it has logged: level, sentence and fields in one line each */
  readonly logged: string[];
  /** certificates that it has been given while it ran */
  readonly kept: NodeCertificates[];
  /** the issuers that have made it a registrar */
  keptAuthority?: AuthorityFile;
  /** only while it runs */
  mesh: Mesh;
  /** only while it runs */
  state: State;
  running: boolean;
  /** the multiaddr that it listens on, with its PeerId; the same after a restart */
  readonly address: string;
  stop(): Promise<void>;
  /** Starts it again with what is on its disk. */
  start(): Promise<void>;
}

/** Where a node is to be; each of these has a default. */
export interface NodePlace {
  site?: string;
  roles?: readonly Role[];
  peers?: string[];
  keys?: NodeKeys;
  /** a folder, and what envelopes may take of its volume */
  disk?: { dir: string; quota: Quota };
  /** makes it a registrar */
  authority?: Authority;
  /** where WebSockets come in */
  door?: SocketDoor;
}

export interface FakeMesh {
  readonly authority: Authority;
  readonly nodes: FakeNode[];
  /** Adds a node at site `a` that knows the others' addresses, unless told otherwise. */
  add(name: string, where?: NodePlace): Promise<FakeNode>;
  /** Stops a node for good. */
  drop(node: FakeNode): Promise<void>;
  /** Resolves when every running node has every other one as a member, and its certificate as a fact. */
  connected(): Promise<void>;
  stop(): Promise<void>;
}

export interface MeshShape {
  organisation?: string;
  /** roles of the first node */
  roles?: readonly Role[];
  kinds?: readonly Kind[];
}

/** How old the organisation is: its first certificates have expired. */
export const age_ms = 100 * 24 * 3600_000;

/** Milliseconds that a test waits for what should be there at once. */
export const patience_ms = 40_000;

/** Certifies a node of `authority` for 90 days from `now`. */
export async function certifiedNode(
  authority: Authority,
  subject: { name: string; site?: string; roles?: readonly Role[] },
  now = Date.now(),
): Promise<NodeKeys> {
  const { hostKey, peerId } = await generateHostKey();
  const { publicKey, privateKey: key } = await generateKeys();
  const { name, site = 'a', roles = [] } = subject;
  const leaf = await issueNode(authority, { name, site, peerId, roles, publicKey }, now);
  const issuers = [authority.meshIssuer.der];
  const identity = await verifyIdentity(authority.trust, leaf, issuers, now);
  if (identity.kind !== 'node') throw new TypeError('not a node');
  return { hostKey, identity, issuers, key, sealKey: await generateSealKey() };
}

/** Starts `count` nodes `a1`, `a2`, …, of one organisation at site `a`; `a1` is its registrar. */
export async function startMesh(count: number, shape: MeshShape = {}): Promise<FakeMesh> {
  const authority = await fakeAuthority(shape.organisation ?? 'Test works', Date.now() - age_ms);
  const nodes: FakeNode[] = [];
  const running = new Set<FakeNode>();
  const add: FakeMesh['add'] = async (name, where = {}) => {
    const first = nodes.length === 0;
    const roles = where.roles ?? (first ? shape.roles ?? ['registrar'] : []);
    const keys = where.keys ?? await certifiedNode(authority, { name, site: where.site ?? 'a', roles });
    const node = await openNode(authority, keys, {
      peers: where.peers ?? nodes.map(({ address }) => address),
      kinds: shape.kinds ?? directoryKinds,
      running,
      disk: where.disk ?? { dir: tempDir(), quota: storageLimits },
      authority: first && roles.includes('registrar') ? authority : where.authority,
      ...(where.door === undefined ? {} : { door: where.door }),
    });
    nodes.push(node);
    return node;
  };
  const mesh: FakeMesh = {
    authority,
    nodes,
    add,
    drop: async (node) => {
      nodes.splice(nodes.indexOf(node), 1);
      await node.stop();
    },
    connected: () =>
      waitFor(() => [...running].every((node) => sees(node, running)) || undefined, {
        deadline_ms: patience_ms,
        what: 'every node to be a member of every other',
      }).then(() => {}),
    stop: async () => {
      await Promise.all([...running].map((node) => node.stop()));
    },
  };
  for (let i = 1; i <= count; i++) await add(`a${i}`);
  await mesh.connected();
  return mesh;
}

function sees(node: FakeNode, running: ReadonlySet<FakeNode>): boolean {
  const members = new Set(node.mesh.members().map(({ identity }) => identity.peerId));
  const knows = ({ peer }: FakeNode) => members.has(peer) && node.mesh.ledger.identity(peer) !== undefined;
  return [...running].every((other) => other === node || knows(other));
}

interface NodeParts {
  peers: string[];
  kinds: readonly Kind[];
  running: Set<FakeNode>;
  disk: NonNullable<NodePlace['disk']>;
  authority: Authority | undefined;
  door?: SocketDoor;
}

async function openNode(authority: Authority, keys: NodeKeys, parts: NodeParts): Promise<FakeNode> {
  const { dir, quota } = parts.disk;
  const clock = fakeClock();
  const logged: string[] = [];
  const kept: NodeCertificates[] = [];
  const { identity } = keys;
  let listen = loopback;
  const open = async () => {
    const state = new State(dir);
    const mesh = await openMesh({
      ...keys,
      trust: authority.trust,
      transport: await createTransport({
        ...{ key: keys.hostKey, listen: [listen], organisation: authority.trust.fingerprint, clock },
        mdns: false,
        relay: identity.roles.includes('relay'),
        ...(parts.door === undefined ? {} : { door: parts.door }),
      }),
      peers: parts.peers,
      storage: state,
      spool: await openSpool(dir, quota),
      clock,
      log: (level, what, fields = {}) => void logged.push(`${level} ${what} ${JSON.stringify(fields)}`),
      kinds: parts.kinds,
      authority: parts.authority,
      keeper: {
        certificates: (given) => Promise.resolve(void kept.push(given)),
        authority: (file) => Promise.resolve(void (node.keptAuthority = file)),
      },
      askLapsed: () => renewLapsed({ ...keys, trust: authority.trust, addresses: parts.peers, clock }),
    });
    return { state, mesh };
  };
  const first = await open();
  listen = first.mesh.addresses()[0] ?? loopback;
  const node: FakeNode = {
    ...{ name: identity.name, dir, peer: identity.peerId, keys, clock, logged, kept, ...first },
    running: true,
    address: `${listen}/p2p/${identity.peerId}`,
    start: async () => {
      Object.assign(node, await open(), { running: true });
      parts.running.add(node);
    },
    stop: async () => {
      parts.running.delete(node);
      node.running = false;
      await node.mesh.close();
      node.state.close();
      // those that go on must have noticed, or they would take the node that starts again for the one that stopped
      const isMember = ({ mesh }: FakeNode) =>
        mesh.members().some((one) => one.identity.peerId === node.peer);
      await waitFor(() => [...parts.running].some(isMember) ? undefined : true, {
        deadline_ms: patience_ms,
        what: `the others to notice that ${node.name} has gone`,
      });
    },
  };
  parts.running.add(node);
  return node;
}

/** A user of the organisation, with a credential. */
export function user(mesh: FakeMesh, name: string): Promise<Credential> {
  return fakeUser(mesh.authority, name, Date.now());
}

export interface Stored {
  readonly id: string;
  readonly fact: Fact;
  readonly owner: Credential;
  readonly document: Uint8Array;
  /** the nodes that hold it */
  readonly holders: FakeNode[];
}

export interface NewDocument {
  owner: Credential;
  document?: Uint8Array;
  ticket?: Uint8Array;
  /** the submit token that it comes by */
  token?: string;
}

/** Has `node` accept a document, and waits until every running node knows of the job. */
export async function store(mesh: FakeMesh, node: FakeNode, job: NewDocument): Promise<Stored> {
  const { owner, document = randomBytes(300_000), ticket = new Uint8Array([1]), token } = job;
  const id = node.mesh.acceptor.newJobId();
  const submitter = token === undefined ? null : submitterOf(token, id);
  const fact = await node.mesh.acceptor.accept(
    { job: id, owner: owner.user, submitter, ticket },
    pieces(document),
    new AbortController().signal,
  );
  const { holders } = fact.body as { holders: string[] };
  await untilKnown(mesh.nodes.filter(({ running }) => running), 'job', id);
  return { id, fact, owner, document, holders: mesh.nodes.filter((each) => holders.includes(each.peer)) };
}

/** Resolves when all `nodes` have a fact of this kind about `subject`. */
export async function untilKnown(nodes: readonly FakeNode[], kind: string, subject: string): Promise<void> {
  await waitFor(() => nodes.every(({ mesh }) => mesh.ledger.latest(kind, subject)) || undefined, {
    deadline_ms: patience_ms,
    what: `${kind} ${subject} to be known to ${nodes.map(({ name }) => name).join(', ')}`,
  });
}

export async function* pieces(document: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < document.length; at += size) yield document.subarray(at, at + size);
}

/** A grant of the job's owner for the node that accepted it, unless told otherwise. */
export function grantOf(
  job: Stored,
  changes: Partial<Omit<Grant, 'nonce' | 'issued'>> & { by?: Credential; now?: number } = {},
): Promise<Uint8Array> {
  // what the holders take for now: a test may have moved their clocks
  const awake = job.holders.find(({ running }) => running);
  const { by = job.owner, now = awake?.mesh.now_ms() ?? Date.now(), ...rest } = changes;
  const target = rest.action === 'cancel' ? '' : 'printer-a';
  const options = new Uint8Array(0);
  const grant = { job: job.id, claimant: job.fact.author, action: 'release', target, options } as const;
  return signGrant(by, { ...grant, confirm: [], ...rest }, now);
}

/** Claims a job at a node with a fresh grant of its owner, or with the one given. */
export async function claim(node: FakeNode, job: Stored, grant?: Uint8Array) {
  return await node.mesh.claimant.claim(job.id, {
    grant: grant ?? await grantOf(job, { claimant: node.peer }),
  }, 'printer-a');
}

/** All octets of a stream. */
export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part.slice());
  return Buffer.concat(parts);
}

/** The names of the files in a node's spool. */
export function spooled(node: FakeNode): string[] {
  return readdirSync(join(node.dir, 'envelopes')).sort();
}

/** What is left of a job at a node: envelope, share or nothing. */
export function leftOf(node: FakeNode, job: string): string[] {
  const piece = node.state.pieces.get(job);
  return [
    ...spooled(node).filter((file) => file.startsWith(job)).map(() => 'envelope'),
    ...(piece === undefined ? [] : ['piece']),
    ...(piece === undefined || piece.share.length === 0 ? [] : ['share']),
  ];
}

/** Resolves when nothing of a job is left at any of the nodes. */
export async function untilErased(nodes: readonly FakeNode[], job: string): Promise<void> {
  await waitFor(() => nodes.every((node) => leftOf(node, job).length === 0) || undefined, {
    deadline_ms: patience_ms,
    what: `the job to be erased at ${nodes.map(({ name }) => name).join(', ')}`,
  });
}

/** The lease of a job as a holder keeps it. */
export function leaseOf(node: FakeNode, job: Stored): Lease {
  const piece = node.state.pieces.get(job.id);
  if (piece === undefined) throw new Error(`${node.name} holds nothing of the job`);
  return decode(leaseSchema, piece.lease);
}

/** A node that holds nothing of a job. */
export function outsider(mesh: FakeMesh, job: Stored): FakeNode {
  const other = mesh.nodes.find((node) => !job.holders.includes(node));
  if (other === undefined) throw new Error('every node is a holder');
  return other;
}

/** Resolves when no holder has a vote for any claim of a job. */
export async function untilFree(job: Stored): Promise<void> {
  const free = () => job.holders.every((node) => leaseOf(node, job).vote === null);
  await waitFor(() => free() || undefined, { deadline_ms: patience_ms, what: 'every vote to be free' });
}

/** Prints a job at a node, and checks what comes out and that nothing is left of it. */
export async function prints(job: Stored, at: FakeNode, grant?: Uint8Array): Promise<void> {
  const claimed = await claim(at, job, grant);
  await claimed.begin();
  if (!(await collect(claimed.document())).equals(job.document)) throw new Error('something else came out');
  await claimed.settle('printed');
  await untilErased(job.holders, job.id);
}
