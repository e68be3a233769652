/** What can be found of known octets in the memory of a process, and in a folder. Needs root, or the same user. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

const pieceBytes = 64 * 1024 * 1024;

/** The indices of those of the `needles` that a process has anywhere in memory that it can write to. */
export function inMemory(pid: number, needles: readonly Uint8Array[]): number[] {
  const found = new Set<number>();
  const longest = Math.max(...needles.map(({ length }) => length));
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined || to === undefined) continue;
      const [start, end] = [parseInt(from, 16), parseInt(to, 16)];
      for (let at = start; at < end; at += pieceBytes - longest) {
        const octets = readAt(memory, at, Math.min(pieceBytes, end - at));
        needles.forEach((needle, i) => octets.includes(needle) && found.add(i));
      }
    }
  } finally {
    closeSync(memory);
  }
  return [...found].sort((a, b) => a - b);
}

/** The indices of those of the `needles` that are in files of a folder. */
export function inFiles(dir: string, needles: readonly Uint8Array[]): number[] {
  const found = new Set<number>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const octets = readFileSync(join(entry.parentPath, entry.name));
    needles.forEach((needle, i) => octets.includes(needle) && found.add(i));
  }
  return [...found].sort((a, b) => a - b);
}

/** What can be read from there: a page that is reserved only cannot. */
function readAt(memory: number, at: number, length: number): Buffer {
  const octets = Buffer.alloc(length);
  try {
    return octets.subarray(0, readSync(memory, octets, 0, length, at));
  } catch {
    return octets.subarray(0, 0);
  }
}
