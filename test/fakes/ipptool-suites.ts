/** The standard's own tests: Debian's ipptool suites (package cups-ipp-utils), unmodified, with the documents that they send. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { jpeg, pdf, postscript, pwgRaster } from './ipp-samples.ts';
import { spawnKept, stop, tempDir } from './processes.ts';

const installed = '/usr/share/cups/ipptool';

export interface Suite {
  readonly name: string;
  /** of IPP, in which it is asked */
  readonly version: string;
  /** what must pass at least: what the best of Debian's own servers passes */
  readonly least: number;
}

export const suites: readonly Suite[] = [
  { name: 'ipp-1.1', version: '1.1', least: 54 },
  { name: 'ipp-2.0', version: '2.0', least: 55 },
  { name: 'ipp-2.1', version: '2.1', least: 56 },
  { name: 'ipp-2.2', version: '2.2', least: 56 },
  { name: 'ipp-everywhere', version: '2.0', least: 147 },
];

/**
 * Runs a suite, and checks that nothing of it fails.
 * @param folder of `suiteFolder`
 * @param document what it prints first, by its name in that folder
 * @throws Error with ipptool's report
 */
export async function runSuite(
  { name, version, least }: Suite,
  { folder, document, uri, patience_ms }: {
    folder: string;
    document: string;
    uri: string;
    patience_ms: number;
  },
): Promise<void> {
  // -I goes on after a failure; the exit code says nothing then
  const args = ['-V', version, '-I', '-t', '-f', join(folder, document), uri, join(folder, `${name}.test`)];
  const kept = spawnKept('ipptool', args);
  const late = setTimeout(() => void stop(kept), patience_ms);
  const { signal } = await kept.ended;
  clearTimeout(late);
  const report = kept.stdout() + kept.stderr();
  const count = (result: string) => report.split(`[${result}]`).length - 1;
  const counts = `${name}: ${count('PASS')} passed, ${count('FAIL')} failed, ${count('SKIP')} skipped`;
  assert.is(signal, null, `it took longer than ${patience_ms} ms\n${report}`);
  assert.is(count('FAIL'), 0, report);
  assert.ok(count('PASS') >= least, report);
  console.log(counts);
}

const pages: Readonly<Record<string, [number, number]>> = {
  a4: [595, 842],
  letter: [612, 792],
  '4x6': [288, 432],
};

/**
 * A folder with links to all of Debian's suites, unmodified, and with every document that they send: ipptool looks for
 * documents beside the suite, and stops at the first one that is not there. The package leaves them all out.
 */
export function suiteFolder(): string {
  const folder = tempDir();
  const wanted = new Set<string>();
  for (const name of readdirSync(installed)) {
    symlinkSync(join(installed, name), join(folder, name));
    for (const [, file] of readFileSync(join(installed, name), 'utf8').matchAll(/^\s*FILE "?([^\s"$]+)/gm)) {
      if (file !== undefined) wanted.add(file);
    }
  }
  for (const file of wanted) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), sample(file));
  }
  return folder;
}

function sample(file: string): Uint8Array {
  const raster = /-(a4|letter|4x6)-([a-z]+-\d+)-(\d+)dpi\.pwg$/.exec(file);
  if (raster !== null) {
    const [, page = '', type = '', dpi] = raster;
    return pwgRaster(type, Number(dpi), pages[page] as [number, number]);
  }
  if (file.endsWith('.jpg')) return jpeg();
  return file.endsWith('.ps') ? postscript() : pdf();
}
