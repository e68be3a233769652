/** The command that runs the cloud node in the foreground. */
import { resolve } from 'node:path';
import { readCloudConfig } from '../../cloud/config.ts';
import { startCloud } from '../../cloud/server.ts';
import { forgetEnvironment } from '../config-layers.ts';
import { type Command, option } from './command.ts';
import { configOptions, nodeSources } from './config.ts';
import { log } from './log.ts';

export const cloud: Command = {
  name: 'cloud',
  usage: '--dir DIR [--listen ADDRESS:PORT] [--config FILE] [--set KEY=VALUE]...',
  about: 'run the cloud node in the foreground, until SIGTERM',
  options: { dir: option.text, listen: option.text, ...configOptions },
  positionals: 0,
  run: async (args, terminal) => {
    const stopped = terminal.stopped();
    const dir = resolve(args.required('dir'));
    const config = await readCloudConfig(nodeSources(args, dir));
    forgetEnvironment();
    const running = await startCloud(
      dir,
      { ...config, listen: args.optional('listen') ?? config.listen },
      log,
    );
    const { self } = running.mesh;
    terminal.show({
      json: { ready: true, node: self.name, site: self.site, url: running.url, ...running.run },
      text: `${self.name} is ready: ${running.url} on port ${running.run.ports.https}`,
    });
    await stopped;
    await running.stop();
    terminal.say(`${self.name} has stopped`);
  },
};
