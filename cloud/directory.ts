/**
 * The directory: which nodes are there for a client, which printers where, where a job is kept, and how a source stands.
 * All of it follows from facts and from who is connected to this node; clients ask over HTTPS, nodes by `pass-on`.
 */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, text } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import {
  isCloud,
  type JobBody,
  type Mesh,
  type NodeIdentity,
  type SourceId,
  standingOf,
  subnetOf,
} from '../mesh/mod.ts';
import { fingerprint, printerName, siteName } from '../mesh/names.ts';
import type { Api, ApiEnv } from '../src/api/app.ts';
import { ownJob } from '../src/api/jobs.ts';
import type { Deliverer } from '../src/api/printers.ts';
import type { ClientNode } from '../src/api/submissions.ts';
import type { Directory, Printer } from '../src/directory.ts';
import { directoryLimits } from '../src/limits.ts';
import { deliverers } from '../src/printers/reach.ts';
import { reachSaid } from '../src/printers/reach-kind.ts';
import { addressOf } from '../src/tls-server.ts';

export interface DirectoryDoors {
  mesh: Mesh;
  directory: Directory;
}

/** A printer, and who can bring documents to it now. */
export interface PrinterPlace {
  name: string;
  site: string;
  /** media types; absent where the printer has named none */
  formats?: readonly string[];
  /** names of the nodes of its site that are awake and reach it, or may */
  reached_by: string[];
}

/** A node that keeps a job. */
export interface HolderPlace {
  name: string;
  peer: string;
  awake: boolean;
}

const nodesQuery = v.strictObject({
  site: v.optional(siteName),
  /** IP addresses of the client in its own networks, separated by commas */
  address: v.optional(text(256)),
});
const printersQuery = v.strictObject({ site: v.optional(siteName) });
const sourceQuery = v.strictObject({ token: v.optional(fingerprint) });

export function directoryRoutes(api: Api, doors: DirectoryDoors): void {
  const { mesh, directory } = doors;
  api.get('/v1/directory/nodes', (c) => {
    const { site, address } = check(nodesQuery, c.req.query());
    const addresses = [...address?.split(',') ?? [], addressOf(c.env)];
    return c.json(nodesNear(mesh, site, addresses.slice(-directoryLimits.maxAddresses)));
  });
  api.get('/v1/directory/printers', (c) => {
    const { site } = check(printersQuery, c.req.query());
    const printers = directory.printers().filter((printer) => site === undefined || printer.site === site);
    return c.json(printers.slice(0, directoryLimits.maxPrinters).map((printer) => placeOf(mesh, printer)));
  });
  api.get('/v1/directory/jobs/:id/holders', (c) => c.json(holdersOf(mesh, ownJob(c, doors).body as JobBody)));
  api.get('/v1/directory/source', (c) => {
    const { token } = check(sourceQuery, c.req.query());
    const { user, device } = c.var.by;
    const source: SourceId = token === undefined
      ? { credential: { user, device } }
      : { token: Uint8Array.fromHex(token) };
    const standing = standingOf(mesh.ledger, source, mesh.now_ms());
    // of tokens of others it says nothing
    const known = standing.owner?.user === user || c.var.by.roles.includes('admin');
    return c.json(known ? standing : { standing: 'unknown', owner: null, since_ms: null });
  });
  // as at an edge node, which the release pages ask the same
  api.get('/v1/printers/:name/nodes', (c) => {
    const printer = directory.printer(check(printerName, c.req.param('name')));
    return c.json(deliverersOf(mesh, printer));
  });
  const away = (c: Context<ApiEnv>): never => {
    throw new InkmeshError(
      'unavailable',
      `no node that could do this is connected to ${mesh.self.name} now: is one of that site awake?`,
      { job: c.req.param('id') ?? '' },
    );
  };
  // the pages ask this node only where they know of no other
  api.post('/v1/jobs/:id/release', away);
  api.post('/v1/jobs/:id/cancel', away);
}

const edges = (mesh: Mesh): NodeIdentity[] =>
  mesh.members().map(({ identity }) => identity).filter((node) => !isCloud(node));

const clientNode = (mesh: Mesh, { name, site, peerId: peer }: NodeIdentity): ClientNode => ({
  ...{ name, site, peer },
  at: mesh.clientAddresses(peer).slice(0, directoryLimits.maxAddresses),
});

/** Those of the client's own network first, then those of its site; without a site of all. */
function nodesNear(mesh: Mesh, site: string | undefined, addresses: readonly string[]): ClientNode[] {
  const nets = new Set(addresses.flatMap((ip) => subnetOf(`/ip${ip.includes(':') ? 6 : 4}/${ip}`) ?? []));
  const isNear = ({ peerId }: NodeIdentity) =>
    mesh.addressesOf(peerId).some((address) => nets.has(subnetOf(address) ?? ''));
  const ranked = edges(mesh).map((node) => ({
    node,
    near: isNear(node),
    front: node.roles.includes('front'),
  }))
    .filter(({ node, near }) => near || site === undefined || node.site === site)
    .sort((a, b) => Number(b.near) - Number(a.near) || Number(b.front) - Number(a.front));
  return ranked.map(({ node }) => clientNode(mesh, node)).filter(({ at }) => at.length > 0)
    .slice(0, directoryLimits.maxNodes);
}

function placeOf(mesh: Mesh, printer: Printer): PrinterPlace {
  const { name, site, formats } = printer;
  const reached_by = deliverersOf(mesh, printer).map((node) => node.name);
  return { name, site, ...(formats === undefined ? {} : { formats }), reached_by };
}

/** The connected nodes of a printer's site that reach it, or may, the best first. */
function deliverersOf(mesh: Mesh, { name, site }: Printer): Deliverer[] {
  const nodes = edges(mesh).filter((node) => node.site === site).map((node) => ({
    ...{ node, site: node.site, here: false },
    reaches: reachSaid(mesh.ledger, node.peerId, name),
  }));
  return deliverers(nodes, site).slice(0, directoryLimits.maxNodes).map(({ node, reaches }) => ({
    ...clientNode(mesh, node),
    ...{ here: false, reaches: reaches ?? null },
  }));
}

function holdersOf(mesh: Mesh, { holders }: JobBody): HolderPlace[] {
  const awake = new Set(edges(mesh).map(({ peerId }) => peerId));
  return holders.map((peer) => ({ name: mesh.nameOf(peer), peer, awake: awake.has(peer) }));
}
