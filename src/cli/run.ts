/** Finds the command in the arguments, runs it, and prints what it gives. */
import { asInkmeshError } from '../../mesh/errors.ts';
import { inviteNode, status, userAdd, userInvite, userList } from './admin.ts';
import { audit } from './audit.ts';
import { orgExport, orgRestore } from './backup.ts';
import { configShow } from './config.ts';
import { Args, type Command, type Result, sentence, type Terminal, UsageError } from './command.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { joinCommand, login, orgInit } from './enrol.ts';
import { cloud } from './cloud.ts';
import { install, uninstall } from './install.ts';
import { cancel, jobs, jobShow } from './jobs.ts';
import { node } from './node.ts';
import { print } from './print.ts';
import { printerAccept, printerAdd, printerList, printerRemove } from './printer-admin.ts';
import { printerDiscover, printerStatus } from './printers.ts';
import { installQueue } from './queue.ts';
import { printerQr } from './printer-qr.ts';
import { siteProfile } from './profile.ts';
import { release } from './release.ts';
import { siteList, siteSet } from './sites.ts';
import { deviceList, deviceRevoke, nodeList, nodeRevoke, registrarAdd, userRevoke } from './standing.ts';
import { userBadge, userPin } from './verifiers.ts';
import { version } from './version.ts';

const commands: readonly Command[] = [
  orgInit,
  orgExport,
  orgRestore,
  inviteNode,
  joinCommand,
  node,
  cloud,
  nodeList,
  nodeRevoke,
  registrarAdd,
  userAdd,
  userInvite,
  userPin,
  userBadge,
  userList,
  userRevoke,
  login,
  deviceList,
  deviceRevoke,
  siteList,
  siteSet,
  siteProfile,
  printerAdd,
  printerAccept,
  printerRemove,
  printerList,
  printerDiscover,
  printerStatus,
  printerQr,
  print,
  installQueue,
  jobs,
  jobShow,
  release,
  cancel,
  status,
  audit,
  configShow,
  doctor,
  install,
  uninstall,
  demo,
  version,
];

/** Runs one command line. @returns the exit code: 0 done, 1 failed, 2 bad usage */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  const terminal = makeTerminal(json);
  try {
    const found = find(argv);
    if (found === undefined) {
      if (argv.length === 0 || argv.includes('--help') || argv[0] === 'help') {
        process.stdout.write(help() + '\n');
        return 0;
      }
      const words = argv.slice(0, 2).filter((word) => !word.startsWith('-'));
      throw new UsageError(`there is no command "${words.join(' ')}": see inkmesh --help`);
    }
    const result = await found.command.run(new Args(found.command, found.rest), terminal);
    if (result !== undefined) terminal.show(result);
    return result?.code ?? 0;
  } catch (thrown) {
    terminal.progress('', 0, 0);
    process.stderr.write(`inkmesh: ${plain(sentence(thrown))}\n`);
    if (json) process.stdout.write(plainJson({ error: errorJson(thrown) }) + '\n');
    return thrown instanceof UsageError ? 2 : 1;
  }
}

/** Runs a command inside another one. @returns what `--json` would print */
export async function runInside<T>(argv: readonly string[]): Promise<T> {
  const found = find(argv);
  if (found === undefined) throw new TypeError(`there is no command ${argv.join(' ')}`);
  const silent: Terminal = {
    json: true,
    say: () => {},
    show: () => {},
    progress: () => {},
    stopped: () => new Promise(() => {}),
  };
  return (await found.command.run(new Args(found.command, found.rest), silent))?.json as T;
}

function find(argv: readonly string[]): { command: Command; rest: readonly string[] } | undefined {
  for (const words of [2, 1]) {
    const command = commands.find((known) => known.name === argv.slice(0, words).join(' '));
    if (command !== undefined) return { command, rest: argv.slice(words) };
  }
  return undefined;
}

function help(): string {
  const lines = commands.map(({ name, usage, about }) => `  inkmesh ${name} ${usage}\n      ${about}`);
  return [
    'inkmesh: secure print release without a print server',
    '',
    ...lines,
    '',
    'Every command takes --json.',
  ].join('\n');
}

/** What others have written, printers and owners of titles among them, commands no terminal (ECMA-48). */
const plain = (text: string): string => text.replace(/[^\P{Cc}\n\t]/gu, '\ufffd');

/** The same JSON, with DEL and the controls of C1 escaped too. */
const plainJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);

function errorJson(thrown: unknown): object {
  if (thrown instanceof UsageError) return { code: 'usage', message: thrown.message, details: {} };
  const { code, message, about: details } = asInkmeshError(thrown);
  return { code, message, details };
}

function makeTerminal(json: boolean): Terminal {
  const draws = !json && process.stderr.isTTY === true;
  let drawn = '';
  const clear = () => {
    if (drawn !== '') process.stderr.write('\r' + ' '.repeat(drawn.length) + '\r');
    drawn = '';
  };
  return {
    json,
    say: (line) => {
      clear();
      if (!json) process.stderr.write(plain(line) + '\n');
    },
    show: (result: Result) => {
      clear();
      process.stdout.write((json ? plainJson(result.json) : plain(result.text)) + '\n');
    },
    progress: (label, done, total) => {
      if (!draws) return;
      clear();
      if (total === 0) return;
      const filled = Math.round((done / total) * 30);
      drawn = `${label} [${'#'.repeat(filled)}${'.'.repeat(30 - filled)}] ${
        Math.floor((done / total) * 100)
      } %`;
      process.stderr.write(drawn);
    },
    stopped: () =>
      new Promise((resolve) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
      }),
  };
}
