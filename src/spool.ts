/** Envelopes as files: `<dir>/envelopes/<job>`, written under another name until they are whole and durable. */
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InkmeshError } from '../mesh/errors.ts';
import type { Spool, SpoolReader, SpoolWriter } from '../mesh/mod.ts';
import { storageLimits } from './limits.ts';
import { moved } from './memory.ts';
import { diskFull, type Quota, Room, type Usage } from './room.ts';

const partSuffix = '.part';
/** of the beginning of an envelope, kept while it is written: its header is */
const headBytes = 64;

export interface EnvelopeSpool extends Spool {
  usage(): Promise<Usage>;
}

/** Opens the spool of a data directory and removes what a crash left half-written. */
export async function openSpool(dataDir: string, quota: Quota = storageLimits): Promise<EnvelopeSpool> {
  const dir = join(dataDir, 'envelopes');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir)) {
    if (name.endsWith(partSuffix)) await rm(join(dir, name), { force: true });
  }
  const folder: Folder = { dir, room: await Room.open(dir, quota), names: new Names(dir) };
  const { room, names } = folder;
  return {
    create: async (job) => {
      await room.any();
      return await createWriter(folder, job);
    },
    open: (job) => openReader(join(dir, job)),
    remove: async (job) => {
      await rm(join(dir, job), { force: true });
      room.leave(job);
      await names.sync();
    },
    list: async () => (await readdir(dir)).filter((name) => !name.endsWith(partSuffix)),
    usage: () => room.usage(),
  };
}

interface Folder {
  dir: string;
  room: Room;
  names: Names;
}

/** The last octets are in memory too: whoever follows the envelope mostly wants these. */
async function createWriter({ dir, room, names }: Folder, job: string): Promise<SpoolWriter> {
  const part = join(dir, job + partSuffix);
  const file = await open(part, 'wx+', 0o600).catch(refuseFull);
  let bytes = 0;
  let head: Uint8Array = new Uint8Array(0);
  let tail: Uint8Array = new Uint8Array(0);
  return {
    get bytes() {
      return bytes;
    },
    write: async (chunk) => {
      await room.take(job, chunk.length);
      await writeAll(file, chunk, bytes).catch(refuseFull);
      if (bytes === 0) head = chunk.slice(0, headBytes);
      tail = chunk;
      bytes += chunk.length;
    },
    read: async (offset, length) => {
      const from = bytes - tail.length;
      if (offset >= from) return tail.subarray(offset - from, offset - from + length);
      if (offset + length <= head.length) return head.subarray(offset, offset + length);
      return await readAll(file, offset, length);
    },
    finish: async () => {
      await file.sync().catch(refuseFull);
      await rename(part, join(dir, job)).catch(refuseFull);
      await names.sync();
    },
    abort: async () => {
      await file.close().catch(() => {});
      await rm(part, { force: true });
      await rm(join(dir, job), { force: true });
      room.leave(job);
    },
    close: () => {
      tail = new Uint8Array(0);
      return file.close();
    },
  };
}

/** A disk that others have filled meanwhile. */
function refuseFull(cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException;
  throw code === 'ENOSPC' || code === 'EDQUOT' ? diskFull(cause) : cause;
}

async function openReader(path: string): Promise<SpoolReader | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const { size } = await file.stat();
  return { bytes: size, read: (offset, length) => readAll(file, offset, length), close: () => file.close() };
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written, position + written);
    written += bytesWritten;
  }
  moved(chunk.length);
}

async function readAll(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const out = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await file.read(out, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new InkmeshError('corrupt', 'an envelope on disk is shorter than it was');
    filled += bytesRead;
  }
  moved(length);
  return out;
}

/** Makes renames and removals durable. Windows has no such call, and needs none: NTFS journals names. */
class Names {
  readonly #dir: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Resolves when all that was renamed and removed before is durable: those who come meanwhile share the next turn. */
  sync(): Promise<void> {
    if (process.platform === 'win32') return Promise.resolve();
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  async #after(running: Promise<void> | undefined): Promise<void> {
    await running?.catch(() => {});
    this.#running = this.#next;
    this.#next = undefined;
    const handle = await open(this.#dir, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}
