/** The command that says what is wrong on this machine, and what mends it. */
import { resolve } from 'node:path';
import { examineCloud } from '../../cloud/doctor.ts';
import { isCloudDir } from '../datadir.ts';
import { examine } from '../doctor/doctor.ts';
import { service } from '../service/service.ts';
import { configOptions, configSources } from './config.ts';
import { type Command, option } from './command.ts';

const marks = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const;

export const doctor: Command = {
  name: 'doctor',
  usage: '[--dir DIR] [--config FILE] [--set KEY=VALUE]...',
  about: 'look at everything that the node on this machine needs, and say what mends it',
  options: { dir: option.text, ...configOptions },
  positionals: 0,
  run: async (args) => {
    const dir = resolve(args.optional('dir') ?? service().dir);
    const isCloud = await isCloudDir(dir);
    const findings = await (isCloud ? examineCloud : examine)(dir, () => configSources(args, dir));
    const healthy = findings.every(({ level }) => level !== 'fail');
    const width = Math.max(...findings.map(({ check }) => check.length));
    const lines = findings.map(({ check, level, message, fix }) =>
      `${marks[level]} ${check.padEnd(width)}  ${message}${
        fix === null ? '' : `\n${' '.repeat(width + 7)}-> ${fix}`
      }`
    );
    return { json: { dir, healthy, findings }, text: lines.join('\n'), code: healthy ? 0 : 1 };
  },
};
