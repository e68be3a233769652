/** The command that runs an edge node in the foreground. */
import { resolve } from 'node:path';
import { forgetEnvironment } from '../config-layers.ts';
import { readConfig } from '../config.ts';
import { startNode } from '../node.ts';
import { type Command, option } from './command.ts';
import { configOptions, nodeSources } from './config.ts';
import { log } from './log.ts';

export const node: Command = {
  name: 'node',
  usage: '--dir DIR [--config FILE] [--set KEY=VALUE]...',
  about: 'run the edge node in the foreground, until SIGTERM',
  options: { dir: option.text, ...configOptions },
  positionals: 0,
  run: async (args, terminal) => {
    const stopped = terminal.stopped();
    const dir = resolve(args.required('dir'));
    const config = await readConfig(nodeSources(args, dir));
    forgetEnvironment();
    const running = await startNode(dir, config, log);
    const { self } = running.mesh;
    const { ports } = running.run;
    const plain = ports.http === null ? '' : `, plain IPP ${ports.http}`;
    terminal.show({
      json: { ready: true, node: self.name, site: self.site, ...running.run },
      text:
        `${self.name} is ready: mesh ${ports.mesh}, IPPS ${ports.https}${plain}, release ${ports.release}`,
    });
    await stopped;
    await running.stop();
    terminal.say(`${self.name} has stopped`);
  },
};
