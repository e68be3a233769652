/** The demo: a whole organisation on this machine, one document through it, and what it shows. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InkmeshError } from '../../mesh/errors.ts';
import { files } from '../datadir.ts';
import type { JobView } from '../job.ts';
import type { Released } from '../release/release.ts';
import { type Command, option, type Result, type Terminal, UsageError } from './command.ts';
import { DemoCluster } from './demo-cluster.ts';
import { makePdf } from './demo-pdf.ts';
import { type KeepingPrinter, startEvePrinter, startTestPrinter } from './demo-printer.ts';
import { runInside } from './run.ts';

interface DemoUser {
  name: string;
  credential: string;
  pin: string;
  print_uri: string;
  print_uri_plain: string;
}

interface Stage {
  cluster: DemoCluster;
  printer: KeepingPrinter;
  users: DemoUser[];
  description: object;
}

const printerName = 'printer-a';
const erased_ms = 10_000;

export const demo: Command = {
  name: 'demo',
  usage: '[--nodes N] [--keep]',
  about: 'a whole organisation on this machine, and one document through it',
  options: { nodes: option.text, keep: option.flag },
  positionals: 0,
  run: async (args, terminal): Promise<Result | void> => {
    const count = args.integer('nodes', 3);
    if (count < 3 || count > 16) throw new UsageError('--nodes is 3 to 16: a job is kept on three');
    const dir = await mkdtemp(join(tmpdir(), 'inkmesh-demo-'));
    const cluster = new DemoCluster(dir, runInside);
    let printer: KeepingPrinter | undefined;
    const stopped = terminal.stopped();
    const run = async (): Promise<Result | void> => {
      printer = await startEvePrinter({ dir }) ?? await startTestPrinter({ dir });
      const stage = await prepare(cluster, printer, count, terminal);
      if (!args.flag('keep')) return await play(stage, terminal);
      if (!terminal.json) await play(stage, terminal);
      terminal.show({ json: stage.description, text: JSON.stringify(stage.description, null, 2) });
      terminal.say('Everything stays up until Ctrl-C.');
      await stopped;
    };
    try {
      return await Promise.race([run(), stopped]);
    } finally {
      await cluster.stop();
      await printer?.stop();
      await rm(dir, { recursive: true, force: true });
    }
  },
};

async function prepare(
  cluster: DemoCluster,
  printer: KeepingPrinter,
  count: number,
  terminal: Terminal,
): Promise<Stage> {
  terminal.say(`1. An organisation with one site and ${count} nodes, each a process of its own.`);
  await cluster.start(count);
  for (const { name, pid, ports } of cluster.nodes) {
    terminal.say(
      `     ${name}: pid ${pid}, mesh ${ports.mesh}, IPPS ${ports.https}, release ${ports.release}`,
    );
  }
  const [first] = cluster.nodes as [DemoCluster['nodes'][number]];
  const registrar = ['--dir', first.dir];
  terminal.say(`2. A printer that keeps what it prints: ${printer.uri}`);
  await runInside([
    'printer',
    'add',
    printer.uri,
    '--name',
    printerName,
    '--site',
    cluster.site,
    ...registrar,
  ]);
  terminal.say('3. Two users, ada and eve, each with a credential and a PIN of their own.');
  const users: DemoUser[] = [];
  for (const name of ['ada', 'eve']) {
    await runInside(['user', 'add', name, ...registrar]);
    const { token } = await runInside<{ token: string }>(['user', 'invite', name, ...registrar]);
    const credential = join(cluster.dir, `${name}.credential`);
    const { pin } = await runInside<{ pin: string }>(['user', 'pin', name, ...registrar]);
    const made = await runInside<{ token: string }>(['login', token, '--credential', credential]);
    users.push({
      name,
      credential,
      pin,
      print_uri: `ipps://127.0.0.1:${first.ports.https}/ipp/print/${made.token}`,
      print_uri_plain: `ipp://127.0.0.1:${first.ports.http}/ipp/print/${made.token}`,
    });
  }
  const description = {
    dir: cluster.dir,
    cloud: null,
    admin: { credential: files.adminCredential(first.dir) },
    sites: [{
      name: cluster.site,
      nodes: cluster.nodes,
      printers: [{ name: printerName, uri: printer.uri, kept: printer.kept }],
    }],
    users,
  };
  return { cluster, printer, users, description };
}

/** The whole flow of one document. @throws InkmeshError when anything is not as it should be */
async function play({ cluster, printer, users }: Stage, terminal: Terminal): Promise<Result> {
  const [ada, eve] = users as [DemoUser, DemoUser];
  const [first, second, third] = cluster.nodes as [...DemoCluster['nodes'], never, never, never];
  const as = (user: DemoUser, node: { dir: string }) => ['--dir', node.dir, '--credential', user.credential];
  const marker = `inkmesh-demo-${crypto.randomUUID()}`;
  const document = makePdf([marker, 'Second page']);
  const file = join(cluster.dir, 'document.pdf');
  await writeFile(file, document);
  const { id, holders } = await runInside<{ id: string; holders: string[] }>([
    'print',
    file,
    ...as(ada, second),
  ]);
  terminal.say(`4. ada has printed a PDF of ${document.length} bytes at ${second.name}: job ${id}`);
  const seen = await runInside<JobView[]>(['jobs', ...as(ada, first)]);
  expect(seen.some((job) => job.id === id && job.state === 'held'), 'the job is held and listed');
  terminal.say(
    `     It waits, encrypted, on ${holders.join(', ')}: each has one of three pieces of its key.`,
  );
  for (const name of holders) await expectUnreadable(cluster.path(name), name, marker);
  terminal.say(
    '     None of them can read it alone: one share says nothing of the key, and no file has the text.',
  );
  const refused = await refusal(['release', id, '--printer', printerName, ...as(eve, third)]);
  terminal.say(`5. eve asks for ada’s job and is refused: ${refused}`);
  const released = await runInside<Released>(['release', id, '--printer', printerName, ...as(ada, third)]);
  expect(
    released.outcome === 'printed',
    `the printer says printed (${released.outcome}: ${released.reason ?? ''})`,
  );
  terminal.say(
    `6. ada releases it at ${printerName}, through ${third.name}: ${released.outcome} after ${released.done_ms} ms`,
  );
  const printed = await keptDocument(printer.kept, document);
  terminal.say(`7. What came out is what went in, byte for byte: ${printed}`);
  terminal.say(`     sha256 ${createHash('sha256').update(document).digest('hex')}`);
  for (const name of holders) await expectErased(join(cluster.path(name), 'envelopes'), name);
  terminal.say(`8. ${holders.join(', ')} have erased their pieces.`);
  return {
    json: { id, holders, released, refused, printed: true },
    text: 'The demo has done what it should.',
  };
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new InkmeshError('internal', `the demo expected: ${what}`);
}

