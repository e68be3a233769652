/** A whole organisation of real processes for the end-to-end tests: `inkmesh demo --keep`, and the command line. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { runInside } from '../../src/cli/run.ts';
import { type Kept, line, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';

const start_ms = 90_000;
const ready_ms = 60_000;
const gone_ms = 30_000;
const command_ms = 120_000;
const connected_ms = 60_000;

export interface OrganisationNode {
  readonly name: string;
  readonly dir: string;
  /** of the latest process of this node */
  pid: number;
  ports: { http: number; mesh: number; https: number; release: number };
  /** false between `kill` and `restart` */
  alive: boolean;
}

export interface OrganisationUser {
  readonly name: string;
  readonly credential: string;
  /** ipps: of the first node */
  readonly print_uri: string;
  /** ipp: of the first node */
  readonly print_uri_plain: string;
}

export interface OrganisationPrinter {
  readonly name: string;
  readonly uri: string;
  /** the folder of what it printed; '' for one that `addPrinter` made known */
  readonly kept: string;
}

export interface Ran<T> {
  readonly code: number | null;
  /** what `--json` printed */
  readonly json: T;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** 0 unless told; null takes any */
  readonly expectCode?: number | null;
}

export interface Organisation {
  /** the folder of the demo */
  readonly dir: string;
  readonly site: string;
  readonly nodes: readonly OrganisationNode[];
  readonly users: readonly OrganisationUser[];
  readonly printers: readonly OrganisationPrinter[];
  node(name: string): OrganisationNode;
  user(name: string): OrganisationUser;
  /** The arguments by which a command acts as a user at a node: `--dir … --credential …` */
  as(user: string, node: string): string[];
  /** Runs one command of the real command line with `--json`. @throws Error when it ends with another code */
  ink<T = unknown>(args: readonly string[], options?: RunOptions): Promise<Ran<T>>;
  /** Makes a printer known at the registrar, and waits until every living node lists it. */
  addPrinter(uri: string, name: string): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(name: string): Promise<void>;
  /**
   * Starts a node again, after a SIGTERM when it still runs; resolves when it is ready. From then on `log` has what it
   * says.
   * @param options.wrapper a command that runs another one: `['strace', '-f']`
   */
  restart(name: string, options?: { wrapper?: readonly string[] }): Promise<void>;
  /** Waits until every living node has each other one as a member. */
  connected(): Promise<void>;
  /** Deletes the data directory of a killed node. */
  wipe(name: string): void;
  /** Standard output and error of the runs that `restart` started. */
  log(name: string): string;
  /** Ends every process; each test file calls it in `test.after`. */
  stop(): Promise<void>;
}

interface Description {
  dir: string;
  sites: [{ name: string; nodes: Omit<OrganisationNode, 'alive'>[]; printers: OrganisationPrinter[] }];
  users: OrganisationUser[];
}

/** The command that runs this program: the binary that `INKMESH_TEST_BINARY` names, or else its sources. */
export function program(): [string, ...string[]] {
  const binary = process.env['INKMESH_TEST_BINARY'];
  if (binary) return [binary];
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const flags = process.versions['deno'] === undefined ? [] : ['run', '--allow-all'];
  return [process.execPath, ...flags, main];
}

/** Runs one command of the real command line with `--json`. @throws Error when it ends with another code */
export async function ink<T = unknown>(args: readonly string[], options: RunOptions = {}): Promise<Ran<T>> {
  const [command, ...first] = program();
  const kept = spawnKept(command, [...first, ...args, '--json']);
  const late = setTimeout(() => void stop(kept), command_ms);
  const { code } = await kept.ended;
  clearTimeout(late);
  const expected = options.expectCode === undefined ? 0 : options.expectCode;
  if (expected !== null && code !== expected) {
    throw new Error(`inkmesh ${args.join(' ')}: exit ${code}\n${kept.stdout()}${kept.stderr()}`);
  }
  return { code, json: parse<T>(kept.stdout(), args), stdout: kept.stdout(), stderr: kept.stderr() };
}

