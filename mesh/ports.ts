/**
 * What the mesh needs of the machine it runs on. Tables answer synchronously: a change and the decision
 * that it rests on are one step that no other request can come between. Every write is durable when it returns.
 */
import type { Age } from './age.ts';
import type { Submitter } from './submit-token.ts';

/** Time, and what is to happen after some of it. */
export interface Clock {
  /** milliseconds since the epoch by this machine's clock, right or wrong */
  wall_ms(): number;
  /** milliseconds of a clock that never jumps; it may stand still while the machine sleeps */
  monotonic_ms(): number;
  /** milliseconds since the machine started, those included that it slept; its steps may be whole seconds */
  uptime_ms(): number;
  /** Runs something once, `delay_ms` from now. @returns what calls it off */
  after(delay_ms: number, run: () => void): () => void;
}

/** A connection to a peer whose PeerId the transport has proven. */
export interface Link {
  readonly peer: string;
  readonly direction: 'inbound' | 'outbound';
  /** multiaddr of the other end, without its PeerId */
  readonly remote: string;
  /** PeerId of the relay that it goes through, null when it is direct */
  readonly relay: string | null;
  /** whether its relay lets little pass, and ends it soon: it is there to join, or to renew what has lapsed */
  readonly limited: boolean;
  /** by the monotonic clock */
  readonly opened_ms: number;
  /** how many channels are open on it now */
  readonly channels: number;
  /** Ends the connection at once, with all that is open on it. */
  close(): void;
}

/** One request or byte stream over a link: frames of octets in both directions, each held back by its reader. */
export interface Channel {
  /**
   * The next frame, or undefined when the sender has finished cleanly between two frames.
   * @throws InkmeshError `too-large`, `timeout` when nothing arrives for `stall_ms`, `unavailable` on a break
   */
  read(maxBytes: number, stall_ms: number): Promise<Uint8Array | undefined>;
  /**
   * Resolves when the frame may be followed by another without filling memory.
   * @throws InkmeshError `unavailable` on a break, `timeout` when the peer takes nothing
   */
  write(frame: Uint8Array): Promise<void>;
  /** Tells the peer that nothing follows. */
  end(): Promise<void>;
  /** Breaks it off in both directions. */
  abort(reason: Error): void;
}

/** Who may use this node as a relay, and which relays it takes connections through; asked at every use. */
export interface RelayRules {
  /** whether a peer has been admitted here */
  isMember(peer: string): boolean;
  /** whether a peer may have others reach it through this node */
  mayReserve(peer: string): boolean;
  /** whether one peer may reach another through this node */
  mayPass(source: string, target: string): boolean;
  /** PeerIds of registrars to which this node lets through who is no member, to join */
  registrars(): readonly string[];
  /** whether a peer may bring this node connections of others */
  trusts(relay: string): boolean;
  /** Octets have come from one peer, for another one. */
  carried(from: string, to: string, octets: number): void;
}

/** What a relay has open, and what it did not grant so far, by why. */
export interface RelayCounts {
  readonly reservations: number;
  readonly circuits: number;
  /** circuits to registrars that who is no member has had */
  readonly joining: number;
  readonly refused: Readonly<Record<string, number>>;
}

/** What a transport reports. */
export interface TransportEvents {
  opened(link: Link): void;
  closed(link: Link): void;
  /** another node has been seen on a LAN */
  found(peer: string, addresses: readonly string[]): void;
}

