/** Finds the command in the arguments, runs it, and prints what it gives. */
import { asInkmeshError } from '../../mesh/errors.ts';
import { Args, type Command, type Result, sentence, type Terminal, UsageError } from './command.ts';

/** By name, each read when it is called: a command starts, and a node runs, without what the others need. */
const commands: readonly (readonly [name: string, load: () => Promise<Command>])[] = [
  ['org init', async () => (await import('./enrol.ts')).orgInit],
  ['org export', async () => (await import('./backup.ts')).orgExport],
  ['org restore', async () => (await import('./backup.ts')).orgRestore],
  ['invite node', async () => (await import('./admin.ts')).inviteNode],
  ['join', async () => (await import('./enrol.ts')).joinCommand],
  ['node', async () => (await import('./node.ts')).node],
  ['cloud', async () => (await import('./cloud.ts')).cloud],
  ['node list', async () => (await import('./standing.ts')).nodeList],
  ['node revoke', async () => (await import('./standing.ts')).nodeRevoke],
  ['registrar add', async () => (await import('./standing.ts')).registrarAdd],
  ['user add', async () => (await import('./admin.ts')).userAdd],
  ['user invite', async () => (await import('./admin.ts')).userInvite],
  ['user pin', async () => (await import('./verifiers.ts')).userPin],
  ['user badge', async () => (await import('./verifiers.ts')).userBadge],
  ['user list', async () => (await import('./admin.ts')).userList],
  ['user revoke', async () => (await import('./standing.ts')).userRevoke],
  ['login', async () => (await import('./enrol.ts')).login],
  ['device list', async () => (await import('./standing.ts')).deviceList],
  ['device revoke', async () => (await import('./standing.ts')).deviceRevoke],
  ['site list', async () => (await import('./sites.ts')).siteList],
  ['site set', async () => (await import('./sites.ts')).siteSet],
  ['site profile', async () => (await import('./profile.ts')).siteProfile],
  ['printer add', async () => (await import('./printer-admin.ts')).printerAdd],
  ['printer accept', async () => (await import('./printer-admin.ts')).printerAccept],
  ['printer remove', async () => (await import('./printer-admin.ts')).printerRemove],
  ['printer list', async () => (await import('./printer-admin.ts')).printerList],
  ['printer discover', async () => (await import('./printers.ts')).printerDiscover],
  ['printer status', async () => (await import('./printers.ts')).printerStatus],
  ['printer qr', async () => (await import('./printer-qr.ts')).printerQr],
  ['print', async () => (await import('./print.ts')).print],
  ['install queue', async () => (await import('./queue.ts')).installQueue],
  ['jobs', async () => (await import('./jobs.ts')).jobs],
  ['job show', async () => (await import('./jobs.ts')).jobShow],
  ['release', async () => (await import('./release.ts')).release],
  ['cancel', async () => (await import('./jobs.ts')).cancel],
  ['status', async () => (await import('./admin.ts')).status],
  ['audit', async () => (await import('./audit.ts')).audit],
  ['config show', async () => (await import('./config.ts')).configShow],
  ['doctor', async () => (await import('./doctor.ts')).doctor],
  ['install', async () => (await import('./install.ts')).install],
  ['uninstall', async () => (await import('./install.ts')).uninstall],
  ['demo', async () => (await import('./demo.ts')).demo],
  ['version', async () => (await import('./version.ts')).version],
];

/** Runs one command line. @returns the exit code: 0 done, 1 failed, 2 bad usage */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  const terminal = makeTerminal(json);
  try {
    const found = await find(argv);
    if (found === undefined) {
      if (argv.length === 0 || argv.includes('--help') || argv[0] === 'help') {
        process.stdout.write(await help() + '\n');
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
  const found = await find(argv);
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

async function find(
  argv: readonly string[],
): Promise<{ command: Command; rest: readonly string[] } | undefined> {
  for (const words of [2, 1]) {
    const [, load] = commands.find(([name]) => name === argv.slice(0, words).join(' ')) ?? [];
    if (load !== undefined) return { command: await load(), rest: argv.slice(words) };
  }
  return undefined;
}

async function help(): Promise<string> {
  const all = await Promise.all(commands.map(([, load]) => load()));
  const lines = all.map(({ name, usage, about }) => `  inkmesh ${name} ${usage}\n      ${about}`);
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
