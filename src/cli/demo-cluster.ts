/** The demo's organisation: sites of real node processes on loopback, and a cloud node, each with a data directory. */
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

export interface DemoSite {
  name: string;
  nodes: DemoNode[];
}

export interface DemoCloud {
  url: string;
  pid: number;
  dir: string;
}

/** Runs a command of inkmesh in this process and gives its JSON. */
export type Inside = <T>(argv: readonly string[]) => Promise<T>;

const ready_ms = 60_000;
/** longer than nodes wait between two attempts to reach each other */
const connected_ms = 90_000;

export class DemoCluster {
  readonly dir: string;
  readonly sites: DemoSite[] = [];
  /** where there are several sites: they reach each other through it alone */
  cloud: DemoCloud | null = null;
  readonly #inside: Inside;
  #cloudUrl: string | null = null;
  readonly #children: ChildProcess[] = [];
  /** by node: the end of what it has logged */
  readonly #logs = new Map<string, string>();
  #stopping = false;

  constructor(dir: string, inside: Inside) {
    this.dir = dir;
    this.#inside = inside;
  }

  /** Founds the organisation and starts its nodes, the registrar first. @param sites at most 8 @param count nodes of each */
  async start(sites: number, count: number): Promise<void> {
    const cloud = sites > 1 ? `https://127.0.0.1:${await freePort()}` : null;
    this.#cloudUrl = cloud;
    for (const site of [...'abcdefgh'].slice(0, sites)) this.sites.push({ name: site, nodes: [] });
    const names = (site: string) => Array.from({ length: count }, (_, i) => `${site}${i + 1}`);
    const [home, ...others] = this.sites as [DemoSite, ...DemoSite[]];
    const [first, ...mates] = names(home.name) as [string, ...string[]];
    const founding = ['org', 'init', '--name', 'inkmesh demo', '--site', home.name, '--node', first];
    const faces = ['--role', 'front', '--role', 'panel'];
    await this.#configure(first);
    await this.#inside([...founding, ...faces, '--dir', this.path(first)]);
    await this.#run(home, first);
    if (cloud !== null) await this.#startCloud(cloud);
    await this.#join(home, mates, []);
    for (const site of others) {
      const [front, ...rest] = names(site.name) as [string, ...string[]];
      await this.#join(site, [front], ['--role', 'front']);
      await this.#join(site, rest, []);
    }
    if (cloud !== null) await this.#part();
    for (const { nodes } of this.sites) nodes.sort((a, b) => a.name < b.name ? -1 : 1);
    await this.#untilConnected();
  }

  get registrar(): DemoNode {
    return this.sites[0]?.nodes[0] as DemoNode;
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

  /** Ends the cloud node. */
  async stopCloud(): Promise<void> {
    const child = this.#children.find(({ pid }) => pid === this.cloud?.pid);
    if (child !== undefined) await endChild(child);
  }

  async runCloud(): Promise<void> {
    const { url, pid } = await this.#spawn('cloud', 'cloud') as RunFile & { url: string };
    this.cloud = { url, pid, dir: this.path('cloud') };
  }

  async #startCloud(url: string): Promise<void> {
    const dir = this.path('cloud');
    const invite = ['invite', 'node', '--site', 'cloud', '--role', 'cloud', '--dir', this.registrar.dir];
    const { token } = await this.#inside<{ token: string }>(invite);
    await this.#inside(['join', token, '--dir', dir, '--node', 'cloud', '--set', 'ports.mesh=0']);
    await writePrivate(files.config(dir), { listen: new URL(url).host, url });
    await this.runCloud();
  }

  async #join(site: DemoSite, names: readonly string[], roles: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const uses = ['--uses', String(names.length), ...roles, '--dir', this.registrar.dir];
    const { token } = await this.#inside<{ token: string }>(['invite', 'node', '--site', site.name, ...uses]);
    for (const name of names) {
      await this.#configure(name);
      await this.#inside(['join', token, '--dir', this.path(name), '--node', name]);
    }
    await Promise.all(names.map((name) => this.#run(site, name)));
  }

  /** No site talks to another one but through the cloud node: as behind a VPN that lets no print traffic pass. */
  async #part(): Promise<void> {
    for (const { name } of this.sites) {
      for (const decision of [['relay', 'on'], ['mesh', 'site']]) {
        await this.#inside(['site', 'set', name, ...decision, '--dir', this.registrar.dir]);
      }
    }
  }

  /** Just before the node starts: somebody else may take its ports meanwhile. */
  async #configure(name: string): Promise<void> {
    await mkdir(this.path(name), { recursive: true, mode: 0o700 });
    const ports = {
      http: await freePort(),
      mesh: await freePort(),
      https: await freePort(),
      release: await freePort(),
    };
    // the nodes of a demo are of no interest to the LAN: loopback only, found by address
    const cloud = this.#cloudUrl === null ? {} : { cloud: this.#cloudUrl };
    const settings = { address: '127.0.0.1', mdns: false, ports, ...cloud };
    await writePrivate(files.config(this.path(name)), settings);
  }

  async #run(site: DemoSite, name: string): Promise<void> {
    const { pid, ports } = await this.#spawn('node', name);
    site.nodes.push({ name, dir: this.path(name), pid, ports });
  }

  /** @returns what it says when it is ready */
  async #spawn(what: 'node' | 'cloud', name: string): Promise<RunFile> {
    if (this.#stopping) throw new InkmeshError('unavailable', 'the demo was stopped');
    const [command, ...args] = self();
    const child = spawn(command, [...args, what, '--dir', this.path(name), '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      this.#logs.set(name, ((this.#logs.get(name) ?? '') + part).slice(-4000));
    });
    return await readyLine(child, name).catch((error) => {
      throw new InkmeshError(
        'unavailable',
        `${asInkmeshError(error).message}: ${this.#logs.get(name) ?? ''}`,
      );
    });
  }

  /** Until every node has the others of its site, and where there is a cloud node is reached through that too. */
  async #untilConnected(): Promise<void> {
    const deadline_ms = performance.now() + connected_ms;
    const as = ['--credential', files.adminCredential(this.registrar.dir)];
    for (const { nodes } of this.sites) {
      const expected = [...nodes.map(({ name }) => name), ...this.cloud === null ? [] : ['cloud']];
      for (const node of nodes) {
        for (;;) {
          const seen = await this.#inside<Seen>(['status', '--dir', node.dir, ...as]);
          const near = [node.name, ...seen.members.map(({ name }) => name)];
          const reserved = this.cloud === null || seen.addresses.some((one) => one.includes('/p2p-circuit'));
          if (reserved && expected.every((name) => near.includes(name))) break;
          if (performance.now() > deadline_ms) {
            const logs = [...this.#logs].map(([name, log]) => `\n${name}: ${log}`).join('');
            const reached = `${node.name} reaches ${near.join(', ')}, not ${expected.join(', ')}`;
            throw new InkmeshError('timeout', `${reached}; the nodes' logs end with:${logs}`);
          }
          await new Promise((again) => setTimeout(again, 50));
        }
      }
    }
  }
}

/** What `inkmesh status --json` says, of which this is used here. */
interface Seen {
  members: { name: string }[];
  addresses: string[];
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
