/** Envelopes as files: `<dir>/envelopes/<job>`, written under another name until they are whole and durable. */
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InkmeshError } from '../mesh/errors.ts';
import type { Spool, SpoolReader, SpoolWriter } from '../mesh/mod.ts';
import { storageLimits } from './limits.ts';
import { moved } from './memory.ts';
import { diskFull, type Quota, Room, type Usage } from './room.ts';

const partSuffix = '.part';

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
  const room = await Room.open(dir, quota);
  return {
    create: async (job) => {
      await room.any();
      return await createWriter(dir, job, room);
    },
    open: (job) => openReader(join(dir, job)),
    remove: async (job) => {
      await rm(join(dir, job), { force: true });
      room.leave(job);
      await syncDirectory(dir);
    },
    list: async () => (await readdir(dir)).filter((name) => !name.endsWith(partSuffix)),
    usage: () => room.usage(),
  };
}

async function createWriter(dir: string, job: string, room: Room): Promise<SpoolWriter> {
  const part = join(dir, job + partSuffix);
  const file = await open(part, 'wx+', 0o600).catch(refuseFull);
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    write: async (chunk) => {
      await room.take(job, chunk.length);
      await writeAll(file, chunk, bytes).catch(refuseFull);
      bytes += chunk.length;
    },
    read: (offset, length) => readAll(file, offset, length),
    finish: async () => {
      await file.sync().catch(refuseFull);
      await rename(part, join(dir, job)).catch(refuseFull);
      await syncDirectory(dir);
    },
    abort: async () => {
      await file.close().catch(() => {});
      await rm(part, { force: true });
      await rm(join(dir, job), { force: true });
      room.leave(job);
    },
    close: () => file.close(),
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

/** Makes a rename or removal durable. Windows has no such call, and needs none: NTFS journals names. */
async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
