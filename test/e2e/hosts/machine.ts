/** A machine of a network of namespaces: its node, the commands that are run on it, its printer. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { files } from '../../../src/datadir.ts';
import { type Kept, line, spawnKept, stop, tempDir, waitFor } from '../../fakes/processes.ts';
import type { SinkOptions } from '../../fakes/sink.ts';
import { program } from '../organisation.ts';
import type { Printed, Reply, Request } from './agent.ts';
import { inside } from './namespaces.ts';
import type { Place } from './network.ts';

const ready_ms = 60_000;
export const patience_ms = 60_000;
const printerPort = 9100;

interface Status {
  members: { name: string }[];
  holding: { jobs: number; bytes: number };
}

export class Machine {
  readonly place: Place;
  /** data directory of its node */
  readonly dir: string;
  #node: Kept | undefined;
  #agent: Agent | undefined;

  readonly command: 'node' | 'cloud';

  /** @param command what it runs: an edge node, or the cloud's */
  constructor(place: Place, command: 'node' | 'cloud' = 'node') {
    this.place = place;
    this.command = command;
    this.dir = join(tempDir(), place.name);
  }

  get name(): string {
    return this.place.name;
  }

  /** HOST:PORT of its mesh */
  get meshAddress(): string {
    return `${this.place.address}:9264`;
  }

  /** of its node, which runs */
  get pid(): number {
    return this.#node?.child.pid ?? 0;
  }

  /** Writes its configuration file. */
  configure(config: object): void {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    writeFileSync(files.config(this.dir), JSON.stringify(config));
  }

  get running(): boolean {
    return this.#node !== undefined && this.#node.exit() === undefined;
  }

  /** Runs a command on it. @returns what `--json` prints @throws Error with what the command says */
  async run<T>(...argv: string[]): Promise<T> {
    return await this.#ask({ do: 'run', argv }) as T;
  }

  /** Starts its node; resolves when it is ready. */
  async start(): Promise<void> {
    const [command, ...args] = inside(
      this.place.namespace,
      ...program(),
      this.command,
      '--dir',
      this.dir,
      '--json',
    );
    this.#node = spawnKept(command, args);
    await line(this.#node, /^\{"ready".*\}$/, { deadline_ms: ready_ms });
  }

  async stop(): Promise<void> {
    if (this.#node !== undefined) await stop(this.#node, { deadline_ms: 15_000 });
  }

  /** Ends its node as a power cut does. */
  async kill(): Promise<void> {
    this.#node?.child.kill('SIGKILL');
    await this.#node?.ended;
  }

  /** Takes all that its stopped node has learned, but not who it is. */
  forget(): void {
    for (const file of readdirSync(this.dir).filter((name) => name.startsWith('state.sqlite'))) {
      rmSync(join(this.dir, file));
    }
  }

  log(): string {
    return this.#node?.stderr() ?? '';
  }

  /** Ends its node and its agent. */
  async close(): Promise<void> {
    await this.stop();
    this.#agent?.close();
  }

  /** Makes it a RAW printer. @returns its URI */
  async becomePrinter(options: SinkOptions = {}): Promise<string> {
    const where = { address: '0.0.0.0', port: printerPort };
    await this.#ask({ do: 'printer', options: { ...options, ...where } });
    return `socket://${this.place.address}:${printerPort}`;
  }

  /** Sends the first half of a document. @returns its SHA-256 */
  async printHalf(credential: string, bytes: number): Promise<string> {
    return await this.#ask({ do: 'print', dir: this.dir, credential, bytes }) as string;
  }

  /** Sends the other half. @returns the node's answer @throws Error when the job was not accepted */
  async printRest<T>(): Promise<T> {
    return await this.#ask({ do: 'finish' }) as T;
  }

  async printed(): Promise<Printed> {
    return await this.#ask({ do: 'printed' }) as Printed;
  }

  /** Ends the stall of its printer. */
  async go(): Promise<void> {
    await this.#ask({ do: 'go' });
  }

  /** @param as a credential of anyone of the organisation */
  async status(as: string): Promise<Status> {
    return await this.run<Status>('status', '--dir', this.dir, '--credential', as);
  }

  /** Waits until it has exactly these members, by name. */
  async untilMembers(as: string, expected: readonly string[], deadline_ms = patience_ms): Promise<void> {
    let seen = '';
    const wanted = [...expected].sort().join(' ');
    const look = async () => {
      seen = (await this.status(as)).members.map(({ name }) => name).sort().join(' ');
      return seen === wanted ? true : undefined;
    };
    try {
      await waitFor(look, { deadline_ms, what: `${this.name} to reach ${wanted}` });
    } catch (cause) {
      throw new Error(
        `${cause instanceof Error ? cause.message : cause}; it reaches ${seen}\n${this.log()}`,
        {
          cause,
        },
      );
    }
  }

  #ask(request: Request): Promise<unknown> {
    this.#agent ??= new Agent(this.place.namespace);
    return this.#agent.ask(request);
  }
}

/** Our side of agent.ts. */
class Agent {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #requests = 0;

  constructor(namespace: string) {
    const flags = process.versions['deno'] === undefined ? [] : ['run', '--allow-all'];
    const entry = fileURLToPath(new URL('./agent.ts', import.meta.url));
    const [command, ...args] = inside(namespace, process.execPath, ...flags, entry);
    // it ends with its standard input, so with this process at the latest
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout }).on('line', (text) => {
      const reply = JSON.parse(text) as Reply;
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
  }

  async ask(request: Request): Promise<unknown> {
    const id = ++this.#requests;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin.write(JSON.stringify({ id, ...request }) + '\n');
    });
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply.ok;
  }

  close(): void {
    this.#child.stdin.end();
  }
}
