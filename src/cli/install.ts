/** Commands that make this machine's node a service, and take it away again. */
import { resolve } from 'node:path';
import { InkmeshError } from '../../mesh/errors.ts';
import { type Config, keepSettings, readConfig } from '../config.ts';
import { forgetEnvironment } from '../config-layers.ts';
import { isNodeDir, readRun } from '../datadir.ts';
import { examine } from '../doctor/doctor.ts';
import type { Check, Finding } from '../doctor/finding.ts';
import { install as installService, uninstall as uninstallService } from '../service/install.ts';
import { service } from '../service/service.ts';
import { Args, type Command, option } from './command.ts';
import { configSources } from './config.ts';
import { joinCommand } from './enrol.ts';
import { self } from './self.ts';

const ready_ms = 60_000;
const look_ms = 500;

export const install: Command = {
  name: 'install',
  usage: '[--token TOKEN] [--at HOST:PORT|URL] [--node NAME] [--dir DIR] [--set KEY=VALUE]... [--firewall]',
  about: 'make this machine’s node a service that starts with it, and enrol it first with a join token',
  options: {
    ...{ token: option.text, at: option.text, node: option.text, dir: option.text },
    ...{ set: option.list, firewall: option.flag },
  },
  positionals: 0,
  run: async (args, terminal) => {
    const { dir, config } = await prepared(args);
    const token = args.optional('token');
    const enrolled = await isNodeDir(dir);
    if (!enrolled) {
      if (token === undefined) {
        throw new InkmeshError(
          'conflict',
          `${dir} belongs to no node yet: give --token, or found with inkmesh org init`,
        );
      }
      const given = [
        ...(['at', 'node'] as const).map((name) => [name, args.optional(name)] as const),
        ...args.list('set').map((setting) => ['set', setting] as const),
      ].flatMap(([name, value]) => value === undefined ? [] : [`--${name}`, value]);
      await joinCommand.run(new Args(joinCommand, [token, '--dir', dir, ...given]), terminal);
    }
    const settings = await keepSettings(dir, args.list('set'));
    forgetEnvironment();
    const done = await installService(self(), dir, { config, settings, opens: args.flag('firewall') });
    const changed = [...enrolled ? [] : ['node'], ...settings ? ['settings'] : [], ...done.changed];
    const findings = await untilUp(dir, args);
    const wrong = findings.filter(({ level }) => level === 'fail');
    const rules = args.flag('firewall') || done.firewall.rules.length === 0 ? [] : [
      `Rules for ${done.firewall.name} (--firewall adds them):`,
      ...done.firewall.rules.map((rule) => `  ${rule}`),
    ];
    return {
      json: { dir, ...done, changed, healthy: wrong.length === 0, findings },
      text: [
        changed.length === 0 ? 'Everything was installed already.' : `Installed: ${changed.join(', ')}.`,
        ...rules,
        ...wrong.map(({ check, message, fix }) => `FAIL ${check}: ${message}\n  -> ${fix}`),
        ...wrong.length === 0 ? ['The node runs, and starts with this machine.'] : [],
      ].join('\n'),
      code: wrong.length === 0 ? 0 : 1,
    };
  },
};

export const uninstall: Command = {
  name: 'uninstall',
  usage: '[--dir DIR] [--purge]',
  about: 'stop the service and remove it; with --purge also the node’s data, and the jobs that it holds',
  options: { dir: option.text, purge: option.flag },
  positionals: 0,
  run: async (args) => {
    const { dir, config } = await prepared(args);
    forgetEnvironment();
    const removed = await uninstallService(dir, { config, purge: args.flag('purge') });
    const kept = !removed.includes('data') && await isNodeDir(dir)
      ? [`The node’s data stays in ${dir}.`]
      : [];
    return {
      json: { dir, removed },
      text: [removed.length === 0 ? 'Nothing was installed.' : `Removed: ${removed.join(', ')}.`, ...kept]
        .join('\n'),
    };
  },
};

/** @throws InkmeshError `forbidden` unless an administrator calls */
async function prepared(args: Args): Promise<{ dir: string; config: Config }> {
  if ((process.getuid?.() ?? 0) !== 0) {
    throw new InkmeshError('forbidden', 'this needs an administrator of the machine: use sudo');
  }
  const dir = resolve(args.optional('dir') ?? service().dir);
  return { dir, config: await readConfig(configSources(args, dir)) };
}

/** Waits until the node runs, and another one has tried to connect to it, or for a minute. @returns what the doctor says then */
async function untilUp(dir: string, args: Args): Promise<Finding[]> {
  const deadline_ms = performance.now() + ready_ms;
  while (performance.now() < deadline_ms && await readRun(dir).then(() => false, () => true)) {
    await new Promise((again) => setTimeout(again, look_ms));
  }
  for (;;) {
    const findings = await examine(dir, () => configSources(args, dir));
    const isAt = (level: Finding['level'], ...names: Check[]) =>
      findings.some((finding) => finding.level === level && names.includes(finding.check));
    const settled = !isAt('fail', 'service', 'peers') && !isAt('warn', 'reachable');
    if (settled || performance.now() > deadline_ms) return findings;
    await new Promise((again) => setTimeout(again, look_ms));
  }
}
