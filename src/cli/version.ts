/** The version, and on what it runs. */
import manifest from '../../package.json' with { type: 'json' };
import type { Command } from './command.ts';

export const version: Command = {
  name: 'version',
  usage: '',
  about: 'the version, and on what it runs',
  options: {},
  positionals: 0,
  run: () => {
    const { deno } = process.versions;
    const runtime = deno === undefined ? `node ${process.versions.node}` : `deno ${deno}`;
    const json = { version: manifest.version, runtime, target: `${process.platform}-${process.arch}` };
    return Promise.resolve({ json, text: `inkmesh ${json.version} (${json.runtime}, ${json.target})` });
  },
};
