/** A volume of a few octets, which a test can fill. Needs root. */
import { execFileSync } from 'node:child_process';
import { statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { tempDir } from './processes.ts';
import { requireTools } from './require.ts';

const mounted = new Set<string>();

// before the folders of this process are removed, which a volume would be in the way of
process.prependListener('exit', () => {
  for (const dir of [...mounted]) unmount(dir);
});

/**
 * Whether volumes can be mounted here. When not, says why and returns false.
 * @throws Error when CI is `true`: there the tests must run
 */
export function canMount(): boolean {
  if (!requireTools(['mount'])) return false;
  if (process.getuid?.() === 0) return true;
  if (process.env['CI'] === 'true') throw new Error('mounting a volume needs root');
  console.log('skipped: mounting a volume needs root');
  return false;
}

/** An empty volume of so many octets. @returns where it is mounted */
export function volume(bytes: number): string {
  const dir = tempDir();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'inkmesh-test', dir]);
  mounted.add(dir);
  return dir;
}

export function unmount(dir: string): void {
  execFileSync('umount', ['--lazy', dir]);
  mounted.delete(dir);
}

/** Fills a volume to the last block. @returns the file that does */
export function fill(dir: string): string {
  const file = join(dir, 'ballast');
  const { bavail, bsize } = statfsSync(dir);
  writeFileSync(file, new Uint8Array(bavail * bsize));
  return file;
}
