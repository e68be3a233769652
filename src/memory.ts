/**
 * Keeps the process small while documents stream through it. Their buffers are garbage as soon as they are written,
 * but V8 lets 64 MiB of them and more wait, as nearly all of their size lies outside the heap that it watches.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** octets moved between two looks */
const lookBytes = 1024 * 1024;
/** what buffers may grow by until they are collected */
const maxGarbageBytes = 24 * 1024 * 1024;

type Collect = (options: { type: 'major' }) => void;

let collect: Collect | undefined;
let movedBytes = 0;
/** octets outside the heap that were in use after the last collection, or fewer */
let usedBytes = Infinity;

/** To be told of every octet of a document that this process reads or writes. */
export function moved(bytes: number): void {
  movedBytes += bytes;
  if (movedBytes < lookBytes) return;
  movedBytes = 0;
  usedBytes = Math.min(usedBytes, externalBytes());
  if (externalBytes() - usedBytes < maxGarbageBytes) return;
  collect ??= collector();
  collect({ type: 'major' });
  usedBytes = externalBytes();
}

function externalBytes(): number {
  return getHeapStatistics().external_memory;
}

/** The function is in contexts that are made after the flag is set. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
