/** Printers on loopback that keep what they print, for `inkmesh demo` and for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, createWriteStream } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createAdaptorServer } from '@hono/node-server';
import { InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import { jobNumber, type JobView, type Ticket } from '../job.ts';
import { ippApp, type IppDoor } from '../submit/ipp.ts';
import type { Client } from '../submit/source.ts';
import { endChild, freePort } from './children.ts';

export interface KeepingPrinter {
  /** ipp: of 127.0.0.1 */
  uri: string;
  /** the folder that every printed document is in, one file each, octet for octet */
  kept: string;
  stop(): Promise<void>;
}

/** ended jobs that are remembered, so that whoever submitted them can ask how they ended */
const maxJobs = 200;
const maxDocumentBytes = 1024 * 1024 * 1024;
const start_ms = 10_000;
const log: Log = (level, what, fields) => console.error(`test printer: ${level}: ${what}`, fields);

/** Prints at once whatever comes, by writing it to a folder. */
class KeepingDoor implements IppDoor {
  readonly queue = { name: 'inkmesh test printer', uuid: crypto.randomUUID(), organisation: 'inkmesh' };
  readonly maxDocumentBytes = maxDocumentBytes;
  readonly #kept: string;
  readonly #jobs: JobView[] = [];

  constructor(kept: string) {
    this.#kept = kept;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  newJobId(taken: ReadonlySet<number>): string {
    for (;;) {
      const id = crypto.randomUUID();
      if (jobNumber(id) !== 0 && !taken.has(jobNumber(id))) return id;
    }
  }

  owner(): Promise<{ user: string }> {
    return Promise.resolve({ user: 'anyone' });
  }

  async submit(
    _client: Client,
    job: string,
    ticket: Ticket,
    document: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const file = join(this.#kept, `${job}.${ticket.format.split('/')[1]}`);
    const written = createWriteStream(`${file}.part`);
    await pipeline(Readable.from(document), written, { signal });
    await rename(`${file}.part`, file);
    const now = new Date().toISOString();
    this.#jobs.push({
      id: job,
      owner: 'anyone',
      title: ticket.title,
      site: '',
      state: 'printed',
      bytes: written.bytesWritten,
      format: ticket.format,
      options: ticket.options,
      submitted: now,
      expires: now,
      holders: [],
      claims: [],
    });
    if (this.#jobs.length > maxJobs) this.#jobs.shift();
  }

  jobs(): Promise<JobView[]> {
    return Promise.resolve(this.#jobs);
  }

  cancel(): Promise<void> {
    return Promise.reject(new InkmeshError('conflict', 'this printer has printed everything already'));
  }
}

/** A small IPP printer of our own, in this process. */
export async function startTestPrinter({ dir }: { dir: string }): Promise<KeepingPrinter> {
  const kept = join(dir, 'kept');
  await mkdir(kept, { recursive: true });
  const server = createAdaptorServer({
    fetch: ippApp(new KeepingDoor(kept), log).fetch,
    overrideGlobalObjects: false,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    uri: `ipp://127.0.0.1:${port}/ipp/print/printer`,
    kept,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Debian's reference printer (package cups-ipp-utils) with a D-Bus of its own, or undefined when it or dbus-daemon is
 * not installed. It speaks TLS on the same port, with a certificate that it makes itself.
 * @param options.command prints: what it writes to standard error, such as `STATE: +media-empty-error`, becomes the
 * printer's state
 */
export async function startEvePrinter(
  { dir, command }: { dir: string; command?: string },
): Promise<KeepingPrinter | undefined> {
  const [daemon, program] = ['dbus-daemon', 'ippeveprinter'].map(executable);
  if (daemon === undefined || program === undefined) return undefined;
  const kept = join(dir, 'kept');
  const keys = join(dir, 'keys');
  await mkdir(kept, { recursive: true });
  await mkdir(keys, { recursive: true });
  const bus = spawn(daemon, ['--session', '--print-address', '--nofork'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const children: ChildProcess[] = [bus];
  const stop = async () => {
    await Promise.all(children.map(endChild));
  };
  try {
    const address = await firstLine(bus);
    const port = await freePort();
    const formats = 'application/pdf,image/pwg-raster,image/urf,image/jpeg';
    const printing = ['-2', '-s', '60,60', '-f', formats, '-c', command ?? executable('true') ?? '/bin/true'];
    // its command's output is not the document
    const output = ['-D', 'file:///dev/null'];
    const keeping = ['-k', '-d', kept, '-K', keys];
    // a printer named localhost listens on loopback only
    const args = [
      '-r',
      'off',
      '-n',
      'localhost',
      '-p',
      String(port),
      ...keeping,
      ...printing,
      ...output,
      'inkmesh',
    ];
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address };
    const printer = spawn(program, args, { env, stdio: 'ignore' });
    children.push(printer);
    await listening(printer, port);
    return { uri: `ipp://127.0.0.1:${port}/ipp/print`, kept, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** Daemons live where the PATH of an ordinary user does not lead. */
function executable(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/bin'];
  return folders.map((folder) => join(folder, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new TypeError('the process has no standard output');
  const lines = createInterface({ input: child.stdout });
  const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(start_ms) });
  return String(line);
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + start_ms;
  while (performance.now() < deadline && child.exitCode === null) {
    const socket = connect({ host: '127.0.0.1', port });
    const open = await once(socket, 'connect').then(() => true, () => false);
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new InkmeshError('unavailable', 'ippeveprinter did not start');
}
