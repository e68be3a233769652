/** Where and when a node of a test is to die: see faulty-node.ts. */
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Wish {
  /** which nodes may; the first at the point does */
  nodes: string[];
  /** `before METHOD` or `after METHOD` */
  point: string;
  /** at which passing, from 1 */
  nth: number;
}

const prefix = 'killed-';

/** @param folder that of the nodes' data directories */
export function wishFile(folder: string): string {
  return join(folder, 'wish.json');
}

/** In force when it returns, for every node of the folder. */
export function makeWish(folder: string, wish: Wish): void {
  writeFileSync(wishFile(folder) + '.new', JSON.stringify(wish));
  renameSync(wishFile(folder) + '.new', wishFile(folder));
}

/** The node that had its wish and is dead or dying, once. */
export function takeVictim(folder: string): string | undefined {
  const found = readdirSync(folder).find((name) => name.startsWith(prefix));
  if (found === undefined) return undefined;
  rmSync(join(folder, found));
  return found.slice(prefix.length);
}

export function unwish(folder: string): void {
  rmSync(wishFile(folder), { force: true });
}
