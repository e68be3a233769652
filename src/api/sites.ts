/** API routes about what the organisation has decided for its sites. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { directoryDoc, policyOf, siteKind, type SitePolicy } from '../../mesh/mod.ts';
import { siteName } from '../../mesh/names.ts';
import { type AdminDoors, requireRegistrar } from './admin.ts';
import { type Api, type ApiEnv, requireAdmin, signedJson } from './app.ts';

/** what changes; the rest stays as it is */
const changes = v.pipe(
  v.partial(siteKind.body),
  v.check((some) => Object.keys(some).length > 0, 'expected something to set'),
);

type SiteDoors = Pick<AdminDoors, 'mesh' | 'directory' | 'log'>;
type SitesKnown = Pick<SiteDoors, 'mesh' | 'directory'>;

/** What holds for a site. */
export interface SiteView extends SitePolicy {
  site: string;
  /** names */
  nodes: string[];
  /** ISO 8601; null where nothing has been decided */
  since: string | null;
}

export function siteRoutes(api: Api, doors: SiteDoors): void {
  api.get('/v1/sites', (c) => {
    requireAdmin(c);
    return c.json(siteViews(doors));
  });
  api.post('/v1/sites/:site', (c) => setSite(c, doors));
}

/** Every site of a node or printer, or about which something has been decided. */
function sitesOf({ mesh, directory }: SitesKnown): string[] {
  const sites = [
    ...mesh.ledger.nodes().map(({ site }) => site),
    ...directory.printers().map(({ site }) => site),
    ...mesh.ledger.all(siteKind.name).map(({ subject }) => subject),
  ];
  return [...new Set(sites)].sort();
}

export function siteViews(doors: SitesKnown): SiteView[] {
  return sitesOf(doors).map((site) => siteView(doors, site));
}

function siteView({ mesh, directory }: SitesKnown, site: string): SiteView {
  const nodes = mesh.ledger.nodes().filter((node) =>
    node.site === site && directory.revokedSince('node', node.peerId) === null
  );
  const decided = mesh.ledger.latest(siteKind.name, site);
  return {
    site,
    ...policyOf(mesh.ledger, site),
    nodes: nodes.map(({ name }) => name),
    since: decided === undefined ? null : new Date(decided.time_ms).toISOString(),
  };
}

async function setSite(c: Context<ApiEnv>, doors: SiteDoors): Promise<Response> {
  requireRegistrar(c, doors);
  const site = check(siteName, c.req.param('site') ?? '');
  const given = check(changes, await signedJson(c));
  const known = sitesOf(doors);
  if (!known.includes(site)) {
    throw new InkmeshError('not-found', `there is no site "${site}"; there is: ${known.join(', ')}`);
  }
  const { ledger } = doors.mesh;
  const before = policyOf(ledger, site);
  await ledger.state(siteKind, () => directoryDoc, site, check(siteKind.body, { ...before, ...given }));
  doors.log('info', 'a site’s policy was set', { site, ...given, by: c.var.by.user });
  return c.json({ ...siteView(doors, site), before, by: c.var.by.user });
}
