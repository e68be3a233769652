/**
 * `deno task test [--deadline SECONDS] [--binary] [FILTER...]`: runs every test file under test/, or those whose path
 * there contains a FILTER, each in a process group of its own, the longest first and as many at once as there are
 * cores, and one more: they mostly wait. The last line is `N passed, N failed`; a file that crashes, hangs or tests
 * nothing counts as failed. Exit code 0 only when nothing failed. `--binary`: what starts the command line as a process
 * of its own (`program()` in e2e/organisation.ts, e2e/hosts/root.ts) starts the one that `deno task compile` has made
 * for this machine; agents in network namespaces, faulty nodes and what a test calls in its own process stay sources,
 * and files with nothing else are left out.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { commit } from '../compile/commit.ts';
import { hostTarget } from '../compile/targets.ts';
import { forgetEnvironment } from '../src/config-layers.ts';
import type { Report } from './child.ts';

const defaultDeadline_s = 900;
const filesAtOnce = availableParallelism() + 1;
/** of one file; what is older is forgotten */
const maxOutputChars = 1024 * 1024;
/** how long the output of an ended file is awaited: a process that left its group may hold the pipe */
const pipeGrace_ms = 2000;

interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
  timedOut: boolean;
  output: string;
}

interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  /** why the file failed other than by its tests */
  reasons: string[];
  missing: string[];
}

const testFolder = dirname(fileURLToPath(import.meta.url));
const running = new Set<ChildProcess>();
/** of e2e/, what starts the program's processes */
const starters = ['hosts/root', 'kill', 'organisation'];

function findTests(filters: string[], binary: boolean): string[] {
  return readdirSync(testFolder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .filter((file) => !binary || startsProgram(file))
    .sort();
}

/** Whether a file starts the program's processes, itself or by kill.ts: the others are the same with a binary. */
function startsProgram(file: string): boolean {
  const source = readFileSync(join(testFolder, file), 'utf8');
  return starters.some((starter) => source.includes(`from './${starter}.ts'`));
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // nothing is left of it
  }
}

/** Runs child.ts on one file. Whatever the file started in its group is dead when this resolves. */
function runChild(file: string, reportFile: string, temp: string, deadline_ms: number): Promise<End> {
  const runtime = process.versions['deno'] === undefined ? [] : ['run', '-A'];
  const args = [...runtime, join(testFolder, 'child.ts'), join(testFolder, file), reportFile];
  const child = spawn(process.execPath, args, {
    cwd: dirname(testFolder),
    env: { ...process.env, TMPDIR: temp },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  let output = '';
  let timedOut = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => output = (output + text).slice(-maxOutputChars));
  }
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, deadline_ms);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      killGroup(child);
      running.delete(child);
      const end = () => resolve({ code, signal, timedOut, output });
      const grace = setTimeout(end, pipeGrace_ms);
      child.on('close', () => {
        clearTimeout(grace);
        end();
      });
    });
  });
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}

function judge(end: End, report: Report | undefined, deadline_ms: number): Outcome {
  const { passed = 0, total = 0, skipped = 0, strays = [], missing = [] } = report ?? {};
  const reasons = [...strays];
  if (end.timedOut) reasons.push(`killed after ${deadline_ms / 1000} s`);
  else if (report === undefined) {
    reasons.push(`ended (${end.signal ?? end.code}) before its tests were finished`);
  } else if (total + skipped === 0 && missing.length === 0 && strays.length === 0) {
    reasons.push('registers no test');
  } else if (end.code !== (passed === total && strays.length === 0 ? 0 : 1)) {
    reasons.push(`ended (${end.signal ?? end.code}) in an unexpected way`);
  }
  return { passed, failed: total - passed + reasons.length, skipped, reasons, missing };
}

