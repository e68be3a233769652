/**
 * `deno task compile [--target OS-ARCH]... [--runtime deno|node] [--output DIR]`: self-contained executables,
 * dist/inkmesh-OS-ARCH, and the checksums of those that were built in dist/SHA256SUMS. What runs here is run once.
 * Without `--target` for this machine; without `--runtime`
 * with Deno's runtime where it can be had, else with Node's, which the npm registry has. `--bundle` makes
 * dist/inkmesh.mjs instead, which any Deno runs without packages. Exit code 0 done, 1 failed, 2 bad usage.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { forgetEnvironment } from '../src/config-layers.ts';
import { bundle } from './bundle.ts';
import { commit, root } from './commit.ts';
import { compileDeno, NoDenort } from './deno.ts';
import { compileNode } from './node.ts';
import { hostTarget, type Target, targetOf, targets } from './targets.ts';

/** on a busy machine, and one with a virus scanner */
const tryOut_ms = 60_000;

class UsageError extends Error {}

interface Wanted {
  targets: Target[];
  runtime: string | undefined;
  bundle: boolean;
  /** a folder */
  dist: string;
}

function readArguments(): Wanted {
  const options = {
    target: { type: 'string', multiple: true },
    runtime: { type: 'string' },
    bundle: { type: 'boolean', default: false },
    output: { type: 'string', default: join(root, 'dist') },
  } as const;
  let values;
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { runtime } = values;
  if (runtime !== undefined && runtime !== 'deno' && runtime !== 'node') {
    throw new UsageError('--runtime is deno or node');
  }
  const denort = process.env['DENORT_BIN'];
  if (denort && !existsSync(denort)) throw new UsageError(`DENORT_BIN is set, but ${denort} does not exist`);
  // Deno is run in another folder
  if (denort) process.env['DENORT_BIN'] = resolve(denort);
  if (denort && runtime !== 'node' && (values.target?.length ?? 1) > 1) {
    throw new UsageError('DENORT_BIN is the runtime of one target: give one --target');
  }
  const names = values.target ?? [hostTarget()?.name ?? ''];
  const known = targets.map(({ name }) => name).join(', ');
  const wanted = names.map((name) => {
    const found = targets.find((target) => target.name === name);
    if (found === undefined) throw new UsageError(`--target is one of ${known}`);
    return found;
  });
  return { targets: wanted, runtime, bundle: values.bundle, dist: resolve(values.output) };
}

/** @returns the path of the binary */
async function compile(target: Target, { runtime, dist }: Wanted): Promise<string> {
  const name = `inkmesh-${target.name}${target.suffix}`;
  const scratch = mkdtempSync(join(dist, 'build-'));
  const output = join(scratch, name);
  try {
    if (runtime === 'node' || !await withDeno(target, output, scratch, runtime === 'deno')) {
      await compileNode(target, output, scratch);
    }
    const made = targetOf(output)?.name;
    if (made !== target.name) {
      throw new Error(`the runtime is not for ${target.name}, but for ${made ?? 'another machine'}`);
    }
    if (target === hostTarget()) tryOut(output, []);
    renameSync(output, join(dist, name));
    return join(dist, name);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @returns false when Deno's runtime cannot be had, and need not be */
async function withDeno(target: Target, output: string, scratch: string, must: boolean): Promise<boolean> {
  try {
    await compileDeno(target, output, scratch);
    return true;
  } catch (error) {
    if (must || !(error instanceof NoDenort)) throw error;
    process.stderr.write('compile: Deno’s runtime cannot be had here: with Node’s instead\n');
    return false;
  }
}

/** @returns the path of inkmesh.mjs */
async function makeBundle({ dist }: Wanted): Promise<string> {
  // where no package is above it
  const scratch = mkdtempSync(join(tmpdir(), 'inkmesh-build-'));
  try {
    const made = join(scratch, 'inkmesh.mjs');
    await bundle({ format: 'esm', single: false, outfile: made });
    tryOut(process.execPath, ['run', '--allow-all', '--no-config', made]);
    for (const name of readdirSync(scratch)) copyFileSync(join(scratch, name), join(dist, name));
    return join(dist, 'inkmesh.mjs');
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** @throws Error unless it starts, and says that it is of this commit */
function tryOut(command: string, first: readonly string[]): void {
  const told = execFileSync(command, [...first, 'version', '--json'], {
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: tryOut_ms,
  });
  const made = (JSON.parse(told) as { commit: string | null }).commit;
  if (made !== commit()) throw new Error(`what was made is of commit ${made}, and not of ${commit()}`);
}

/** The form of `sha256sum`. Those for macOS are signed first, which changes them. */
function writeChecksums(dist: string, files: readonly string[]): void {
  const lines = files.filter((file) => !basename(file).includes('darwin')).sort().map((file) => {
    const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
    return `${digest}  ${basename(file)}\n`;
  });
  writeFileSync(join(dist, 'SHA256SUMS'), lines.join(''));
}

function report(file: string): void {
  process.stdout.write(`${file} (${(statSync(file).size / 1e6).toFixed(1)} MB)\n`);
}

try {
  if (process.versions['deno'] === undefined) throw new UsageError('run this with Deno: deno task compile');
  const wanted = readArguments();
  // what the builder has set for a node of its own is not for the program that is started to be measured here
  forgetEnvironment();
  mkdirSync(wanted.dist, { recursive: true });
  if (wanted.bundle) {
    report(await makeBundle(wanted));
  } else {
    const made: string[] = [];
    for (const target of wanted.targets) {
      made.push(await compile(target, wanted));
      report(made.at(-1) ?? '');
    }
    writeChecksums(wanted.dist, made);
  }
} catch (error) {
  process.stderr.write(`compile: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
