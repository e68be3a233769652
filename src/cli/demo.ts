/** The demo: a whole organisation on this machine, documents through it, and what it shows. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forgetEnvironment } from '../config-layers.ts';
import { files } from '../datadir.ts';
import { type Command, option, type Result, type Terminal, UsageError } from './command.ts';
import { DemoCluster, type DemoNode } from './demo-cluster.ts';
import { playMission } from './demo-mission.ts';
import { playSite } from './demo-site.ts';
import { startEvePrinter, startTestPrinter } from './demo-printer.ts';
import type { DemoPrinter, DemoUser, Stage } from './demo-stage.ts';
import { runInside } from './run.ts';

const maxSites = 8;

export const demo: Command = {
  name: 'demo',
  usage: '[--sites N] [--nodes N] [--keep]',
  about: 'a whole organisation on this machine, and documents through it',
  options: { sites: option.text, nodes: option.text, keep: option.flag },
  positionals: 0,
  run: async (args, terminal): Promise<Result | void> => {
    const sites = args.integer('sites', 2);
    if (sites < 1 || sites > maxSites) throw new UsageError(`--sites is 1 to ${maxSites}`);
    const count = args.integer('nodes', 3);
    if (count < 3 || count > 16) throw new UsageError('--nodes is 3 to 16: a job is kept on three');
    // what is set for this machine's own node is not for the demo's
    forgetEnvironment();
    const dir = await mkdtemp(join(tmpdir(), 'inkmesh-demo-'));
    const cluster = new DemoCluster(dir, runInside);
    const printers: DemoPrinter[] = [];
    const stopped = terminal.stopped();
    const keep = args.flag('keep');
    const run = async (): Promise<Result | void> => {
      const stage = await prepare({ cluster, printers, sites, count, terminal });
      const play = () => sites === 1 ? playSite(stage, terminal) : playMission(stage, terminal, keep);
      if (!keep) return await play();
      if (!terminal.json) await play();
      terminal.show({ json: stage.description, text: JSON.stringify(stage.description, null, 2) });
      terminal.say('Everything stays up until Ctrl-C.');
      await stopped;
    };
    try {
      return await Promise.race([run(), stopped]);
    } finally {
      await cluster.stop();
      await Promise.all(printers.map((printer) => printer.stop()));
      await rm(dir, { recursive: true, force: true });
    }
  },
};

interface Wanted {
  cluster: DemoCluster;
  /** those that run are put in */
  printers: DemoPrinter[];
  sites: number;
  /** nodes of each site */
  count: number;
  terminal: Terminal;
}

async function prepare({ cluster, printers, sites, count, terminal }: Wanted): Promise<Stage> {
  for (const site of [...'abcdefgh'].slice(0, sites)) {
    const dir = join(cluster.dir, `printer-${site}`);
    const printer = await startEvePrinter({ dir }) ?? await startTestPrinter({ dir });
    printers.push({ ...printer, name: `printer-${site}` });
  }
  const shape = sites === 1
    ? `one site and ${count} nodes`
    : `${sites} sites of ${count} nodes and a cloud node`;
  terminal.say(`1. An organisation with ${shape}, each a process of its own.`);
  await cluster.start(sites, count);
  for (const { name, pid, ports } of cluster.sites.flatMap(({ nodes }) => nodes)) {
    terminal.say(
      `     ${name}: pid ${pid}, mesh ${ports.mesh}, IPPS ${ports.https}, release ${ports.release}`,
    );
  }
  if (cluster.cloud !== null) {
    const { url, pid } = cluster.cloud;
    terminal.say(`     cloud: pid ${pid}, ${url}; no site talks to another one but through it`);
  }
  const { registrar } = cluster;
  for (const [at, { name, uri }] of printers.entries()) {
    terminal.say(`2. A printer that keeps what it prints: ${name}, ${uri}`);
    const site = cluster.sites[at]?.name ?? '';
    await runInside(['printer', 'add', uri, '--name', name, '--site', site, '--dir', registrar.dir]);
  }
  terminal.say('3. Two users, ada and eve, each with a credential and a PIN of their own.');
  const users: DemoUser[] = [];
  for (const name of ['ada', 'eve']) users.push(await addUser(cluster, registrar, name));
  const description = {
    ...{ dir: cluster.dir, cloud: cluster.cloud },
    admin: { credential: files.adminCredential(registrar.dir) },
    sites: cluster.sites.map(({ name, nodes }, at) => ({
      ...{ name, nodes },
      printers: printers.slice(at, at + 1).map(({ name, uri, kept }) => ({ name, uri, kept })),
    })),
    users,
  };
  return { cluster, inside: runInside, printers, users, description };
}

async function addUser(cluster: DemoCluster, registrar: DemoNode, name: string): Promise<DemoUser> {
  const at = ['--dir', registrar.dir];
  await runInside(['user', 'add', name, ...at]);
  const { token } = await runInside<{ token: string }>(['user', 'invite', name, ...at]);
  const credential = join(cluster.dir, `${name}.credential`);
  const { pin } = await runInside<{ pin: string }>(['user', 'pin', name, ...at]);
  const made = await runInside<{ token: string }>(['login', token, '--credential', credential]);
  return {
    ...{ name, credential, pin },
    print_uri: `ipps://127.0.0.1:${registrar.ports.https}/ipp/print/${made.token}`,
    print_uri_plain: `ipp://127.0.0.1:${registrar.ports.http}/ipp/print/${made.token}`,
  };
}
