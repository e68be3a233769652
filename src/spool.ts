/** Envelopes as files: `<dir>/envelopes/<job>`, written under another name until they are whole and durable. */
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InkmeshError } from '../mesh/errors.ts';
import type { Spool, SpoolReader, SpoolWriter } from '../mesh/mod.ts';
import { moved } from './memory.ts';

const partSuffix = '.part';

/** Opens the spool of a data directory and removes what a crash left half-written. */
export async function openSpool(dataDir: string): Promise<Spool> {
  const dir = join(dataDir, 'envelopes');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir)) {
    if (name.endsWith(partSuffix)) await rm(join(dir, name), { force: true });
  }
  return {
    create: (job) => createWriter(dir, job),
    open: (job) => openReader(join(dir, job)),
    remove: async (job) => {
      await rm(join(dir, job), { force: true });
      await syncDirectory(dir);
    },
    list: async () => (await readdir(dir)).filter((name) => !name.endsWith(partSuffix)),
  };
}

async function createWriter(dir: string, job: string): Promise<SpoolWriter> {
  const part = join(dir, job + partSuffix);
  const file = await open(part, 'wx+', 0o600);
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    write: async (chunk) => {
      await writeAll(file, chunk, bytes);
      bytes += chunk.length;
    },
    read: (offset, length) => readAll(file, offset, length),
    finish: async () => {
      await file.sync();
      await rename(part, join(dir, job));
      await syncDirectory(dir);
    },
    abort: async () => {
      await file.close().catch(() => {});
      await rm(part, { force: true });
      await rm(join(dir, job), { force: true });
    },
    close: () => file.close(),
  };
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
