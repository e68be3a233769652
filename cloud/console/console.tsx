/**
 * The operators' page: sites with their relay and scope, nodes, and what was decided. Its shell is the same for everybody;
 * what is in it is made for an administrator who has signed for it, and what an administrator decides is signed for a
 * registrar, to which this node passes it on. Each decision is a command (`inkmesh site set`) and an API call too.
 */
import type { Hono } from 'hono';
import type { Mesh } from '../../mesh/mod.ts';
import { type Api, requireAdmin } from '../../src/api/app.ts';
import { siteViews } from '../../src/api/sites.ts';
import type { Directory } from '../../src/directory.ts';
import { headers } from '../../src/release/headers.ts';
import type { CloudDb } from '../db.ts';
import type { Trail } from '../trail.ts';
import { Overview, Shell } from './pages.tsx';

export interface ConsoleDoors {
  mesh: Mesh;
  directory: Directory;
  db: Pick<CloudDb, 'seen'>;
  trail: Pick<Trail, 'operators'>;
  relayed(): ReadonlyMap<string, number>;
}

const maxTrail = 50;

export function consoleApi(api: Api, { mesh, directory, db, trail, relayed }: ConsoleDoors): void {
  api.get('/app/console', (c) => {
    requireAdmin(c);
    const seen = db.seen();
    const connected = new Set([mesh.self.peerId, ...mesh.members().map(({ identity }) => identity.peerId)]);
    const nodes = mesh.ledger.nodes().map(({ name, site, roles, peerId }) => ({
      ...{ name, site, roles, connected: connected.has(peerId) },
      seen_ms: seen.get(peerId) ?? null,
      revoked: directory.revokedSince('node', peerId) !== null,
    }));
    const bytes = relayed();
    const sites = siteViews({ mesh, directory })
      // a relay's own site, where nobody works, has nothing to be decided
      .filter(({ site }) => nodes.some((node) => node.site === site && !node.roles.includes('relay')))
      .map((view) => ({ ...view, relayed: bytes.get(view.site) ?? 0 }));
    const registrar = mesh.members().find(({ identity }) => identity.roles.includes('registrar'))?.identity;
    return c.html(
      <Overview
        sites={sites}
        nodes={nodes}
        trail={trail.operators(maxTrail)}
        registrar={registrar?.peerId}
      />,
    );
  });
}

export function consolePages(app: Hono): void {
  app.use('/console', headers);
  app.get('/console', (c) => c.html(<Shell />, 200, { 'cache-control': 'no-cache' }));
}
