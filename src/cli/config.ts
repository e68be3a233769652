/** Where a command's settings come from, and the command that shows them. */
import { resolve } from 'node:path';
import { explainCloudConfig } from '../../cloud/config.ts';
import { explainConfig, ownConfig } from '../config.ts';
import { isCloudDir } from '../datadir.ts';
import type { ConfigSources } from '../settings.ts';
import { type Args, type Command, option, table } from './command.ts';
import { log } from './log.ts';

/** Of every command that reads a node's settings. */
export const configOptions = { config: option.text, set: option.list } as const;

/** `--config`, or the data directory's own when it has one, and what `--set` says. */
export function configSources(args: Args, dir: string): ConfigSources {
  return { file: args.optional('config') ?? ownConfig(dir), set: args.list('set') };
}

/** The same for a node, which logs what should not stay as it is. */
export const nodeSources = (args: Args, dir: string): ConfigSources => ({
  ...configSources(args, dir),
  warn: (sentence) => log('warn', sentence),
});

export const configShow: Command = {
  name: 'config show',
  usage: '--dir DIR [--config FILE] [--set KEY=VALUE]...',
  about: 'the settings that a node would run with, and where each comes from',
  options: { dir: option.text, ...configOptions },
  positionals: 0,
  run: async (args) => {
    const dir = resolve(args.required('dir'));
    const sources = configSources(args, dir);
    const settings = await (await isCloudDir(dir) ? explainCloudConfig : explainConfig)(sources);
    return {
      json: { file: sources.file ?? null, settings },
      text: table(
        settings.map(({ key, value, origin }) => [key, JSON.stringify(value), origin ?? 'default']),
      ),
    };
  },
};
