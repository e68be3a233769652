/** A node as a service of the operating system: what is put where, and which commands do it. */
import { existsSync } from 'node:fs';
import { launchd } from './launchd.ts';
import { systemd } from './systemd.ts';
import { task } from './task.ts';

/** A program with its arguments. */
export type Line = readonly [string, ...string[]];

export interface Service {
  /** where the binary is kept */
  readonly program: string;
  /** data directory, unless told otherwise */
  readonly dir: string;
  /** the file that defines the service */
  readonly definition: string;
  /** what is in that file. @param command that runs this program @param dir data directory */
  define(command: Line, dir: string): string;
  /** succeeds when the account that the node runs as is there; null where the system has one */
  readonly account: Line | null;
  readonly addAccount: readonly Line[];
  readonly removeAccount: readonly Line[];
  /** give a directory and all in it to that account, and to nobody else */
  own(dir: string): readonly Line[];
  /** succeeds while the node runs */
  readonly isActive: Line;
  /** take the definition into use: the node runs now, and whenever the machine does */
  readonly start: readonly Line[];
  /** the reverse; the definition is still there */
  readonly stop: readonly Line[];
  /** after the definition has been removed */
  readonly forgotten: readonly Line[];
}

/** The service of this machine's operating system. */
export function service(platform: NodeJS.Platform = process.platform): Service {
  switch (platform) {
    case 'win32':
      return task;
    case 'darwin':
      return launchd;
    default:
      return systemd;
  }
}

/** What a person types to have the node of a data directory run. */
export function startCommand(dir: string): string {
  const { definition, dir: usual, start } = service();
  if (dir !== usual) return `inkmesh node --dir ${dir}`;
  return existsSync(definition) ? start.map((line) => line.join(' ')).join(' && ') : 'inkmesh install';
}
