/** Network namespaces of this test process: made, entered, and removed for certain. Needs root. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { requireTools, toolPath } from '../../fakes/require.ts';

const folder = '/run/netns';
const prefix = 'inkmesh-test-';
const made = new Set<string>();

/**
 * Whether namespaces can be made here. When not, says why and returns false.
 * @throws Error when CI is `true`: there the tests must run
 */
export function canIsolate(): boolean {
  if (!requireTools(['ip', 'nsenter'])) return false;
  if (process.getuid?.() === 0) return true;
  if (process.env['CI'] === 'true') throw new Error('network namespaces need root');
  console.log('skipped: network namespaces need root');
  return false;
}

/** Runs `ip` with these arguments, separated by spaces. @returns what it prints */
export function ip(args: string): string {
  return execFileSync(toolPath('ip') ?? 'ip', args.split(' '), { encoding: 'utf8' });
}

/** A command as it is run in a namespace. */
export function inside(namespace: string, ...command: string[]): [string, ...string[]] {
  return [toolPath('nsenter') ?? 'nsenter', `--net=${folder}/${namespace}`, ...command];
}

/** A new namespace without IPv6, whose own chatter would be taken for traffic. @returns its full name */
export function addNamespace(name: string): string {
  if (made.size === 0) prepare();
  const full = `${prefix}${process.pid}-${name}`;
  ip(`netns add ${full}`);
  made.add(full);
  for (const which of ['all', 'default']) setting(full, `net/ipv6/conf/${which}/disable_ipv6`, '1');
  ip(`-n ${full} link set lo up`);
  return full;
}

/** Sets what `sysctl` would, in one namespace. */
export function setting(namespace: string, key: string, value: string): void {
  const [command, ...args] = inside(namespace, 'sh', '-c', `echo ${value} > /proc/sys/${key}`);
  execFileSync(command, args);
}

/** Removes every namespace that this process made; what still runs in them is killed. */
export function removeNamespaces(): void {
  for (const name of made) remove(name);
  made.clear();
}

function prepare(): void {
  removeLeftovers();
  process.on('exit', removeNamespaces);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(130));
}

/** What test processes left that were killed before they could clean up. */
function removeLeftovers(): void {
  for (const name of namespaces()) {
    const pid = Number(/^\d+/.exec(name.slice(prefix.length))?.[0]);
    if (pid === process.pid || !isAlive(pid)) remove(name);
  }
}

function namespaces(): string[] {
  try {
    return readdirSync(folder).filter((name) => name.startsWith(prefix));
  } catch {
    // nobody has made one yet
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function remove(name: string): void {
  try {
    for (const pid of ip(`netns pids ${name}`).split('\n').filter((line) => line !== '')) {
      process.kill(Number(pid), 'SIGKILL');
    }
    ip(`netns delete ${name}`);
  } catch {
    // another test process that cleans up was quicker
  }
}