/** Looks for the text in every file of a node. */
async function expectUnreadable(dir: string, name: string, marker: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const content = await readFile(join(entry.parentPath, entry.name));
    expect(!content.includes(marker), `${name} does not have the document’s text in ${entry.name}`);
  }
}

/** Two holders have erased when a release returns; the third is told as soon as it can be. */
async function expectErased(envelopes: string, name: string): Promise<void> {
  const deadline_ms = performance.now() + erased_ms;
  while ((await readdir(envelopes)).length > 0) {
    expect(performance.now() < deadline_ms, `${name} has erased its envelope`);
    await new Promise((again) => setTimeout(again, 50));
  }
}

async function refusal(argv: string[]): Promise<string> {
  try {
    await runInside(argv);
  } catch (error) {
    if (error instanceof InkmeshError && error.code === 'not-found') return error.message;
    throw error;
  }
  throw new InkmeshError('internal', 'the demo expected that eve is refused');
}

/** The name of the kept file that is the document. */
async function keptDocument(kept: string, document: Uint8Array): Promise<string> {
  for (const name of await readdir(kept)) {
    const path = join(kept, name);
    if (Buffer.from(document).equals(await readFile(path))) return path;
  }
  throw new InkmeshError('internal', `the demo expected the document in ${kept}`);
}
