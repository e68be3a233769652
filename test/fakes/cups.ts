/** A private cupsd on 127.0.0.1: its state is in a temporary folder, and it browses nothing. */
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { freePort } from '../../src/cli/children.ts';
import { spawnKept, stop, tempDir, waitFor } from './processes.ts';
import { toolPath } from './require.ts';

const run = promisify(execFile);
const start_ms = 20_000;
/** what one lpadmin or lp may take */
const client_ms = 60_000;

export interface Cups {
  readonly port: number;
  /** Runs a CUPS client against this server and resolves to its output. @throws Error when it fails */
  client(command: string, ...args: string[]): Promise<string>;
  /** the end of the error log, to say why a test failed */
  log(): string;
  /**
   * Adds a queue for an IPP printer without a driver, and waits until it can take jobs: cupsd makes it in the
   * background, and aborts what comes before.
   */
  addEverywhere(name: string, uri: string): Promise<void>;
  stop(): Promise<void>;
}

/** Where it runs, and more lines of its two configuration files; of two about the same the later counts. */
export interface CupsSettings {
  /** how it and its clients are run on another machine */
  inside?: (...command: string[]) => [string, ...string[]];
  cupsd?: readonly string[];
  files?: readonly string[];
}

/** Needs cupsd. */
export async function startCups(settings: CupsSettings = {}): Promise<Cups> {
  const dir = tempDir();
  const port = await freePort();
  configure(dir, port, settings);
  const home = join(dir, 'home');
  const files = ['-c', join(dir, 'cupsd.conf'), '-s', join(dir, 'cups-files.conf')];
  const inside = settings.inside ?? ((...command: string[]) => command as [string, ...string[]]);
  const [daemon, ...flags] = inside(toolPath('cupsd') ?? 'cupsd', '-f', ...files);
  const cupsd = spawnKept(daemon, flags, { env: { HOME: home } });
  const env = { ...process.env, HOME: home, CUPS_SERVER: `127.0.0.1:${port}` };
  const log = () => readFileSync(join(dir, 'error_log'), 'utf8');
  const client = async (command: string, ...args: string[]) => {
    const [file, ...rest] = inside(toolPath(command) ?? command, ...args);
    const { stdout } = await run(file, rest, { env, timeout: client_ms });
    return stdout;
  };
  const answers = async () =>
    cupsd.exit() === undefined && (await client('lpstat', '-r')).includes('is running');
  await waitFor(async () => await answers() ? true : undefined, {
    deadline_ms: start_ms,
    what: 'cupsd to answer',
  });
  return {
    port,
    client,
    log: () => log().slice(-8000),
    addEverywhere: async (name, uri) => {
      await client('lpadmin', '-p', name, '-E', '-v', uri, '-m', 'everywhere');
      const ready = () => log().includes(`Printer "${name}" is now available`) ? true : undefined;
      await waitFor(ready, { deadline_ms: client_ms, what: 'cupsd to make the queue' });
    },
    stop: async () => {
      await stop(cupsd);
    },
  };
}

function configure(dir: string, port: number, more: CupsSettings): void {
  // filters and backends run as another user when the server is root
  const asRoot = process.getuid?.() === 0;
  chmodSync(dir, 0o755);
  for (const name of ['spool', 'cache', 'state', 'tmp', 'ssl', 'home']) {
    const folder = join(dir, name);
    mkdirSync(folder);
    if (asRoot && name !== 'ssl') {
      chownSync(folder, 0, Number(groupId('lp')));
      chmodSync(folder, name === 'spool' ? 0o710 : 0o1770);
    }
  }
  const filesConf = [
    `ServerRoot ${dir}`,
    `RequestRoot ${dir}/spool`,
    `CacheDir ${dir}/cache`,
    `StateDir ${dir}/state`,
    `TempDir ${dir}/tmp`,
    `ServerKeychain ${dir}/ssl`,
    ...['Access', 'Error', 'Page'].map((kind) => `${kind}Log ${dir}/${kind.toLowerCase()}_log`),
    ...(asRoot ? ['SystemGroup root', 'User lp', 'Group lp'] : []),
    ...(more.files ?? []),
  ];
  const open = ['  Order allow,deny', '  Allow from all'];
  const cupsdConf = [
    'LogLevel debug',
    `Listen 127.0.0.1:${port}`,
    'Browsing No',
    'DefaultAuthType None',
    'WebInterface No',
    ...['<Location />', ...open, '</Location>', '<Location /admin>', ...open, '</Location>'],
    ...['<Policy default>', '<Limit All>', ...open, '</Limit>', '</Policy>'],
    ...(more.cupsd ?? []),
  ];
  writeFileSync(join(dir, 'cups-files.conf'), filesConf.join('\n') + '\n');
  writeFileSync(join(dir, 'cupsd.conf'), cupsdConf.join('\n') + '\n');
}

function groupId(name: string): string {
  const entry = readFileSync('/etc/group', 'utf8').split('\n').find((line) => line.startsWith(`${name}:`));
  return entry?.split(':')[2] ?? '0';
}
