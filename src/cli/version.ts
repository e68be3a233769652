/** The version, of which sources, and on what it runs. */
import manifest from '../../package.json' with { type: 'json' };
import { build } from '../build.ts';
import type { Command } from './command.ts';

export const version: Command = {
  name: 'version',
  usage: '',
  about: 'the version, of which commit, and on what it runs',
  options: {},
  positionals: 0,
  run: () => {
    const { deno } = process.versions;
    const json = {
      version: manifest.version,
      commit: build?.commit ?? null,
      runtime: deno === undefined ? `node ${process.versions.node}` : `deno ${deno}`,
      target: `${process.platform}-${process.arch}`,
    };
    const commit = json.commit === null ? '' : `commit ${json.commit}, `;
    return Promise.resolve({
      json,
      text: `inkmesh ${json.version} (${commit}${json.runtime}, ${json.target})`,
    });
  },
};
