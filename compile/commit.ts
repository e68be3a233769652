/** The commit of these sources. */
import { execFileSync } from 'node:child_process';
import { dirname } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const root: string = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * `INKMESH_COMMIT`, which packagers set, or what git says: abbreviated, with `+` when files were changed since.
 * @returns null for an unpacked archive, or without git
 */
export function commit(): string | null {
  const given = process.env['INKMESH_COMMIT'];
  if (given) return given;
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short=12', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return null;
  }
}
