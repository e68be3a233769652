/** What a build makes: a bundle that needs no packages, and binaries as far as their runtimes are at hand. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { targets } from '../../compile/targets.ts';
import { type Exit, type Kept, spawnKept, tempDir } from '../fakes/processes.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** nobody listens there: a download fails at once */
const nowhere = 'http://127.0.0.1:9';

async function ran(kept: Kept): Promise<Exit & { stdout: string; stderr: string }> {
  return { ...await kept.ended, stdout: kept.stdout(), stderr: kept.stderr() };
}

/** not beside what is to be shipped */
const dist = tempDir();

const build = (args: readonly string[], env: Record<string, string | undefined> = {}) => {
  const command = ['run', '-A', 'compile/build.ts', '--output', dist, ...args];
  return ran(spawnKept(process.execPath, command, { cwd: root, env }));
};

if (process.versions['deno'] === undefined) {
  test.skip('Deno builds');
} else {
  test('the bundle runs under Deno in an empty folder, and prints a document', async () => {
    const built = await build(['--bundle']);
    assert.is(built.code, 0, built.stderr);
    const folder = tempDir();
    copyFileSync(join(dist, 'inkmesh.mjs'), join(folder, 'inkmesh.mjs'));
    const bundled = (...args: string[]) =>
      ran(spawnKept(process.execPath, ['run', '-A', '--no-config', '--cached-only', 'inkmesh.mjs', ...args], {
        cwd: folder,
      }));
    const version = JSON.parse((await bundled('version', '--json')).stdout) as { commit: unknown };
    assert.ok('commit' in version);
    const demo = await bundled('demo');
    assert.is(demo.code, 0, demo.stderr);
    assert.match(demo.stdout, /has done what it should/);
  });

  for (const { name } of targets) {
    test(`${name}: deno compile gets as far as the runtime's download`, async () => {
      const env = { HTTPS_PROXY: nowhere, https_proxy: nowhere, DENORT_BIN: undefined, DENO_DIR: tempDir() };
      const { code, stderr } = await build(['--runtime', 'deno', '--target', name], env);
      assert.is(code, 1);
      assert.match(stderr, /the runtime \(denort .*\) could not be fetched/);
    });
  }

  test('with a runtime at hand deno compile puts the program behind it, if it is one for the target', async () => {
    // some program, said to be for that machine
    const program = readFileSync('/bin/true');
    program.writeUInt16LE(183, 18);
    const denort = join(tempDir(), 'denort');
    writeFileSync(denort, program);
    const build64 = (file: string) =>
      build(['--runtime', 'deno', '--target', 'linux-arm64'], { DENORT_BIN: file });
    const { code, stderr, stdout } = await build64(denort);
    assert.is(code, 0, stderr);
    assert.match(stdout, /inkmesh-linux-arm64 \(\d/);
    const other = await build64('/bin/true');
    assert.is(other.code, 1);
    assert.match(other.stderr, /the runtime is not for linux-arm64, but for/);
  });

  test('what is called wrongly ends with 2', async () => {
    for (const args of [['--target', 'amiga'], ['--runtime', 'bun'], ['--tarhet', 'x']]) {
      assert.is((await build(args)).code, 2, args.join(' '));
    }
  });
}

test.run();
