/** Machines that systemd runs: containers of systemd-nspawn(1), each in a network namespace. Needs root. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { type Kept, spawnKept, stop, waitFor } from '../../fakes/processes.ts';
import type { Ran } from '../organisation.ts';
import type { Place } from './network.ts';
import { path, runToEnd, systemTree } from './root.ts';

const boot_ms = 60_000;
/** how systemd-nspawn ends when the container wants to start again and a unit's manager is to see to that */
const rebooting = 133;

/** A control group of its own, version 2 as on Debian, so that two of them do not meet; then the container. */
const enter = `set -e
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo '+memory +pids' 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control || true
mkdir -p "/sys/fs/cgroup/$0"
echo $$ >"/sys/fs/cgroup/$0/cgroup.procs"
exec "$@"`;
/** Wherever its hierarchies are mounted: systemd-nspawn puts the container into the old one too, where there is one. */
const leave = `set -e
for at in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  [ ! -d "$at/$0" ] || find "$at/$0" -depth -type d -exec rmdir {} +
done`;

export class Booted {
  readonly place: Place;
  /** its file system, as seen from outside; but `/tmp` and `/run` are in its memory */
  readonly root: string;
  #container: Kept | undefined;

  /** @param binary becomes its `/inkmesh` */
  constructor(place: Place, binary: string) {
    this.place = place;
    this.root = systemTree(binary);
    copyFileSync('/etc/os-release', join(this.root, 'etc/os-release'));
    // systemd makes one up and writes it there
    writeFileSync(join(this.root, 'etc/machine-id'), '');
    symlinkSync(
      '/lib/systemd/system/multi-user.target',
      join(this.root, 'etc/systemd/system/default.target'),
    );
  }

  /** Resolves when its services have been started. */
  async boot(): Promise<void> {
    const container = spawnKept('unshare', [
      ...['--mount', '--propagation', 'private', 'sh', '-c', enter, this.place.namespace],
      ...['systemd-nspawn', '--quiet', '--boot', '--register=no', '--keep-unit', '--console=pipe'],
      `--directory=${this.root}`,
      ...['--bind-ro=/usr', `--bind=${join(this.root, '.local')}:/usr/local`],
      `--network-namespace-path=/run/netns/${this.place.namespace}`,
    ]);
    this.#container = container;
    await waitFor(async () => {
      if (container.exit() !== undefined) throw new Error(`it does not boot: ${container.stderr()}`);
      if (this.#init === undefined) return undefined;
      const { stdout } = await this.run('systemctl', 'is-system-running');
      return /running|degraded/.test(stdout) ? true : undefined;
    }, { deadline_ms: boot_ms, what: `${this.place.name} to boot` });
  }

  /** Runs a command on it, as root. @returns what it printed, as JSON where it is */
  run<T>(command: string, ...args: string[]): Promise<Ran<T>> {
    const at = ['nsenter', `--target=${this.#init}`, '--all', 'env', '-i', `PATH=${path}`, 'LANG=C'] as const;
    return runToEnd<T>([...at, command, ...args]);
  }

  /** Has it reboot itself, in order. */
  async reboot(): Promise<void> {
    // as `systemctl reboot` does; but it would wait for that very command, which is no child of its processes
    execFileSync('kill', ['-s', 'RTMIN+5', this.#init ?? '']);
    const exit = await this.#container?.ended;
    if (exit?.code !== rebooting) throw new Error(`it does not reboot: ${this.#container?.stderr()}`);
    await this.boot();
  }

  /** Ends it as a power cut does. */
  async cut(): Promise<void> {
    process.kill(Number(this.#init), 'SIGKILL');
    await this.#container?.ended;
  }

  /** Shuts it down in order, for good. */
  async close(): Promise<void> {
    if (this.#container !== undefined) await stop(this.#container, { deadline_ms: boot_ms });
    await waitFor(() => {
      const { status } = spawnSync('sh', ['-c', leave, this.place.namespace]);
      return status === 0 ? true : undefined;
    }, { deadline_ms: boot_ms, what: 'its control groups to be empty' });
  }

  /** its process 1, as numbered outside */
  get #init(): string | undefined {
    const pid = this.#container?.pid;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').find(Boolean);
  }
}
