/** Commands about what the organisation has decided for its sites. */
import { maxRetention_ms, minRetention_ms, type SitePolicy } from '../../mesh/mod.ts';
import type { SiteView } from '../api/sites.ts';
import { adminClient } from './client.ts';
import { type Command, duration, option, table, UsageError } from './command.ts';

const common = { dir: option.text, credential: option.text } as const;

export const siteList: Command = {
  name: 'site list',
  usage: '--dir DIR',
  about: 'the organisation’s sites, and what holds for each',
  options: common,
  positionals: 0,
  run: async (args) => {
    const sites = await (await adminClient(args)).get<SiteView[]>('/v1/sites');
    const rows = sites.map((view) => [
      ...[view.site, said.relay(view), said.mesh(view), said.retention(view), said.degraded(view)],
      view.nodes.join(','),
    ]);
    return {
      json: sites,
      text: table([['SITE', 'RELAY', 'MESH', 'RETENTION', 'DEGRADED', 'NODES'], ...rows]),
    };
  },
};

/** Values of policies as they are given and shown. */
const said = {
  relay: (policy: SitePolicy) => policy.relay ? 'on' : 'off',
  mesh: (policy: SitePolicy) => policy.mesh,
  retention: (policy: SitePolicy) => {
    const minutes = policy.retention_ms / 60_000;
    return minutes % 1440 === 0
      ? `${minutes / 1440}d`
      : minutes % 60 === 0
      ? `${minutes / 60}h`
      : `${minutes}m`;
  },
  degraded: (policy: SitePolicy) => policy.degraded,
  cloud: (policy: SitePolicy) => policy.cloud ?? 'accept',
} as const;
type Setting = keyof typeof said;

interface Set extends SiteView {
  before: SitePolicy;
  by: string;
}

export const siteSet: Command = {
  name: 'site set',
  usage:
    'SITE (relay on|off | mesh organisation|site | retention 8h | degraded refuse|accept | cloud refuse|accept) --dir DIR',
  about: 'decide what holds for a site',
  options: common,
  positionals: 3,
  run: async (args) => {
    const [site, setting, value] = [args.at(0), args.at(1), args.at(2)];
    if (!isSetting(setting)) throw new UsageError(`a site has: ${Object.keys(said).join(', ')}`);
    const path = `/v1/sites/${encodeURIComponent(site)}`;
    const done = await (await adminClient(args)).post<Set>(path, changeOf(setting, value));
    const [was, is] = [said[setting](done.before), said[setting](done)];
    return { json: done, text: `${site}: ${setting} ${was} -> ${is}, by ${done.by}, since ${done.since}` };
  },
};

const isSetting = (name: string): name is Setting => name in said;

/** @throws UsageError */
function changeOf(setting: Setting, value: string): Partial<SitePolicy> {
  const one = <T extends string>(...allowed: readonly T[]): T => {
    const found = allowed.find((word) => word === value);
    if (found === undefined) throw new UsageError(`${setting} is ${allowed.join(' or ')}`);
    return found;
  };
  if (setting === 'relay') return { relay: one('on', 'off') === 'on' };
  if (setting === 'mesh') return { mesh: one('organisation', 'site') };
  if (setting === 'degraded') return { degraded: one('refuse', 'accept') };
  if (setting === 'cloud') return { cloud: one('refuse', 'accept') };
  const retention_ms = duration(value, 'retention');
  if (retention_ms < minRetention_ms || retention_ms > maxRetention_ms) {
    throw new UsageError('retention is from 30m to 7d');
  }
  return { retention_ms };
}
