/** A real avahi-daemon, with a D-Bus of its own, on a machine of a network of namespaces: what its user finds there. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { spawnKept, stop, tempDir, waitFor } from './processes.ts';
import { toolPath } from './require.ts';

const run = promisify(execFile);
const start_ms = 20_000;
const client_ms = 30_000;

/** The tools that are needed, for `requireTools`. */
export const avahiTools = ['avahi-daemon', 'avahi-browse', 'dbus-daemon', 'ippfind', 'mount', 'unshare'];

/** A service as `avahi-browse --resolve --parsable` tells of it. */
export interface Found {
  readonly name: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly txt: readonly string[];
}

export interface Avahi {
  /** of its D-Bus */
  readonly address: string;
  /** The services of a type (`_ipps._tcp`) or subtype that there are now, resolved. */
  browse(type: string): Promise<Found[]>;
  /** Runs a client against this daemon. @returns its output, whatever its exit code is */
  client(command: string, ...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/**
 * @param inside how a command is run on that machine
 * @param host publishes what its clients want to, under this host name; without it, nothing
 */
export async function startAvahi(
  inside: (...command: string[]) => readonly [string, ...string[]],
  host?: string,
): Promise<Avahi> {
  const dir = tempDir();
  const address = `unix:path=${join(dir, 'bus')}`;
  configure(dir, address, host);
  const bus = spawnKept(toolPath('dbus-daemon') ?? 'dbus-daemon', [
    ...[`--config-file=${join(dir, 'bus.conf')}`, '--nofork', '--nopidfile'],
  ]);
  const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address };
  const client = async (command: string, ...args: string[]) => {
    const [file, ...rest] = inside(toolPath(command) ?? command, ...args);
    const failed = (error: unknown) => error as { stdout?: string };
    const { stdout } = await run(file, rest, { env, timeout: client_ms }).catch(failed);
    return stdout ?? '';
  };
  const daemon = toolPath('avahi-daemon') ?? 'avahi-daemon';
  const flags = ['--file', join(dir, 'avahi.conf'), '--no-drop-root', '--no-chroot', '--no-rlimits'];
  // there is one of it to a machine, which it knows by a file in /run
  const script = 'mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && exec "$@"';
  const [file, ...args] = inside('unshare', '--mount', 'sh', '-c', script, 'sh', daemon, ...flags);
  const avahi = spawnKept(file, args, { env: { DBUS_SYSTEM_BUS_ADDRESS: address } });
  await waitFor(() => {
    if (avahi.exit() !== undefined) throw new Error(`avahi-daemon has ended: ${avahi.stderr()}`);
    return avahi.stderr().includes('Server startup complete') || undefined;
  }, { deadline_ms: start_ms, what: 'avahi-daemon to start' });
  return {
    address,
    client,
    browse: async (type) =>
      (await client('avahi-browse', '--resolve', '--parsable', '--terminate', type)).split('\n').flatMap(
        foundIn,
      ),
    stop: async () => {
      await stop(avahi);
      await stop(bus);
    },
  };
}

function configure(dir: string, address: string, host: string | undefined): void {
  const all = ['send_destination="*" eavesdrop="true"', 'eavesdrop="true"', 'own="*"'];
  writeFileSync(
    join(dir, 'bus.conf'),
    `<busconfig><type>session</type><listen>${address}</listen><auth>EXTERNAL</auth><policy context="default">` +
      `${all.map((rule) => `<allow ${rule}/>`).join('')}</policy></busconfig>`,
  );
  writeFileSync(
    join(dir, 'avahi.conf'),
    [
      ...['[server]', 'use-ipv6=no', ...(host === undefined ? [] : [`host-name=${host}`])],
      ...['[publish]', `disable-publishing=${host === undefined ? 'yes' : 'no'}`],
      ...['[wide-area]', 'enable-wide-area=no', ''],
    ].join('\n'),
  );
}

/** `=;eth0;IPv4;NAME;TYPE;DOMAIN;HOST;ADDRESS;PORT;"TXT" "TXT"`, with escapes of three digits. */
function foundIn(line: string): Found[] {
  const [kind, , , name = '', , , host = '', address = '', port, ...txt] = line.split(';');
  if (kind !== '=') return [];
  return [{
    ...{ name: name.replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(Number(code))), host, address },
    port: Number(port),
    txt: [...txt.join(';').matchAll(/"([^"]*)"/g)].map(([, entry = '']) => entry),
  }];
}
