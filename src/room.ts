/**
 * Room on the volume of a data directory: how much of it envelopes may take, and how much is left to everybody else.
 * What does not fit is refused before it is written, so that the disk never gets full by envelopes.
 */
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { InkmeshError } from '../mesh/errors.ts';
import { freeLook_ms, freeLookBytes } from './limits.ts';

/** Octets. */
export interface Quota {
  /** what all envelopes of this node may take together */
  quota_bytes: number;
  /** what is to stay free on the volume */
  reserve_bytes: number;
}

/** Octets, as `status` tells them. */
export interface Usage extends Quota {
  /** envelopes, those included that are being written */
  used_bytes: number;
  /** on the volume */
  free_bytes: number;
}

export class Room {
  readonly #dir: string;
  readonly #quota: Quota;
  readonly #taken: Map<string, number>;
  #used = 0;
  /** free on the volume when it was last looked at, less what has been taken since */
  #free = 0;
  #sinceLook = Infinity;
  /** performance.now() */
  #looked_ms = -Infinity;

  private constructor(dir: string, quota: Quota, taken: Map<string, number>) {
    this.#dir = dir;
    this.#quota = quota;
    this.#taken = taken;
    for (const bytes of taken.values()) this.#used += bytes;
  }

  /** The room of a folder whose files are the envelopes, each named after its job. */
  static async open(dir: string, quota: Quota): Promise<Room> {
    const taken = new Map<string, number>();
    for (const name of await readdir(dir)) {
      // an administrator may be clearing up at this moment
      const found = await stat(join(dir, name)).catch(unlessGone);
      if (found !== undefined) taken.set(name, found.size);
    }
    return new Room(dir, quota, taken);
  }

  /** Whether anything can be begun at all. @throws InkmeshError as `take` does */
  async any(): Promise<void> {
    const old = performance.now() - this.#looked_ms > freeLook_ms;
    if (old || this.#free - 1 < this.#quota.reserve_bytes) await this.#look();
    this.#check(1);
  }

  /**
   * Takes room for octets of a job that are about to be written.
   * @throws InkmeshError `unavailable`, details `full`: `quota` or `disk`
   */
  async take(job: string, bytes: number): Promise<void> {
    const short = this.#free - bytes < this.#quota.reserve_bytes;
    if (short || this.#sinceLook + bytes > freeLookBytes) await this.#look();
    this.#check(bytes);
    this.#taken.set(job, (this.#taken.get(job) ?? 0) + bytes);
    this.#used += bytes;
    this.#free -= bytes;
    this.#sinceLook += bytes;
  }

  /** What a job has taken is free again. */
  leave(job: string): void {
    this.#used -= this.#taken.get(job) ?? 0;
    this.#taken.delete(job);
  }

  async usage(): Promise<Usage> {
    await this.#look();
    return { ...this.#quota, used_bytes: this.#used, free_bytes: this.#free };
  }

  #check(bytes: number): void {
    if (this.#used + bytes > this.#quota.quota_bytes) {
      throw new InkmeshError(
        'unavailable',
        'this machine holds as many documents as it may: release or cancel some, or raise its quota',
        { full: 'quota' },
      );
    }
    if (this.#free - bytes < this.#quota.reserve_bytes) throw diskFull();
  }

  async #look(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#dir);
    this.#free = bavail * bsize;
    this.#sinceLook = 0;
    this.#looked_ms = performance.now();
  }
}

function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/** That the disk is full, whether it was foreseen or not. */
export function diskFull(cause?: unknown): InkmeshError {
  const message = 'the disk of this machine is full: free some space on it';
  return new InkmeshError('unavailable', message, { full: 'disk' }, { cause });
}
