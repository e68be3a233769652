/**
 * How a node is, for `inkmesh doctor` on its own machine: whoever may read the node's key file may ask, and needs no
 * credential. A GET of `/health` with `Authorization: Bearer` and the key.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Hono } from 'hono';
import { type Mesh, relayOf } from '../../mesh/mod.ts';
import type { Directory } from '../directory.ts';
import { healthLimits } from '../limits.ts';
import { inParallel } from '../printers/parallel.ts';
import { canReach } from '../printers/reach-watch.ts';
import type { SnmpSettings } from '../printers/snmp-settings.ts';
import { warningsOf } from '../warnings.ts';

export interface Health {
  /** names of connected nodes */
  members: string[];
  /** whether it is a registrar that has never met another node */
  alone: boolean;
  /** names of connected registrars */
  registrars: string[];
  /** who has tried to connect to this node just now; null where that could not be tried */
  probed: { name: string; reachable: boolean | null }[];
  /** names of the relays that others reach this node through */
  relays: string[];
  /** this machine's clock less what the members agree on, milliseconds; null without members */
  clockOff_ms: number | null;
  /** of this site; null where that cannot be told */
  printers: { name: string; reached: boolean | null }[];
  warnings: string[];
}

export interface HealthOptions {
  mesh: Mesh;
  /** secret of the node's key file */
  sealKey: string;
  directory: Directory;
  /** null: SNMP is not asked */
  snmp: SnmpSettings | null;
}

const path = '/health';

export const isHealth = ({ url }: Pick<Request, 'url'>): boolean => new URL(url).pathname === path;

/** @param sealKey secret of the node's key file */
export function healthKey(sealKey: string): string {
  return createHmac('sha256', sealKey).update('inkmesh health 1').digest('base64url');
}

export function healthApp(options: HealthOptions): Hono {
  const app = new Hono();
  const expected = Buffer.from(`Bearer ${healthKey(options.sealKey)}`);
  app.get(path, async (c) => {
    const given = Buffer.from(c.req.header('authorization') ?? '');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return c.body(null, 401);
    return c.json(await health(options));
  });
  return app;
}

function relaysOf(mesh: Mesh): string[] {
  const relays = mesh.addresses().flatMap((address) => relayOf(address) ?? []);
  return [...new Set(relays)].map((peer) => mesh.nameOf(peer));
}

async function health({ mesh, directory, snmp }: HealthOptions): Promise<Health> {
  const connected = mesh.members().map(({ identity }) => identity);
  const members = connected.map(({ name }) => name);
  const near = directory.printers().filter(({ site }) => site === mesh.self.site).slice(
    0,
    healthLimits.maxPrinters,
  );
  const reached = new Map<string, boolean | null>();
  const trying = inParallel(near, healthLimits.atOnce, async (printer) => {
    reached.set(printer.name, await canReach(printer, snmp) ?? null);
  });
  const [probed] = await Promise.all([mesh.probed(), trying]);
  const others = mesh.ledger.nodes().filter(({ peerId }) =>
    peerId !== mesh.self.peerId && directory.revokedSince('node', peerId) === null
  );
  return {
    members,
    alone: mesh.self.roles.includes('registrar') && others.length === 0,
    registrars: connected.filter(({ roles }) => roles.includes('registrar')).map(({ name }) => name),
    probed: probed.map(({ peer, reachable }) => ({ name: mesh.nameOf(peer), reachable })),
    relays: relaysOf(mesh),
    clockOff_ms: members.length === 0 ? null : Date.now() - mesh.now_ms(),
    printers: near.map(({ name }) => ({ name, reached: reached.get(name) ?? null })),
    warnings: warningsOf(mesh),
  };
}
