/** A binary of Node's runtime and the program: a single executable application (Node.js documentation, chapter SEA). */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { bundle, root } from './bundle.ts';
import { mustRun } from './run.ts';
import { hostTarget, nodeVersion, type Target } from './targets.ts';

const runtimes = join(root, 'dist', 'runtimes');

/**
 * @param scratch an empty folder for what lies between
 * @throws Error when a package cannot be fetched or is not the one it should be, or Node does not build
 */
export async function compileNode(target: Target, output: string, scratch: string): Promise<void> {
  const host = hostTarget();
  if (host === undefined) throw new Error('binaries are built on one of the machines that they are for');
  const builder = await fetchNode(host);
  const main = join(scratch, 'inkmesh.cjs');
  await bundle({ format: 'cjs', single: true, outfile: main });
  const runtime = join(scratch, `node${target.suffix}`);
  copyFileSync(await fetchNode(target), runtime);
  stripSymbols(target, runtime);
  const config = join(scratch, 'sea.json');
  writeFileSync(
    config,
    JSON.stringify({
      main,
      output,
      executable: runtime,
      disableExperimentalSEAWarning: true,
      // made by the builder's V8: of no use to another machine's
      useCodeCache: target === host,
      execArgv: runtimeFlags,
      // nobody changes by NODE_OPTIONS what a service runs
      execArgvExtension: 'none',
    }),
  );
  await mustRun(builder, ['--build-sea', config], scratch);
  chmodSync(output, 0o755);
  if (target.name.startsWith('darwin')) {
    process.stderr.write('compile: sign it on a Mac before it runs: codesign --sign - --force FILE\n');
  }
}

/** V8 lets 16 MiB of young garbage lie in each of its two halves unless told, which an idle node never needs. */
const runtimeFlags: readonly string[] = ['--no-warnings', '--max-semi-space-size=2'];

/** @returns the path of Node's binary for a target, fetched once */
async function fetchNode({ node, suffix }: Target): Promise<string> {
  const folder = join(runtimes, `${node.name}-${nodeVersion}`);
  const binary = join(folder, 'package', 'bin', `node${suffix}`);
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  await mustRun(npm, ['pack', '--silent', `${node.name}@${nodeVersion}`], folder);
  const archive = join(folder, `${node.name}-${nodeVersion}.tgz`);
  const integrity = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (integrity !== node.integrity) throw new Error(`${archive} is not what it was: ${integrity}`);
  const inArchive = `package/bin/node${suffix}`;
  await mustRun('tar', ['-xzf', archive, inArchive], folder);
  return binary;
}

/** Symbols are a fifth of the binary; without a tool for the target they stay. */
function stripSymbols({ name }: Target, binary: string): void {
  const tools: Readonly<Record<string, readonly string[]>> = {
    'linux-x64': ['strip', 'x86_64-linux-gnu-strip', 'llvm-strip'],
    'linux-arm64': ['aarch64-linux-gnu-strip', 'llvm-strip', 'strip'],
  };
  if (tools[name] === undefined) return;
  const stripped = `${binary}.stripped`;
  const done = tools[name].some((tool) => spawnSync(tool, ['-o', stripped, binary]).status === 0);
  if (done) renameSync(stripped, binary);
  else process.stderr.write(`compile: no tool strips ${name}: the binary is 30 MB larger than it need be\n`);
}