/** Authenticated connections to other nodes. */
export interface Transport {
  /** this node's PeerId */
  readonly peer: string;
  /** multiaddrs where others reach this node, without its PeerId */
  addresses(): string[];
  /** open ones, to one peer or to all, oldest first */
  links(peer?: string): Link[];
  /**
   * A new or an open link.
   * @param peer null where it is not known who answers at the addresses
   * @throws InkmeshError `unavailable`
   */
  dial(peer: string | null, addresses: readonly string[], signal: AbortSignal): Promise<Link>;
  /** Whether a connection of its own can be made to a peer at one of the addresses; it is ended at once. */
  probe(peer: string, addresses: readonly string[]): Promise<boolean>;
  /** @throws InkmeshError `unavailable` */
  open(link: Link, protocol: string, signal: AbortSignal): Promise<Channel>;
  /** Serves a protocol, to at most `maxStreams` channels at a time on one link. */
  handle(
    protocol: string,
    maxStreams: number,
    serve: (channel: Channel, link: Link) => void,
  ): Promise<void>;
  /** Sets who is told; once, before `start`. */
  report(events: TransportEvents): void;
  /** Sets the rules of relaying, before `start`; without them nothing is relayed. */
  relayBy(rules: RelayRules): void;
  /** Has this node reached through the peer of a link, a relay, while the link lasts. @throws InkmeshError or Error */
  reserveAt(link: Link): Promise<void>;
  /** On a relay: ends every connection that goes from or to a peer through this node. */
  endRelayed(peer: string): void;
  /** On a relay. */
  relayed(): RelayCounts;
  /** @throws InkmeshError `unavailable` when it can't listen */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** One line for the operator; never a key, a token, a title or a document's octets. */
export type Log = (level: 'info' | 'warn' | 'error', what: string, fields?: Record<string, unknown>) => void;

/** A verified fact as it is kept: the signed octets, under the first 16 octets of the SHA-256 of what is signed. */
export interface FactRow {
  doc: string;
  id: Uint8Array;
  record: Uint8Array;
}

export interface FactTable {
  /** Adds rows in one transaction; those that are there already are left as they are. */
  add(rows: readonly FactRow[]): void;
  get(doc: string, id: Uint8Array): Uint8Array | undefined;
  byDoc(doc: string): FactRow[];
  /** ids that begin with an octet */
  idsIn(doc: string, octet: number): Uint8Array[];
  /** documents that have rows or a snapshot */
  docs(): string[];
  remove(doc: string, ids: readonly Uint8Array[]): void;
  /** Removes all that there is of a document. */
  drop(doc: string): void;
  snapshot(doc: string): Uint8Array | undefined;
  putSnapshot(doc: string, state: Uint8Array): void;
  /** Takes a damaged snapshot out of use; the first of each document is kept, to be looked at. */
  setAside(doc: string): void;
}

/** What a holder keeps of a job beside its envelope. */
export interface Piece {
  job: string;
  epoch: number;
  owner: string;
  /** of the submit token that the job came by, null when a credential submitted it */
  submitter: Submitter | null;
  /** PeerId of the node that accepted the job */
  acceptedBy: string;
  ticket: Uint8Array;
  share: Uint8Array;
  /** the envelope's header: with the share it is a whole vote, also where the envelope is damaged */
  header: Uint8Array;
  envelopeBytes: number;
  /** the age of this node when it was stored (age.ts) */
  stored_ms: number;
  /** stored after the machine was off for a time that this node's age did not count yet */
  afterOff: boolean;
  /** a job fact names this node as a holder */
  sealed: boolean;
  /** CBOR of the lease */
  lease: Uint8Array;
  /** CBOR of the share of the job's sleeping holder, sealed for it, and the job fact; until it has them */
  handoff: Uint8Array | null;
}

/** What `put` and `seal` change is seen at once, and durable when they resolve: several may share one write. */
export interface PieceTable {
  put(piece: Piece): Promise<void>;
  get(job: string): Piece | undefined;
  list(): Piece[];
  /** the jobs of all pieces */
  jobs(): string[];
  ofOwner(user: string): Piece[];
  /** How many pieces there are of jobs that a node has accepted. */
  countOf(author: string): number;
  /** Marks the piece sealed, adds the job fact and what is to be handed over, in one transaction. */
  seal(job: string, fact: FactRow, handoff: Uint8Array | null): Promise<void>;
  /** Marks the piece sealed; the job fact is in the table already. */
  markSealed(job: string): void;
  setLease(job: string, lease: Uint8Array): void;
  /** Overwrites the share and what is to be handed over, so that this holder can't help to decrypt any more. */
  dropShare(job: string): void;
  /** the jobs of which something is to be handed over */
  handoffs(): string[];
  /** The sleeping holder has what was kept for it. */
  dropHandoff(job: string): void;
  /** Removes the piece; soon after, nothing of its share and ticket is left in the files of the table. */
  remove(job: string): Promise<void>;
}

/** A claim of this node, kept until every holder has heard how it ended. */
export interface ClaimRow {
  claim: string;
  job: string;
  /** `voting`: no octet has gone to a printer. `begun`: one may have. `ended`: the ending is decided */
  phase: 'voting' | 'begun' | 'ended';
  holders: string[];
  receipts: { holder: string; signature: Uint8Array }[];
  /** the settlement's fact once ended; null for a claim that was yielded */
  settlement: Uint8Array | null;
  target: string;
}

export interface ClaimTable {
  put(row: ClaimRow): void;
  list(): ClaimRow[];
  remove(claim: string): Promise<void>;
}

export interface Invite {
  /** hex SHA-256 of the secret */
  secretHash: string;
  kind: 'node' | 'user';
  site: string;
  user: string | null;
  roles: string[];
  usesLeft: number;
  expires_ms: number;
  /** of a user's: how long the submit token holds that it gives */
  tokenLife_ms: number | null;
}

export interface InviteTable {
  put(invite: Invite): void;
  get(secretHash: string): Invite | undefined;
  list(): Invite[];
  /** Spends one use, durably. False when none is left. */
  redeem(secretHash: string): boolean;
}

export interface AddressTable {
  list(): { peer: string; addresses: string[] }[];
  put(peer: string, addresses: readonly string[]): void;
}

/** How long the node has existed: one row. */
export interface AgeTable {
  get(): Age | undefined;
  /**
   * @param missed_ms time off that the age has been made to count: in the same transaction, pieces that were stored
   *   after it are stored so much later, and `afterOff` no more once the age is not `off` any more
   */
  put(age: Age, missed_ms: number): void;
}

/** The tables of a node, in one database: what is written is durable when a method returns, or resolves. */
export interface Storage {
  /**
   * Makes changes of several tables one: they are seen at once. Resolves when all of them are durable.
   * @throws what it throws, or InkmeshError `unavailable` on a full disk: then nothing of it is written
   */
  together(change: () => void): Promise<void>;
  age: AgeTable;
  facts: FactTable;
  pieces: PieceTable;
  claims: ClaimTable;
  invites: InviteTable;
  addresses: AddressTable;
}

/** An envelope being written; what is written can be read back at once. */
export interface SpoolWriter {
  readonly bytes: number;
  write(chunk: Uint8Array): Promise<void>;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Resolves when the envelope is durable under its job's name; it can still be read from here. */
  finish(): Promise<void>;
  close(): Promise<void>;
  /** Closes and removes what was written, finished or not. */
  abort(): Promise<void>;
}

export interface SpoolReader {
  readonly bytes: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface Spool {
  create(job: string): Promise<SpoolWriter>;
  open(job: string): Promise<SpoolReader | undefined>;
  remove(job: string): Promise<void>;
  list(): Promise<string[]>;
}
