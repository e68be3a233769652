/**
 * Runs one test file and exits: `child.ts FILE REPORT`. The counts go to the file REPORT, where no output of the
 * tests can be mistaken for them; without a report the runner takes the file as failed.
 */
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { missingPackages } from './fakes/require.ts';

export interface Report {
  passed: number;
  /** tests that were run */
  total: number;
  /** tests that were left out by `test.skip` */
  skipped: number;
  /** what went wrong outside of any test */
  strays: string[];
  /** Debian packages that `requireTools` missed */
  missing: string[];
}

type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

const report: Report = { passed: 0, total: 0, skipped: 0, strays: [], missing: [] };

const stray = (kind: string) => (reason: unknown) => {
  console.error(`${kind}:`, reason);
  report.strays.push(kind);
};
process.on('unhandledRejection', stray('unhandled rejection'));
process.on('uncaughtException', stray('uncaught exception'));

/** uvu drops the error of a hook and says only that fewer tests passed than there are. */
function counted(suite: Suite): Suite {
  return async () => {
    const result = await suite();
    const [errors, passed, skipped, total] = result;
    report.passed += passed;
    report.skipped += skipped;
    report.total += total;
    if (errors === true && passed < total) console.error('a before or after.each hook threw');
    return result;
  };
}

async function runFile(file: string): Promise<void> {
  const suites: (Suite | null)[] = [null];
  // uvu reads both when it is first imported: suites are then only queued, until exec()
  Object.assign(globalThis, { UVU_DEFER: 1, UVU_QUEUE: [suites] });
  const uvu = await import('uvu');
  await import(pathToFileURL(file).href);

  const declared = suites.length;
  uvu.test.run();
  const forgotten = suites.length > declared ? suites.pop() : undefined;
  suites.forEach((suite, at) => suites[at] = suite && counted(suite));
  await uvu.exec();
  const before = report.total;
  if (forgotten) await counted(forgotten)();
  if (report.total > before) stray('tests after the last test.run()')(report.total - before);
  // a rejection is reported in the turn after the one in which nobody handled it
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const [file, reportFile] = process.argv.slice(2);
if (file === undefined || reportFile === undefined) throw new TypeError('usage: child.ts FILE REPORT');
try {
  await runFile(file);
} catch (error) {
  stray('the file threw')(error);
}
report.missing = missingPackages();
writeFileSync(reportFile, JSON.stringify(report));
// handles that a test left open must not keep the process
process.exit(report.passed === report.total && report.strays.length === 0 ? 0 : 1);