function parse<T>(stdout: string, args: readonly string[]): T {
  try {
    return JSON.parse(stdout) as T;
  } catch (cause) {
    throw new Error(`inkmesh ${args.join(' ')} did not print one JSON document: ${stdout}`, { cause });
  }
}

/** Needs nothing but the program itself; the printer is Debian's where it is installed, else our own. */
export async function startOrganisation(options: { nodes?: number } = {}): Promise<Organisation> {
  const [command, ...first] = program();
  const count = options.nodes ?? 3;
  const demo = spawnKept(command, [
    ...first,
    'demo',
    '--sites',
    '1',
    '--keep',
    '--json',
    '--nodes',
    String(count),
  ]);
  process.prependListener('exit', () => killOffspring(demo.pid));
  const [text] = await line(demo, /^\{.*\}$/, { deadline_ms: start_ms });
  const description = JSON.parse(text) as Description | object;
  if (!('sites' in description)) throw new Error(`the demo did not start: ${text}\n${demo.stderr()}`);
  return new Running(demo, description);
}

class Running implements Organisation {
  readonly dir: string;
  readonly site: string;
  readonly nodes: OrganisationNode[];
  readonly users: OrganisationUser[];
  readonly printers: OrganisationPrinter[];
  readonly ink = ink;
  readonly #demo: Kept;
  readonly #restarted = new Map<string, Kept[]>();

  constructor(demo: Kept, { dir, sites: [site], users }: Description) {
    this.#demo = demo;
    this.dir = dir;
    this.site = site.name;
    this.nodes = site.nodes.map((node) => ({ ...node, alive: true }));
    this.users = users;
    this.printers = site.printers;
  }

  node(name: string): OrganisationNode {
    return known(this.nodes, name);
  }

  user(name: string): OrganisationUser {
    return known(this.users, name);
  }

  as(user: string, node: string): string[] {
    return ['--dir', this.node(node).dir, '--credential', this.user(user).credential];
  }

  async addPrinter(uri: string, name: string): Promise<void> {
    const [registrar] = this.nodes as [OrganisationNode];
    await ink(['printer', 'add', uri, '--name', name, '--site', this.site, '--dir', registrar.dir]);
    const [user] = this.users as [OrganisationUser];
    for (const node of this.nodes.filter(({ alive }) => alive)) {
      const list = ['printer', 'list', ...this.as(user.name, node.name)];
      await waitFor(
        async () => (await runInside<{ name: string }[]>(list)).find((printer) => printer.name === name),
        { deadline_ms: connected_ms, what: `${node.name} to know ${name}` },
      );
    }
    this.printers.push({ name, uri, kept: '' });
  }

  async kill(name: string): Promise<void> {
    await this.#end(this.node(name), 'SIGKILL');
  }

  async restart(name: string, { wrapper = [] }: { wrapper?: readonly string[] } = {}): Promise<void> {
    const node = this.node(name);
    if (node.alive) await this.#end(node, 'SIGTERM');
    const [command = '', ...args] = [...wrapper, ...program(), 'node', '--dir', node.dir, '--json'];
    const kept = spawnKept(command, args);
    this.#restarted.set(name, [...this.#restarted.get(name) ?? [], kept]);
    const [text] = await line(kept, /^\{"ready".*\}$/, { deadline_ms: ready_ms });
    const { pid, ports } = JSON.parse(text) as OrganisationNode;
    Object.assign(node, { pid, ports, alive: true });
  }

  async connected(): Promise<void> {
    const [user] = this.users as [OrganisationUser];
    const living = this.nodes.filter(({ alive }) => alive);
    for (const node of living) {
      const status = ['status', ...this.as(user.name, node.name)];
      await waitFor(async () => {
        const { members } = await runInside<{ members: { name: string }[] }>(status);
        const names = [node.name, ...members.map(({ name }) => name)];
        return living.every(({ name }) => names.includes(name)) ? true : undefined;
      }, { deadline_ms: connected_ms, what: `${node.name} to reach the others` });
    }
  }

