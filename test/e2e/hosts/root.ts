/** Machines with a file system of their own, for a program that is one file. Needs root. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { spawnKept, stop, tempDir } from '../../fakes/processes.ts';
import type { Ran } from '../organisation.ts';
import { inside } from './namespaces.ts';
import type { Place } from './network.ts';

const command_ms = 120_000;
const folders = ['dev', 'etc', 'proc', 'run', 'tmp', 'usr/local', 'var/lib'];
export const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';

/** What is mounted where, then the command in there; it ends with the mount namespace. */
const enter = `set -e
mount --rbind /dev "$0/dev"
mount -t proc proc "$0/proc"
if [ -e "$0/etc/passwd" ]; then
  mount --bind "$0/usr/local" "$0/.local"
  mount --rbind -o ro /usr "$0/usr"
  mount --bind "$0/.local" "$0/usr/local"
fi
exec chroot "$0" "$@"`;

/** Whatever the binary is linked to, and nothing else: no shell, no users, no certificates, no Node, no Deno. */
export function emptyRoot(binary: string): string {
  const root = newRoot();
  const libraries = execFileSync('ldd', [binary], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  for (const [, library = ''] of libraries) copy(library, join(root, library));
  copy(binary, join(root, 'inkmesh'));
  return root;
}

/** Room for the system's own programs, and an `/etc` and `/usr/local` of its own. The program is `/inkmesh`. */
export function systemTree(binary: string): string {
  const root = newRoot();
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
  for (const name of ['group', 'gshadow', 'login.defs', 'nsswitch.conf', 'passwd', 'shadow', 'ld.so.cache']) {
    cpSync(join('/etc', name), join(root, 'etc', name));
  }
  mkdirSync(join(root, '.local'));
  for (const name of ['usr/local/bin', 'usr/local/sbin', 'etc/systemd/system']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  copy(binary, join(root, 'inkmesh'));
  return root;
}

/** The same with as much of systemd as can be had without booting. */
export function systemRoot(binary: string): string {
  const root = systemTree(binary);
  const systemctl = join(root, 'usr/local/sbin/systemctl');
  writeFileSync(systemctl, fakeSystemctl);
  chmodSync(systemctl, 0o755);
  return root;
}

/** It runs what the unit says as the user that it says. */
const fakeSystemctl = `#!/bin/sh
unit=/etc/systemd/system/inkmesh.service
pidfile=/run/inkmesh.pid
alive() { [ -f $pidfile ] && grep -qs '^State:[[:space:]]*[^Z]' /proc/$(cat $pidfile)/status; }
stop() {
  if alive; then kill $(cat $pidfile); fi
  while alive; do sleep 0.1; done
  rm -f $pidfile
}
case $1 in
  is-active) alive ;;
  stop|disable) stop ;;
  start|restart)
    stop
    user=$(sed -n 's/^User=//p' $unit)
    line=$(sed -n 's/^ExecStart=//p' $unit)
    setsid setpriv --reuid $user --regid $user --clear-groups --no-new-privs sh -c "exec $line" \\
      </dev/null >/dev/null 2>/run/inkmesh.log &
    echo $! >$pidfile ;;
esac
`;

function newRoot(): string {
  const root = tempDir();
  // whom the service runs as must get in
  chmodSync(root, 0o755);
  for (const name of folders) mkdirSync(join(root, name), { recursive: true });
  return root;
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

/** A command on a machine. @param program a path in its root */
export function within(
  place: Place,
  root: string,
  program: string,
  ...args: string[]
): [string, ...string[]] {
  const mounted = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', enter, root];
  return inside(place.namespace, 'env', '-i', `PATH=${path}`, 'LANG=C', ...mounted, program, ...args);
}

/** Runs a command on a machine to its end. @returns what it printed, as JSON where it is */
export function runWithin<T>(
  place: Place,
  root: string,
  program: string,
  ...args: string[]
): Promise<Ran<T>> {
  return runToEnd(within(place, root, program, ...args));
}

/** Runs a command to its end. @returns what it printed, as JSON where it is */
export async function runToEnd<T>([command, ...args]: [string, ...string[]]): Promise<Ran<T>> {
  const kept = spawnKept(command, args);
  const late = setTimeout(() => void stop(kept), command_ms);
  const { code } = await kept.ended;
  clearTimeout(late);
  const [stdout, stderr] = [kept.stdout(), kept.stderr()];
  const json = (stdout.startsWith('{') || stdout.startsWith('[') ? JSON.parse(stdout) : null) as T;
  return { code, json, stdout, stderr };
}

/** All that is under a root, but for what processes leave in /run, and for copies that tools keep of what they change. */
export function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .filter((path) => !/^\/(?:run|dev|proc)\/|^\/etc\/\.?\w+[-.](?:lock|pwd\.lock)?$/.test(path))
    .sort();
}
