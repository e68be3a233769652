/** What the demo expects to be so, and says so when it is not. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InkmeshError } from '../../mesh/errors.ts';

const erased_ms = 10_000;

/** @throws InkmeshError unless it holds */
export function expect(holds: boolean, what: string): void {
  if (!holds) throw new InkmeshError('internal', `the demo expected: ${what}`);
}

/** Looks for the text in every file of a node. */
export async function expectUnreadable(dir: string, name: string, marker: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const content = await readFile(join(entry.parentPath, entry.name));
    expect(!content.includes(marker), `${name} does not have the document’s text in ${entry.name}`);
  }
}

/** Two holders have erased when a release returns; the third is told as soon as it can be. */
export async function expectErased(envelopes: string, name: string): Promise<void> {
  const deadline_ms = performance.now() + erased_ms;
  while ((await readdir(envelopes)).length > 0) {
    expect(performance.now() < deadline_ms, `${name} has erased its envelope`);
    await new Promise((again) => setTimeout(again, 50));
  }
}

/** The name of the kept file that is the document. */
export async function keptDocument(kept: string, document: Uint8Array): Promise<string> {
  for (const name of await readdir(kept)) {
    const path = join(kept, name);
    if (Buffer.from(document).equals(await readFile(path))) return path;
  }
  throw new InkmeshError('internal', `the demo expected the document in ${kept}`);
}
