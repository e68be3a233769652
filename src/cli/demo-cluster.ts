/** The demo's organisation: one site of real node processes on loopback, each with its own data directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import type { RunFile } from '../datadir.ts';
import { files, writePrivate } from '../datadir.ts';
import { endChild, freePort } from './children.ts';
import { self } from './self.ts';

export interface DemoNode {
  name: string;
  dir: string;
  pid: number;
  ports: RunFile['ports'];
}

/** Runs a command of inkmesh in this process and gives its JSON. */
export type Inside = <T>(argv: readonly string[]) => Promise<T>;

const ready_ms = 20_000;
/** longer than nodes wait between two attempts to reach each other */
const connected_ms = 50_000;

export class DemoCluster {
  readonly dir: string;
  readonly site = 'a';
  readonly nodes: DemoNode[] = [];
  readonly #inside: Inside;
  readonly #children: ChildProcess[] = [];
  /** by node: the end of what it has logged */
  readonly #logs = new Map<string, string>();
  #stopping = false;

  constructor(dir: string, inside: Inside) {
    this.dir = dir;
    this.#inside = inside;
  }

  /** Founds the organisation and starts its nodes, the registrar first. */
  async start(count: number): Promise<void> {
    const names = Array.from({ length: count }, (_, i) => `${this.site}${i + 1}`);
    const [first, ...others] = names as [string, ...string[]];
    for (const name of names) await this.#configure(name);
    const founding = ['org', 'init', '--name', 'inkmesh demo', '--site', this.site];
    await this.#inside([
      ...founding,
      '--dir',
      this.path(first),
      '--node',
      first,
      '--role',
      'front',
      '--role',
      'panel',
    ]);
    await this.#run(first);
    const uses = String(Math.max(1, others.length));
    const invite = ['invite', 'node', '--site', this.site, '--dir', this.path(first), '--uses', uses];
    const { token } = await this.#inside<{ token: string }>(invite);
    for (const name of others) await this.#inside(['join', token, '--dir', this.path(name), '--node', name]);
    await Promise.all(others.map((name) => this.#run(name)));
    this.nodes.sort((a, b) => a.name < b.name ? -1 : 1);
    await this.#untilConnected(count);
  }

  /** The data directory of a node. */
  path(name: string): string {
    return join(this.dir, name);
  }

  /** Ends every node, in order and for certain. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#children.map(endChild));
  }

  async #configure(name: string): Promise<void> {
    await mkdir(this.path(name), { recursive: true, mode: 0o700 });
    const ports = {
      http: await freePort(),
      mesh: await freePort(),
      https: await freePort(),
      release: await freePort(),
    };
    // the nodes of a demo are of no interest to the LAN: loopback only, found by address
    await writePrivate(files.config(this.path(name)), { address: '127.0.0.1', mdns: false, ports });
  }

  async #run(name: string): Promise<void> {
    if (this.#stopping) throw new InkmeshError('unavailable', 'the demo was stopped');
    const [command, ...args] = self();
    const dir = this.path(name);
    const child = spawn(command, [...args, 'node', '--dir', dir, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      this.#logs.set(name, ((this.#logs.get(name) ?? '') + part).slice(-4000));
    });
    const { pid, ports } = await readyLine(child, name).catch((error) => {
      throw new InkmeshError(
        'unavailable',
        `${asInkmeshError(error).message}: ${this.#logs.get(name) ?? ''}`,
      );
    });
    this.nodes.push({ name, dir, pid, ports });
  }

  async #untilConnected(count: number): Promise<void> {
    const deadline_ms = performance.now() + connected_ms;
    for (const node of this.nodes) {
      for (;;) {
        const seen = await this.#inside<{ members: unknown[] }>([
          ...['status', '--dir', node.dir, '--credential', files.adminCredential(this.path('a1'))],
        ]);
        if (seen.members.length === count - 1) break;
        if (performance.now() > deadline_ms) {
          const logs = [...this.#logs].map(([name, log]) => `\n${name}: ${log}`).join('');
          const reached = `${node.name} reaches ${seen.members.length} of ${count - 1} nodes`;
          throw new InkmeshError('timeout', `${reached}; the nodes' logs end with:${logs}`);
        }
        await new Promise((again) => setTimeout(again, 50));
      }
    }
  }
}

/** Resolves with what a node says when it is ready. */
function readyLine(child: ChildProcess, name: string): Promise<RunFile> {
  return new Promise((resolve, reject) => {
    let out = '';
    const timer = setTimeout(() => {
      reject(new InkmeshError('timeout', `${name} is not ready after ${ready_ms / 1000} s`));
    }, ready_ms);
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      out += part;
      const end = out.indexOf('\n');
      if (end < 0) return;
      clearTimeout(timer);
      const said = JSON.parse(out.slice(0, end)) as RunFile | { error: { message: string } };
      if ('error' in said) reject(new InkmeshError('unavailable', `${name}: ${said.error.message}`));
      else resolve(said);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new InkmeshError('unavailable', `${name} ended with ${code}`));
    });
  });
}