  wipe(name: string): void {
    const node = this.node(name);
    if (node.alive) throw new TypeError(`${name} still runs`);
    rmSync(node.dir, { recursive: true, force: true });
  }

  log(name: string): string {
    return (this.#restarted.get(name) ?? []).map((kept) => kept.stdout() + kept.stderr()).join('');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#restarted.values()].flat().map((kept) => stop(kept)));
    await stop(this.#demo, { deadline_ms: 20_000 });
  }

  async #end(node: OrganisationNode, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    // it may have ended itself
    if (!isGone(node.pid)) process.kill(node.pid, signal);
    await waitFor(() => isGone(node.pid) ? true : undefined, {
      deadline_ms: gone_ms,
      what: `${node.name} to be gone`,
    });
    node.alive = false;
  }
}

function known<T extends { name: string }>(list: readonly T[], name: string): T {
  const found = list.find((one) => one.name === name);
  if (found === undefined) throw new RangeError(`there is no ${name}`);
  return found;
}

function isGone(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/, ''));
  } catch {
    return true;
  }
}

/** A test file that dies cannot wait for the demo to clean up: what it started is killed with it. */
function killOffspring(pid: number | undefined): void {
  if (pid === undefined || isGone(pid)) return;
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [, parent] = / \w (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8').replace(/^.*\)/, '')) ??
        [];
      if (Number(parent) === pid) process.kill(Number(name), 'SIGKILL');
    } catch {
      // it has just ended
    }
  }
}

export interface Pdf {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** a word that is on its page */
  readonly marker: string;
}

/** Writes a valid PDF of one page, of about so many octets: an image of noise, which nothing compresses, and a word. */
export function makePdf(bytes: number): Pdf {
  const marker = `marker-${randomUUID()}`;
  const width = 1024;
  const height = Math.max(1, Math.round((bytes - 1024) / width));
  const noise = randomBytes(width * height);
  const drawing = `q 400 0 0 400 72 200 cm /Im1 Do Q BT /F1 18 Tf 72 720 Td (${marker}) Tj ET`;
  const image = `/Type /XObject /Subtype /Image /Width ${width} /Height ${height} /ColorSpace /DeviceGray ` +
    `/BitsPerComponent 8 /Length ${noise.length}`;
  const objects = [
    ['<< /Type /Catalog /Pages 2 0 R >>'],
    ['<< /Type /Pages /Count 1 /Kids [4 0 R] >>'],
    ['<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>'],
    [
      '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R ' +
      '/Resources << /Font << /F1 3 0 R >> /XObject << /Im1 6 0 R >> >> >>',
    ],
    [`<< /Length ${drawing.length} >>\nstream\n${drawing}\nendstream`],
    [`<< ${image} >>\nstream\n`, noise, '\nendstream'],
  ];
  const parts: Buffer[] = [Buffer.from('%PDF-1.4\n')];
  let length = 9;
  const push = (part: string | Uint8Array) => {
    const octets = Buffer.from(part as string);
    parts.push(octets);
    length += octets.length;
  };
  const offsets = objects.map((content, i) => {
    const offset = length;
    for (const part of [`${i + 1} 0 obj\n`, ...content, '\nendobj\n']) push(part);
    return offset;
  });
  const start = length;
  const entries = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`);
  push(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${entries.join('')}`);
  push(`trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`);
  const file = join(tempDir(), 'document.pdf');
  const document = Buffer.concat(parts);
  writeFileSync(file, document);
  return {
    file,
    bytes: document.length,
    sha256: createHash('sha256').update(document).digest('hex'),
    marker,
  };
}

/** Of a file's content, hexadecimal. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part as Uint8Array);
  return hash.digest('hex');
}
