import { execFileSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Authority,
  generateKeys,
  generateSealKey,
  issueNode,
  issueTls,
  issueUser,
} from '../../mesh/authority.ts';
import { generateHostKey, tlsSubject } from '../../mesh/mod.ts';
import { files, writeCredential, writeNode, writePrivate } from '../../src/datadir.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { type Kept, line, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const runtime = [process.execPath, ...process.versions['deno'] === undefined ? [] : ['run', '-A'], main];
const patience_ms = 30_000;

/** The pid of a process that does nothing, in a network namespace of its own, which ends with it. */
async function namespace(): Promise<number> {
  const kept = spawnKept('unshare', ['--net', 'sh', '-c', 'echo in; exec sleep 600']);
  await line(kept, /^in$/, { deadline_ms: 30_000 });
  if (kept.pid === undefined) throw new Error('unshare could not be started');
  return kept.pid;
}

const inside = (pid: number, ...args: string[]) => ['--net', `--target=${pid}`, ...args];

function ip(pid: number, command: string): void {
  execFileSync('nsenter', inside(pid, 'ip', ...command.split(' ')), {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** A LAN of `count` machines at a bridge, with a router that does not answer. @returns a pid in each */
async function lan(count: number): Promise<number[]> {
  const bridge = await namespace();
  ip(bridge, 'link add br0 type bridge');
  ip(bridge, 'link set br0 up');
  const machines: number[] = [];
  for (let i = 1; i <= count; i++) {
    const pid = await namespace();
    ip(bridge, `link add v${i} type veth peer name eth0 netns ${pid}`);
    ip(bridge, `link set v${i} master br0 up`);
    ip(pid, 'link set lo up');
    ip(pid, `address add 10.77.0.${i}/24 dev eth0`);
    ip(pid, 'link set eth0 up');
    ip(pid, 'route add default via 10.77.0.254');
    machines.push(pid);
  }
  return machines;
}

/** The data directory of a node that has been told no address of any other. */
async function dataDir(authority: Authority, name: string): Promise<string> {
  const dir = tempDir();
  const now = Date.now();
  const { hostKey, peerId } = await generateHostKey();
  const keys = await generateKeys();
  const { publicKey } = keys;
  const { root } = authority.trust;
  const issuers = [authority.meshIssuer.der];
  const tls = await issueTls(authority, tlsSubject(publicKey, name, 'a', []), now);
  await writeNode(dir, {
    ...{ hostKey, keys, issuers, root, registrars: [], sealKey: await generateSealKey() },
    leaf: await issueNode(authority, { name, site: 'a', peerId, roles: [], publicKey }, now),
    tls: { leaf: tls, issuer: authority.tlsIssuer.der },
  });
  const own = await generateKeys();
  const admin = {
    user: 'admin',
    device: crypto.randomUUID(),
    roles: ['admin'] as const,
    publicKey: own.publicKey,
  };
  const leaf = await issueUser(authority, admin, now);
  const path = files.adminCredential(dir);
  await writeCredential(path, { user: 'admin', site: 'a', keys: own, leaf, issuers, root, token: null });
  await writePrivate(files.config(dir), { ports: { mesh: 0, https: 0, release: 0 } });
  return dir;
}

interface Machine {
  name: string;
  dir: string;
  pid: number;
  node: Kept;
}

async function startMachine(authority: Authority, name: string, pid: number): Promise<Machine> {
  const dir = await dataDir(authority, name);
  const node = spawnKept('nsenter', inside(pid, ...runtime, 'node', '--dir', dir, '--json'));
  await line(node, /"ready":true/, { deadline_ms: patience_ms });
  return { name, dir, pid, node };
}

function membersOf({ dir, pid }: Machine): string[] {
  const args = inside(pid, ...runtime, 'status', '--dir', dir, '--json');
  const output = execFileSync('nsenter', args, { encoding: 'utf8' });
  const status = JSON.parse(output) as { members: { name: string }[] };
  return status.members.map(({ name }) => name).sort();
}

async function untilMembers(machine: Machine, expected: string[]): Promise<void> {
  let seen: string[] = [];
  await waitFor(() => (seen = membersOf(machine)).length >= expected.length || undefined, {
    deadline_ms: patience_ms,
    what: `${machine.name} to find ${expected.join(', ')}`,
  });
  assert.equal(seen, expected);
}

if (requireTools(['ip', 'nsenter', 'unshare'])) {
  test('nodes of a LAN that know no address find each other by mDNS, and nobody else’s', async () => {
    const ours = await fakeAuthority('Test works', Date.now());
    const theirs = await fakeAuthority('Other works', Date.now());
    const [one, two, three, four] = await lan(4) as [number, number, number, number];
    const first = await Promise.all([
      startMachine(ours, 'a1', one),
      startMachine(ours, 'a2', two),
      startMachine(theirs, 'b1', four),
    ]);
    const [a1, a2, b1] = first;
    await untilMembers(a1, ['a2']);
    await untilMembers(a2, ['a1']);
    const a3 = await startMachine(ours, 'a3', three);
    await untilMembers(a3, ['a1', 'a2']);
    await untilMembers(a1, ['a2', 'a3']);
    await untilMembers(a2, ['a1', 'a3']);
    assert.equal(membersOf(b1), []);
    for (const { node } of [...first, a3]) assert.is((await stop(node, { deadline_ms: 30_000 })).code, 0);
  });
}

test.run();
