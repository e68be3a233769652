/**
 * `deno task compile [--target OS-ARCH]... [--runtime deno|node] [--output DIR]`: self-contained executables,
 * dist/inkmesh-OS-ARCH, and their checksums in dist/SHA256SUMS. Without `--target` for this machine; without `--runtime`
 * with Deno's runtime where it can be had, else with Node's, which the npm registry has. `--bundle` makes
 * dist/inkmesh.mjs instead, which any Deno runs without packages. Exit code 0 done, 1 failed, 2 bad usage.
 */
import { createHash } from 'node:crypto';
import {
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
import { join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bundle, root } from './bundle.ts';
import { compileDeno, NoDenort } from './deno.ts';
import { compileNode } from './node.ts';
import { hostTarget, type Target, targets } from './targets.ts';

class UsageError extends Error {}

interface Wanted {
  targets: Target[];
  runtime: string | undefined;
  bundle: boolean;
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

/** The form of `sha256sum`, of every binary that is there. */
function writeChecksums(dist: string): void {
  const lines = readdirSync(dist).filter((name) => /^inkmesh-[^.]+(?:\.exe)?$/.test(name)).sort().map(
    (name) => {
      const digest = createHash('sha256').update(readFileSync(join(dist, name))).digest('hex');
      return `${digest}  ${name}\n`;
    },
  );
  writeFileSync(join(dist, 'SHA256SUMS'), lines.join(''));
}

function report(file: string): void {
  process.stdout.write(`${file} (${(statSync(file).size / 1e6).toFixed(1)} MB)\n`);
}

try {
  if (process.versions['deno'] === undefined) throw new UsageError('run this with Deno: deno task compile');
  const wanted = readArguments();
  mkdirSync(wanted.dist, { recursive: true });
  if (wanted.bundle) {
    const outfile = join(wanted.dist, 'inkmesh.mjs');
    await bundle({ format: 'esm', single: false, outfile });
    report(outfile);
  } else {
    for (const target of wanted.targets) report(await compile(target, wanted));
    writeChecksums(wanted.dist);
  }
} catch (error) {
  process.stderr.write(`compile: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
