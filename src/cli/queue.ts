/** The command that adds the operating system's own print queue for the logged-in user, so that every program prints. */
import { spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { connect } from 'node:tls';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import { toPem } from '../../mesh/mod.ts';
import { siteHosts } from '../../mesh/names.ts';
import { submissionPort } from '../config.ts';
import { readCredential, readRun, type StoredCredential } from '../datadir.ts';
import { credentialPath } from './client.ts';
import { type Args, type Command, option, UsageError } from './command.ts';
import { addQueue, isAbsent, type Program, queueName, removeQueue, showQueue } from './system-queue.ts';

const run_ms = 60_000;
const ready_ms = 30_000;
const look_ms = 300;
const connect_ms = 1_000;

export const installQueue: Command = {
  name: 'install queue',
  usage: '[--dir DIR] [--at HOST:PORT] [--credential FILE] [--remove]',
  about: 'add the print queue "inkmesh" to this machine, for every program’s print dialog',
  options: { dir: option.text, at: option.text, credential: option.text, remove: option.flag },
  positionals: 0,
  run: async (args, terminal) => {
    const { platform } = process;
    if (args.flag('remove')) {
      await runProgram(removeQueue(platform)).catch((error: InkmeshError) => {
        if (!isAbsent(error.message)) throw error;
      });
      return { json: { queue: queueName, removed: true }, text: `The print queue "${queueName}" is gone.` };
    }
    const credential = await readCredential(args.optional('credential') ?? credentialPath());
    if (credential.token === null) {
      throw new InkmeshError('conflict', 'this credential has no printer address: use inkmesh login INVITE');
    }
    const at = await target(args, credential);
    await runProgram(addQueue(platform, `ipps://${at}/ipp/print/${credential.token}`));
    terminal.say(`The operating system asks ${at} what the printer can do.`);
    await untilReady(at);
    return {
      json: { queue: queueName, user: credential.user, at },
      text: `The print queue "${queueName}" prints as ${credential.user}, by way of ${at}.\n` +
        'Its documents wait until you release them: inkmesh jobs',
    };
  },
};

/** This machine's node where it has one; else the site's name, so that no queue leads to somebody's own machine. */
async function target(args: Args, credential: StoredCredential): Promise<string> {
  const at = args.optional('at');
  if (at !== undefined) {
    if (!/^(?:\[[0-9a-f:.]+\]|[a-z0-9.-]+):\d{1,5}$/i.test(at)) throw new UsageError('--at is HOST:PORT');
    return at;
  }
  const dir = args.optional('dir');
  if (dir !== undefined) return `localhost:${(await readRun(dir)).ports.https}`;
  if (await servesHere(credential)) return `localhost:${submissionPort}`;
  const { dns, mdns } = siteHosts(credential.site);
  for (const host of [dns, mdns]) {
    if (await lookup(host).then(() => true, () => false)) return `${host}:${submissionPort}`;
  }
  throw new InkmeshError(
    'unavailable',
    `no node runs on this machine, and neither ${dns} nor ${mdns} is known here: ` +
      'give --at HOST:PORT of a node, or have your DNS know the site’s name',
  );
}

/** Whether a node of the organisation takes documents on this machine, at the usual port. */
function servesHere({ trust }: StoredCredential): Promise<boolean> {
  return new Promise((resolve) => {
    const ca = toPem('CERTIFICATE', trust.root);
    const socket = connect({ host: '127.0.0.1', port: submissionPort, servername: 'localhost', ca });
    const end = (serves: boolean) => {
      socket.destroy();
      resolve(serves);
    };
    socket.setTimeout(connect_ms, () => end(false));
    socket.once('secureConnect', () => end(socket.authorized)).once('error', () => end(false));
  });
}

async function untilReady(at: string): Promise<void> {
  const deadline_ms = performance.now() + ready_ms;
  for (;;) {
    try {
      return await runProgram(showQueue(process.platform));
    } catch (cause) {
      if (performance.now() > deadline_ms) {
        const message = `the queue is there, but ${at} has not answered the operating system: ` +
          `is the node up? Then run the command again (${asInkmeshError(cause).message})`;
        throw new InkmeshError('unavailable', message, {}, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, look_ms));
    }
  }
}

/** @throws InkmeshError with what the program says */
async function runProgram({ command, args, input = '' }: Program): Promise<void> {
  // the tools of CUPS for administrators are not in everybody's PATH
  const { PATH = '', ...rest } = process.env;
  const separator = process.platform === 'win32' ? ';' : ':';
  const env = { ...rest, PATH: [PATH, '/usr/sbin', '/sbin'].join(separator), LC_ALL: 'C' };
  const child = spawn(command, args, { env, stdio: ['pipe', 'ignore', 'pipe'], timeout: run_ms });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => said = (said + part).slice(-2000));
  // one that does not read its input has ended
  child.stdin.on('error', () => {}).end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const message = cause.code === 'ENOENT'
        ? `${command} is not there: install CUPS (on Debian the package cups-client)`
        : `${command} cannot be run: ${cause.message}`;
      reject(new InkmeshError('unavailable', message, {}, { cause }));
    });
  });
  if (code === 0) return;
  throw new InkmeshError(
    'unavailable',
    `${command} failed: ${
      said.trim() || `exit ${code}`
    }; may you add printers? (with CUPS the group lpadmin may)`,
  );
}
