/** What can be found of known octets in the memory of a process, and in a folder. Needs root, or the same user. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

const pageBytes = 4096;
const entryBytes = 8;

/** The indices of those of the `needles` that a process has anywhere in memory that it can write to. */
export function inMemory(pid: number, needles: readonly Uint8Array[]): number[] {
  const found = new Set<number>();
  const [memory, pages] = [openSync(`/proc/${pid}/mem`, 'r'), openSync(`/proc/${pid}/pagemap`, 'r')];
  try {
    for (const mapping of readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/\n(?=[0-9a-f]+-)/)) {
      const [, from = '', to = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(mapping) ?? [];
      if (from === '' || /^Rss:\s+0 kB/m.test(mapping)) continue;
      for (const [at, length] of present(pages, parseInt(from, 16), parseInt(to, 16))) {
        const octets = readAt(memory, at, length);
        needles.forEach((needle, i) => octets.includes(needle) && found.add(i));
      }
    }
  } finally {
    closeSync(memory);
    closeSync(pages);
  }
  return [...found].sort((a, b) => a - b);
}

/** Runs of pages that are there, by proc_pid_pagemap(5): of what is mapped most may only be reserved. */
function* present(pages: number, from: number, to: number): Generator<[number, number]> {
  const entries = readAt(pages, (from / pageBytes) * entryBytes, ((to - from) / pageBytes) * entryBytes);
  let start = -1;
  for (let page = 0; page <= entries.length / entryBytes; page++) {
    // bit 63: in memory; bit 62: swapped out
    const isThere = ((entries[page * entryBytes + 7] ?? 0) & 0xc0) !== 0;
    if (isThere && start < 0) start = page;
    if (isThere || start < 0) continue;
    yield [from + start * pageBytes, (page - start) * pageBytes];
    start = -1;
  }
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

/** What can be read from there: some special mappings cannot. */
function readAt(file: number, at: number, length: number): Buffer {
  const octets = Buffer.alloc(length);
  try {
    return octets.subarray(0, readSync(file, octets, 0, length, at));
  } catch {
    return octets.subarray(0, 0);
  }
}
