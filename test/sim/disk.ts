/**
 * A node's disk: its tables and its spool, each asked for only while the process lives. A disk may be
 * full, and a process may be killed in the middle of a call: after a number of writes.
 */
import { InkmeshError } from '../../mesh/errors.ts';
import type { Clock, Piece, Spool, SpoolReader, SpoolWriter, Storage } from '../../mesh/ports.ts';
import { diskFull } from '../../src/room.ts';
import type { Life } from './clock.ts';
import type { Random } from './random.ts';

/** how long it takes until a file or a name is durable */
const sync_ms = 4;

const reads = /^(?:get|list|by|last|ids|docs|snapshot$|handoffs$|jobs$|ofOwner$)/;

/** What a holder that breaks its word gives instead of what it keeps. */
export const lies = [
  'none',
  'wrong share',
  'wrong ticket',
  'wrong header',
  'damaged envelope',
  'nothing',
] as const;
export type Lie = typeof lies[number];

/** Told what a table is asked to write, before it does. */
export type Tap = (table: string, method: string, values: readonly unknown[]) => void;

export class Disk {
  readonly storage: Storage;
  readonly #random: Random;
  full = false;
  lie: Lie = 'none';
  /** it may keep what it was told to drop while it lied */
  hasLied = false;
  /** writes after which the process is killed */
  fuse = Infinity;
  /** ends the process */
  onFuse: () => void = () => {};
  /** by job; what was made durable */
  readonly envelopes = new Map<string, Uint8Array>();
  /** removed, and not yet durably so */
  readonly #removed = new Map<string, Uint8Array>();

  /** leases as they were when a broken disk last wrote them */
  readonly #unwritten = new Map<string, Uint8Array>();

  constructor(storage: Storage, random: Random) {
    this.storage = storage;
    this.#random = random;
  }

  /** What is on the disk when the power comes back. */
  crash(): void {
    for (const [job, lease] of this.#unwritten) this.storage.pieces.setLease(job, lease);
    this.#unwritten.clear();
    for (const [job, envelope] of this.#removed) {
      if (this.#random.chance(0.5)) this.envelopes.set(job, envelope);
    }
    this.#removed.clear();
    this.fuse = Infinity;
  }

  /** A broken disk: what it is given is there until the process ends, and then is not. */
  forget(job: string): void {
    const piece = this.storage.pieces.get(job);
    if (piece !== undefined && !this.#unwritten.has(job)) this.#unwritten.set(job, piece.lease);
  }

  /** What a broken disk was given before is written with what follows it. */
  remember(job: string): void {
    this.#unwritten.delete(job);
  }

  /** The tables as one run of the process has them. */
  tables(life: Life, tap: Tap): Storage {
    const guard = <T extends object>(name: string, table: T): T =>
      new Proxy(table, {
        get: (target, property) => {
          const method: unknown = Reflect.get(target, property);
          if (typeof method !== 'function') return method;
          return (...values: unknown[]) => {
            const writes = !reads.test(String(property));
            // what a dead process still wants to write is never written
            if (writes && !life.alive) return undefined;
            if (writes && this.full) throw diskFull();
            if (writes) tap(name, String(property), values);
            const result: unknown = Reflect.apply(method, target, values);
            if (writes) this.#burn();
            return property === 'get' && name === 'pieces' ? this.#told(result as Piece | undefined) : result;
          };
        },
      });
    const { age, facts, pieces, claims, invites, addresses } = this.storage;
    return {
      // each change by itself: a process may be killed between two of them, or find no room for the second one
      // deno-lint-ignore require-await
      together: async (change) => change(),
      age: guard('age', age),
      facts: guard('facts', facts),
      pieces: guard('pieces', pieces),
      claims: guard('claims', claims),
      invites: guard('invites', invites),
      addresses: guard('addresses', addresses),
    };
  }

  /** What the node believes to keep, and so says. */
  #told(piece: Piece | undefined): Piece | undefined {
    if (piece === undefined || this.lie === 'nothing') return undefined;
    if (this.lie === 'wrong ticket') return { ...piece, ticket: Uint8Array.of(2) };
    if (this.lie === 'wrong share') return { ...piece, share: spoilt(piece.share) };
    if (this.lie === 'wrong header') return { ...piece, header: spoilt(piece.header) };
    return piece;
  }

  #burn(): void {
    if (--this.fuse > 0) return;
    this.fuse = Infinity;
    this.onFuse();
  }

  spool(life: Life, clock: Clock): Spool {
    const synced = () => new Promise<void>((resolve) => void clock.after(sync_ms, resolve));
    return {
      // deno-lint-ignore require-await
      create: async (job) => {
        if (this.full) throw diskFull();
        return this.#writer(job, life, synced);
      },
      // deno-lint-ignore require-await
      open: async (job) => {
        const envelope = this.envelopes.get(job);
        if (envelope === undefined) return undefined;
        return readerOf(this.lie === 'damaged envelope' ? spoilt(envelope) : envelope);
      },
      remove: async (job) => {
        const envelope = this.envelopes.get(job);
        if (envelope === undefined || !life.alive) return;
        this.envelopes.delete(job);
        this.#removed.set(job, envelope);
        await synced();
        this.#removed.delete(job);
      },
      // deno-lint-ignore require-await
      list: async () => {
        return [...this.envelopes.keys()];
      },
    };
  }

  #writer(job: string, life: Life, synced: () => Promise<void>): SpoolWriter {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    const whole = () => new Uint8Array(Buffer.concat(parts));
    return {
      get bytes() {
        return bytes;
      },
      // deno-lint-ignore require-await
      write: async (chunk) => {
        if (this.full) throw diskFull();
        parts.push(chunk.slice());
        bytes += chunk.length;
      },
      read: (offset, length) => readerOf(whole()).read(offset, length),
      finish: async () => {
        await synced();
        if (this.full) throw diskFull();
        if (life.alive) this.envelopes.set(job, whole());
      },
      close: () => Promise.resolve(),
      // deno-lint-ignore require-await
      abort: async () => {
        if (life.alive) this.envelopes.delete(job);
      },
    };
  }
}

/** The same with another last octet. */
function spoilt(octets: Uint8Array): Uint8Array {
  return octets.map((octet, i) => i === octets.length - 1 ? octet ^ 1 : octet);
}

function readerOf(envelope: Uint8Array): SpoolReader {
  return {
    bytes: envelope.length,
    // deno-lint-ignore require-await
    read: async (offset, length) => {
      if (offset + length > envelope.length) {
        throw new InkmeshError('corrupt', 'an envelope on disk is shorter than it was');
      }
      return envelope.slice(offset, offset + length);
    },
    close: () => Promise.resolve(),
  };
}
