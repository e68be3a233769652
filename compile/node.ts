/** A binary of Node's runtime and the program: a single executable application (Node.js documentation, chapter SEA). */
import { execFileSync, spawnSync } from 'node:child_process';
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
import { bundle, bundleMain } from './bundle.ts';
import { root } from './commit.ts';
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
  const builder = await unpackNode(host, scratch);
  const program = join(scratch, 'inkmesh.cjs');
  await bundle({ format: 'cjs', single: true, outfile: program });
  const main = join(scratch, 'main.cjs');
  await bundleMain(main);
  // bytecode of this machine's V8 is of no use to another's
  const warmed = target === host ? { bytecode: await warmUp(builder, program, scratch) } : {};
  const runtime = join(scratch, `node${target.suffix}`);
  copyFileSync(target === host ? builder : await unpackNode(target, scratch), runtime);
  stripSymbols(target, runtime);
  const config = join(scratch, 'sea.json');
  writeFileSync(
    config,
    JSON.stringify({
      main,
      output,
      executable: runtime,
      disableExperimentalSEAWarning: true,
      assets: { program, ...warmed },
      execArgv: runtimeFlags,
      // nobody changes by NODE_OPTIONS what a service runs
      execArgvExtension: 'none',
    }),
  );
  await mustRun(builder, ['--build-sea', config], scratch);
  chmodSync(output, 0o755);
  if (target.name.startsWith('darwin')) {
    process.stderr.write(
      'compile: sign it on a Mac before it runs: codesign --sign - --force FILE; its checksum is made after that\n',
    );
  }
}

/** Starts the program once. @returns the path of what V8 has compiled of it by then */
async function warmUp(node: string, program: string, scratch: string): Promise<string> {
  const dir = join(scratch, 'warm');
  const bytecode = join(scratch, 'bytecode');
  const init = ['org', 'init', '--name', 'warm', '--site', 'warm', '--dir', dir];
  execFileSync(node, [program, ...init], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ports = { mesh: 0, https: 0, release: 0 };
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ address: '127.0.0.1', mdns: false, ports }));
  await mustRun(node, [...runtimeFlags, join(root, 'compile/warm.ts'), program, bytecode, dir], scratch);
  return bytecode;
}

/** V8 lets 16 MiB of young garbage lie in each of its two halves unless told, which an idle node never needs. */
const runtimeFlags: readonly string[] = ['--no-warnings', '--max-semi-space-size=2'];

/**
 * Node's binary for a target, out of the registry's archive, which is fetched once and checked each time.
 * @returns its path, in `scratch`
 */
async function unpackNode({ node, suffix }: Target, scratch: string): Promise<string> {
  const name = `${node.name}-${nodeVersion}`;
  const archive = join(runtimes, `${name}.tgz`);
  if (!existsSync(archive) || integrityOf(archive) !== node.integrity) {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    await mustRun(npm, ['pack', '--silent', `${node.name}@${nodeVersion}`], scratch);
    const fetched = join(scratch, `${name}.tgz`);
    if (integrityOf(fetched) !== node.integrity) throw new Error(`the registry’s ${name} is not what it was`);
    mkdirSync(runtimes, { recursive: true });
    renameSync(fetched, archive);
  }
  const folder = join(scratch, name);
  mkdirSync(folder, { recursive: true });
  const inArchive = `package/bin/node${suffix}`;
  await mustRun('tar', ['-xzf', archive, '-C', folder, inArchive], scratch);
  const binary = join(folder, inArchive);
  const sha256 = createHash('sha256').update(readFileSync(binary)).digest('hex');
  if (sha256 !== node.sha256) throw new Error(`Node’s binary in ${archive} is not the one that was tested`);
  return binary;
}

/** In the form of Subresource Integrity. */
const integrityOf = (file: string): string =>
  `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;

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