function describe(file: string, outcome: Outcome, end: End, took_ms: number): string {
  const { passed, failed, skipped, reasons, missing } = outcome;
  const counts = [`${passed} passed`];
  if (failed > 0) counts.push(`${failed} failed`);
  if (skipped > 0) counts.push(`${skipped} skipped`);
  counts.push(`${(took_ms / 1000).toFixed(1)} s`);
  const install = missing.length > 0 ? `; skipped: install ${missing.join(' ')}` : '';
  const word = failed > 0 ? 'FAILED' : passed > 0 ? 'ok    ' : 'none  ';
  const head = `${word} ${file} (${counts.join(', ')})${install}`;
  if (failed === 0) return head;
  return [head, ...end.output.trimEnd().split('\n'), ...reasons].join('\n       ');
}

async function runFile(file: string, folder: string, deadline_ms: number): Promise<Outcome> {
  const temp = join(folder, 'tmp');
  mkdirSync(temp, { recursive: true });
  // daemons that give up root must be able to reach what a test makes for them
  for (const path of [folder, temp]) chmodSync(path, 0o711);
  const reportFile = join(folder, 'report.json');
  const start = performance.now();
  const end = await runChild(file, reportFile, temp, deadline_ms);
  const outcome = judge(end, readReport(reportFile), deadline_ms);
  console.log(describe(file, outcome, end, performance.now() - start));
  return outcome;
}

async function runAll(files: string[], deadline_ms: number): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const folder = mkdtempSync(join(tmpdir(), 'inkmesh-test-'));
  chmodSync(folder, 0o711);
  process.on('exit', () => {
    for (const child of running) killGroup(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });
  const work = async (queue: string[]) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      outcomes.set(file, await runFile(file, join(folder, String(files.indexOf(file))), deadline_ms));
    }
  };
  const kinds = ['sim/', 'interop/ipptool-suites', 'e2e/', 'interop/', 'unit/', ''];
  const longestFirst = new Set(kinds.flatMap((kind) => files.filter((file) => file.startsWith(kind))));
  const queue = [...longestFirst];
  await Promise.all(Array.from({ length: filesAtOnce }, () => work(queue)));
  return outcomes;
}

/** @throws Error when there is none of this commit */
function builtBinary(): string {
  const { name, suffix } = hostTarget() ?? { name: '', suffix: '' };
  const file = join(dirname(testFolder), 'dist', `inkmesh-${name}${suffix}`);
  if (!existsSync(file)) throw new Error(`${file} is not there: deno task compile`);
  const told = JSON.parse(execFileSync(file, ['version', '--json'], { encoding: 'utf8' })) as {
    commit: string | null;
  };
  const [made, wanted] = [told.commit, commit()].map((commit) => commit?.replace('+', ''));
  if (made !== wanted) throw new Error(`${file} is of commit ${made}, not of ${wanted}: deno task compile`);
  return file;
}

function readArguments(): { filters: string[]; deadline_ms: number; binary: boolean } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      deadline: { type: 'string', default: String(defaultDeadline_s) },
      binary: { type: 'boolean', default: false },
    },
  });
  const deadline_ms = Number(values.deadline) * 1000;
  if (!(deadline_ms > 0)) throw new RangeError('--deadline takes a number of seconds');
  return { filters: positionals, deadline_ms, binary: values.binary };
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const { filters, deadline_ms, binary } = readArguments();
forgetEnvironment();
if (binary) process.env['INKMESH_TEST_BINARY'] = builtBinary();
const files = findTests(filters, binary);
const outcomes = await runAll(files, deadline_ms);
const sum = (count: (outcome: Outcome) => number) =>
  [...outcomes.values()].map(count).reduce((a, b) => a + b, 0);
const failed = sum((outcome) => outcome.failed) + (files.length === 0 ? 1 : 0);

if (files.length === 0) console.log(`no test file matches ${filters.join(' ')}`);
for (const [file, outcome] of outcomes) {
  if (outcome.failed > 0) console.log(`failed: ${file}`);
}
const missing = new Set([...outcomes.values()].flatMap((outcome) => outcome.missing));
if (missing.size > 0) console.log(`skipped: install ${[...missing].sort().join(' ')}`);
console.log(`${sum((outcome) => outcome.passed)} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
