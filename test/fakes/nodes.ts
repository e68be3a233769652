/** Whole edge nodes of one organisation in this process: their ports, their disks and their mesh are real. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInside } from '../../src/cli/run.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { files } from '../../src/datadir.ts';
import { type EdgeNode, startNode } from '../../src/node.ts';
import { tempDir, waitFor } from './processes.ts';

const connected_ms = 60_000;
const site = 'a';

export interface Nodes {
  /** ada's queue at the first node */
  readonly uris: { readonly ipp: string; readonly ipps: string };
  /** The arguments by which a command acts as ada at the first node. */
  readonly asAda: readonly string[];
  /** The same as the administrator. */
  readonly asAdmin: readonly string[];
  /** The same at the second node, which is no registrar. */
  readonly asAdminElsewhere: readonly string[];
  addPrinter(name: string, uri: string): Promise<void>;
  /** Stops the first node. @returns the arguments by which a command acts as ada at the second one */
  stopFirst(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** @param config more of each node's configuration */
export async function startNodes(count: number, config: Partial<Config> = {}): Promise<Nodes> {
  const [first, ...others] = Array.from({ length: count }, (_, i) => join(tempDir(), `a${i + 1}`)) as [
    string,
  ];
  const nodes: EdgeNode[] = [];
  const start = async (dir: string) => {
    nodes.push(await startNode(dir, await readConfig({ file: files.config(dir) }), () => {}));
  };
  for (const dir of [first, ...others]) configure(dir, config);
  await runInside(['org', 'init', '--name', 'a test', '--site', site, '--dir', first, '--node', 'a1']);
  await start(first);
  const registrar = ['--dir', first];
  const invite = ['invite', 'node', '--site', site, '--uses', String(count), ...registrar];
  const { token } = await runInside<{ token: string }>(invite);
  for (const [i, dir] of others.entries()) {
    await runInside(['join', token, '--dir', dir, '--node', `a${i + 2}`]);
    await start(dir);
  }
  await waitFor(() => nodes.every(({ mesh }) => mesh.members().length === count - 1) ? true : undefined, {
    deadline_ms: connected_ms,
    what: 'the nodes to be connected',
  });
  const ada = await login(first);
  const { http, https } = (nodes[0] as EdgeNode).run.ports;
  return {
    uris: {
      ipp: `ipp://127.0.0.1:${http}/ipp/print/${ada.token}`,
      ipps: `ipps://127.0.0.1:${https}/ipp/print/${ada.token}`,
    },
    asAda: ['--dir', first, '--credential', ada.credential],
    asAdmin: registrar,
    asAdminElsewhere: ['--dir', others.at(0) ?? '', '--credential', files.adminCredential(first)],
    addPrinter: async (name, uri) => {
      await runInside(['printer', 'add', uri, '--name', name, '--site', site, ...registrar]);
    },
    stopFirst: async () => {
      await nodes.shift()?.stop();
      return ['--dir', others.at(0) ?? '', '--credential', ada.credential];
    },
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

function configure(dir: string, more: Partial<Config>): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const ports = { http: 0, mesh: 0, https: 0, release: 0 };
  const config = { address: '127.0.0.1', mdns: false, ports, drain_s: 1, ...more };
  writeFileSync(files.config(dir), JSON.stringify(config));
}

async function login(dir: string): Promise<{ token: string; credential: string }> {
  await runInside(['user', 'add', 'ada', '--dir', dir]);
  const { token } = await runInside<{ token: string }>(['user', 'invite', 'ada', '--dir', dir]);
  const credential = join(dir, 'ada.credential');
  const made = await runInside<{ token: string }>(['login', token, '--credential', credential]);
  return { token: made.token, credential };
}
