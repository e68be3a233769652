/** How this program starts itself once more. */
import { fileURLToPath } from 'node:url';
import { build } from '../build.ts';

/** The command that runs this program, to be followed by its arguments. */
export function self(): [string, ...string[]] {
  if (build?.single) return [process.execPath];
  const flags = process.versions.deno === undefined ? [] : ['run', '--allow-all'];
  // a bundle is one module, which is its own main
  const main = build === undefined ? new URL('../main.ts', import.meta.url) : import.meta.url;
  return [process.execPath, ...flags, fileURLToPath(main)];
}
