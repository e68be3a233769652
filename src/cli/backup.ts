/** Commands for the day on which the registrar's machine is lost. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { InkmeshError } from '../../mesh/errors.ts';
import { exportAuthority, openBackup } from '../../mesh/mod.ts';
import { nodeName, siteName } from '../../mesh/names.ts';
import { makeDataDir, refuseExisting, writeDurably, writeRegistrar } from '../datadir.ts';
import { State } from '../state.ts';
import { adminClient } from './client.ts';
import { type Args, checkArgument, type Command, option, type Terminal } from './command.ts';
import { machineName, writeAdmin, writeRegistrarNode } from './found.ts';

export const orgExport: Command = {
  name: 'org export',
  usage: 'FILE --dir DIR',
  about: 'write what a new registrar can be made of, locked under a passphrase',
  options: { dir: option.text, credential: option.text },
  positionals: 1,
  run: async (args) => {
    const path = resolve(args.at(0));
    if (existsSync(path)) throw new InkmeshError('conflict', `${path} is there already: give another FILE`);
    const client = await adminClient(args);
    const made = await client.post<{ file: string; passphrase: string }>('/v1/export', {});
    await writeDurably(path, Uint8Array.fromBase64(made.file));
    const { passphrase } = made;
    return {
      json: { file: path, passphrase },
      text: [
        `Keep offline:  ${path}`,
        `  passphrase:  ${passphrase}`,
        '  (shown this once; whoever has both can issue certificates of the organisation)',
      ].join('\n'),
    };
  },
};

export const orgRestore: Command = {
  name: 'org restore',
  usage: 'FILE --dir DIR [--site SITE] [--node NAME]',
  about:
    'make this machine a registrar out of an export; it asks for the passphrase, or takes INKMESH_PASSPHRASE',
  options: { dir: option.text, site: option.text, node: option.text },
  positionals: 1,
  run: async (args, terminal) => {
    const dir = resolve(args.required('dir'));
    const site = checkArgument(siteName, args.optional('site') ?? 'main', '--site');
    const name = checkArgument(nodeName, args.optional('node') ?? machineName(), '--node');
    await refuseExisting(dir);
    const backup = await openBackup(await readExport(args), await passphraseFor(terminal));
    if (backup.nodes.has(name)) {
      throw new InkmeshError('conflict', `a node is called "${name}" already: give another --node NAME`);
    }
    const { authority } = backup;
    await makeDataDir(dir);
    const state = new State(dir);
    try {
      backup.restore(state);
    } finally {
      state.close();
    }
    await writeRegistrar(dir, await exportAuthority(authority));
    const admin = await writeAdmin(dir, authority, site);
    // last, as it makes the directory a node's
    await writeRegistrarNode(dir, authority, { name, site });
    const { organisation } = authority.trust;
    return {
      json: { organisation, dir, site, node: name, admin },
      text: [
        `"${name}" is a registrar of ${organisation}, site "${site}".`,
        `Administrator: ${admin}`,
        `Next:          inkmesh node --dir ${dir}`,
        `               inkmesh node revoke NAME --dir ${dir}   (the machine that was lost)`,
        `Invitations that are still open need --at HOST:PORT of this machine.`,
      ].join('\n'),
    };
  },
};

async function readExport(args: Args): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(args.at(0)));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InkmeshError('not-found', `${args.at(0)} cannot be read: ${reason}`, {}, { cause });
  }
}

async function passphraseFor(terminal: Terminal): Promise<string> {
  const given = process.env['INKMESH_PASSPHRASE'];
  if (given !== undefined) return given.trim();
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    terminal.say('The passphrase that org export has shown:');
    return (await asking.question('')).trim();
  } finally {
    asking.close();
  }
}
