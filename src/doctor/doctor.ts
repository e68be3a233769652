/** Looks at everything that a node on this machine needs, and says what is wrong and what mends it. */
import { asInkmeshError } from '../../mesh/errors.ts';
import { type Config, readConfig } from '../config.ts';
import { type NodeSecrets, readRun } from '../datadir.ts';
import { startCommand } from '../service/service.ts';
import type { ConfigSources } from '../settings.ts';
import { checks, fail, type Finding, ok, warn } from './finding.ts';
import { mdns } from './lan.ts';
import { disk, identity } from './machine.ts';
import { askHealth, clock, peers, printers, reachable } from './mesh.ts';
import { outside } from './outside.ts';
import { freePorts, openPorts } from './ports.ts';

/**
 * @param dir data directory
 * @param sources where its settings come from; may throw
 * @returns one finding for each thing that could be looked at, in the order of `checks`
 */
export async function examine(dir: string, sources: () => ConfigSources): Promise<Finding[]> {
  const { config, finding } = await configuration(dir, sources);
  const { secrets, findings } = await identity(dir);
  const found = [finding, ...findings];
  if (config !== undefined) {
    found.push(await disk(dir, config));
    const outer = outside(config.cloud);
    const lan = secrets === undefined ? [] : [mdns(config, secrets.trust.fingerprint)];
    found.push(...await running(dir, config, secrets), ...await Promise.all(lan), ...await outer);
  }
  return found.sort((a, b) => checks.indexOf(a.check) - checks.indexOf(b.check));
}

async function configuration(
  dir: string,
  sourcesOf: () => ConfigSources,
): Promise<{ config?: Config; finding: Finding }> {
  try {
    const sources = sourcesOf();
    const config = await readConfig(sources);
    return { config, finding: ok('configuration', sources.file ?? 'defaults') };
  } catch (thrown) {
    const { message } = asInkmeshError(thrown);
    const fix = `mend what is named; inkmesh config show --dir ${dir} tells when it is right`;
    return { finding: fail('configuration', message, fix) };
  }
}

async function running(dir: string, config: Config, secrets: NodeSecrets | undefined): Promise<Finding[]> {
  const fix = startCommand(dir);
  const run = await readRun(dir).catch(() => undefined);
  if (run === undefined || secrets === undefined) {
    return [fail('service', `no node runs in ${dir}`, fix), await freePorts(config)];
  }
  try {
    const health = await askHealth(run, secrets);
    return [
      ok('service', `it runs as process ${run.pid}`),
      ...health.warnings.map((warning) => warn('service', warning, `inkmesh status --dir ${dir}`)),
      await openPorts(config, run),
      reachable(health, run),
      peers(health),
      clock(health),
      printers(health),
    ];
  } catch (thrown) {
    const { message } = asInkmeshError(thrown);
    const isOver = (thrown as NodeJS.ErrnoException).code === 'ECONNREFUSED';
    if (isOver) return [fail('service', `the node in ${dir} has died`, fix), await freePorts(config)];
    const hangs = `the node in ${dir}, process ${run.pid}, is not well: ${message}`;
    return [fail('service', hangs, `end process ${run.pid}, then ${fix}`)];
  }
}
