/**
 * What an edge node takes of a workstation: `deno task compile --runtime node && deno task bench footprint`, or with
 * INKMESH_TEST_BINARY another binary. Linux only. Without a binary it measures the sources, which says little.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { hostTarget, nodeVersion } from '../../compile/targets.ts';
import { Client } from '../../src/cli/client.ts';
import {
  ink,
  type Organisation,
  type OrganisationNode,
  program,
  startOrganisation,
} from '../e2e/organisation.ts';
import { line, spawnKept, stop, tempDir } from '../fakes/processes.ts';
import type { Row, Table } from './run.ts';

const dist = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist');
const starts = 5;
const settle_ms = 20_000;
const idle_ms = 30_000;
const jobs = 1000;
const abreast = 4;
const ready_ms = 60_000;
const ticksPerSecond = 100;

const row = (name: string, value: number): Row => ({ name, value, ratios: {} });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** MiB: of all, of its own, and of files, which is the binary's own code. */
function resident(pid: number): { all: number; anonymous: number; files: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (key: string) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  return { all: of('VmRSS'), anonymous: of('RssAnon'), files: of('RssFile') };
}

/** Seconds of a core. */
function cpu_s(pid: number): number {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').slice(
    11,
    13,
  );
  return (Number(user) + Number(system)) / ticksPerSecond;
}

/** Octets that have passed the loopback interface. */
function loopback(): number {
  return Number(/lo:\s*(\d+)/.exec(readFileSync('/proc/net/dev', 'utf8'))?.[1]);
}

function diskBytes(dir: string): number {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0);
}

/** Has a file leave the page cache, as after a reboot: one just written is there in large pieces, which count whole. */
function forget(file: string): void {
  execFileSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
}

async function readyTimes(): Promise<number[]> {
  const dir = join(tempDir(), 'alone');
  await ink(['org', 'init', '--name', 'Bench', '--site', 'a', '--dir', dir]);
  const ports = { mesh: 0, https: 0, release: 0 };
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ address: '127.0.0.1', mdns: false, ports }));
  const times: number[] = [];
  for (let i = 0; i < starts; i++) {
    const [command, ...args] = program();
    const begun = performance.now();
    const node = spawnKept(command, [...args, 'node', '--dir', dir, '--json']);
    await line(node, /^\{"ready".*\}$/, { deadline_ms: ready_ms });
    times.push(performance.now() - begun);
    await stop(node);
  }
  return times.sort((a, b) => a - b);
}

/** MiB of Node's own binary with an empty program; undefined without one. */
async function bareRuntime(): Promise<number | undefined> {
  const { node, suffix } = hostTarget() ?? { node: { name: '' }, suffix: '' };
  const archive = join(dist, 'runtimes', `${node.name}-${nodeVersion}.tgz`);
  if (!existsSync(archive)) return undefined;
  const folder = tempDir();
  execFileSync('tar', ['-xzf', archive, '-C', folder]);
  const binary = join(folder, 'package', 'bin', `node${suffix}`);
  forget(binary);
  const bare = spawnKept(binary, ['-e', 'console.log("up"); setInterval(() => {}, 1e6)']);
  await line(bare, /^up$/, { deadline_ms: ready_ms });
  const { all } = resident(bare.pid ?? 0);
  await stop(bare);
  return all;
}

async function idle(node: OrganisationNode): Promise<{ cores: number; octets: number }> {
  const before = { cpu: cpu_s(node.pid), octets: loopback() };
  await pause(idle_ms);
  const seconds = idle_ms / 1000;
  return {
    cores: (cpu_s(node.pid) - before.cpu) / seconds * 100,
    octets: (loopback() - before.octets) / seconds,
  };
}

async function hold(org: Organisation, node: OrganisationNode): Promise<void> {
  const client = await Client.open(node.dir, org.user('ada').credential);
  const ticket = { title: 'bench', format: 'application/octet-stream', options: {} };
  const headers = {
    'inkmesh-ticket': Buffer.from(JSON.stringify(ticket)).toString('base64url'),
    'content-type': 'application/octet-stream',
  };
  let left = jobs;
  const one = async function* () {
    yield new Uint8Array(1000);
  };
  await Promise.all(Array.from({ length: abreast }, async () => {
    while (left-- > 0) await client.upload(`/v1/jobs?submission=${crypto.randomUUID()}`, one(), headers);
  }));
}

const table = (title: string, unit: string, rows: Row[], ...notes: string[]): Table => ({
  ...{ title, unit, rows, notes },
});

/** Of one of three nodes, idle and then holding. */
async function measured() {
  const org = await startOrganisation();
  try {
    const node = org.node('a2');
    await pause(settle_ms);
    const before = { ...resident(node.pid), disk: diskBytes(node.dir), ...await idle(node) };
    await hold(org, org.node('a1'));
    await pause(settle_ms);
    return { before, after: { ...resident(node.pid), disk: diskBytes(node.dir), ...await idle(node) } };
  } finally {
    await org.stop();
  }
}

export async function bench(): Promise<Table[]> {
  const built = join(dist, `inkmesh-${hostTarget()?.name}`);
  const binary = process.env['INKMESH_TEST_BINARY'] ?? (existsSync(built) ? built : undefined);
  if (binary !== undefined) {
    process.env['INKMESH_TEST_BINARY'] = binary;
    forget(binary);
  }
  // as the unit has it
  process.env['MALLOC_ARENA_MAX'] = '2';
  const times = await readyTimes();
  const bare = await bareRuntime();
  const { before, after } = await measured();
  const both = (of: 'cores' | 'octets' | 'disk', per = 1) => [
    row('idle', before[of] / per),
    row('holding 1,000 jobs', after[of] / per),
  ];
  return [
    table(
      'binary',
      'MB',
      binary === undefined ? [] : [row('size', statSync(binary).size / 1e6)],
      'at most 130',
    ),
    table('from start to ready', 'ms', [
      row('median', times[Math.floor(starts / 2)] ?? 0),
      row('best', times[0] ?? 0),
    ], 'under 500, on a machine that does nothing else'),
    table('resident, idle', 'MiB', [
      row('all', before.all),
      row('of it heap, stacks, buffers', before.anonymous),
      row('of it the runtime’s own code and data, shared', before.files),
      ...bare === undefined ? [] : [row('Node with an empty program', bare)],
      row('more with 1,000 held jobs', after.all - before.all),
    ], 'under 100; under 20 more with the jobs'),
    table('a node, of one core', '%', both('cores'), 'under 0.5 when idle'),
    table(
      'all on loopback',
      'B/s',
      both('octets'),
      'of the whole machine: three nodes, and whatever else runs',
    ),
    table('disk', 'MiB', both('disk', 1024 ** 2)),
  ];
}
