/** The program as one module, where there is no package and no source beside it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bundle } from '../../compile/bundle.ts';
import { commit } from '../../compile/commit.ts';
import { freePort } from '../../src/cli/children.ts';
import { line, spawnKept, tempDir } from '../fakes/processes.ts';

const folder = tempDir();
const main = join(folder, 'inkmesh.mjs');
const ready_ms = 60_000;

const start = (...args: string[]) => {
  const flags = process.versions['deno'] === undefined ? [] : ['run', '--allow-all', '--no-config'];
  return spawnKept(process.execPath, [...flags, main, ...args, '--json'], { cwd: folder });
};

async function ink<T>(...args: string[]): Promise<T> {
  const kept = start(...args);
  const { code } = await kept.ended;
  assert.is(code, 0, `${args.join(' ')}: ${kept.stdout()}${kept.stderr()}`);
  return JSON.parse(kept.stdout()) as T;
}

test('it starts, and says of which commit it is', async () => {
  const made = commit();
  await bundle({ format: 'esm', single: false, outfile: main });
  assert.is((await ink<{ commit: string | null }>('version')).commit, made);
});

test('it founds an organisation, runs its node, and asks it', async () => {
  const dir = join(folder, 'node');
  mkdirSync(dir);
  const ports = `mesh = ${await freePort()}\nhttps = ${await freePort()}\nrelease = ${await freePort()}`;
  writeFileSync(join(dir, 'config.toml'), `address = "127.0.0.1"\nmdns = false\n[ports]\n${ports}\n`);
  await ink('org', 'init', '--name', 'Bundled', '--site', 'a', '--node', 'n1', '--dir', dir);
  const node = start('node', '--dir', dir);
  await line(node, /^\{"ready".*\}$/, { deadline_ms: ready_ms });
  await ink('user', 'add', 'ada', '--dir', dir);
  assert.match(JSON.stringify(await ink('user', 'list', '--dir', dir)), '"ada"');
});

test.run();
