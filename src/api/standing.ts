/** API routes about who belongs to the organisation: its nodes, revocation, registrars, devices and their renewal. */
import { X509Certificate } from 'node:crypto';
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { exportBackup, nameTaken, type NodeIdentity, reservedFor, type Revocable } from '../../mesh/mod.ts';
import { userName, uuid } from '../../mesh/names.ts';
import { type AdminDoors, requireRegistrar } from './admin.ts';
import { type Api, type ApiEnv, requireAdmin, signedJson } from './app.ts';

const nothing = v.strictObject({});
const renewal = v.strictObject({ proof: text(32 * 1024) });

type NodeDoors = Pick<AdminDoors, 'mesh' | 'directory'>;

export function nodeRoutes(api: Api, doors: NodeDoors): void {
  api.get('/v1/nodes', (c) => c.json(doors.mesh.ledger.nodes().map((node) => nodeView(doors, node))));
}

/** Who states what an administrator decides: this node, or a registrar that it reaches and passes requests on to. */
export interface RegistrarView {
  name: string;
  /** PeerId; null for this node itself */
  peer: string | null;
}

/** @throws InkmeshError `unavailable` when no registrar can be reached */
async function reachedRegistrar({ mesh, directory }: NodeDoors): Promise<RegistrarView> {
  if (mesh.membership.isRegistrar()) return { name: mesh.self.name, peer: null };
  const near = new Set(mesh.members().map(({ identity }) => identity.peerId));
  const registrars = mesh.ledger.nodes()
    .filter(({ roles, peerId }) =>
      roles.includes('registrar') && directory.revokedSince('node', peerId) === null
    )
    .sort((a, b) => Number(near.has(b.peerId)) - Number(near.has(a.peerId)));
  for (const { name, peerId } of registrars) if (await mesh.reaches(peerId)) return { name, peer: peerId };
  const names = registrars.map(({ name }) => name).join(' or ');
  throw new InkmeshError(
    'unavailable',
    `this node is no registrar and reaches none: run the command on ${names}, or turn relay on for both sites`,
  );
}

export function standingRoutes(api: Api, doors: AdminDoors): void {
  const { directory, mesh } = doors;
  nodeRoutes(api, doors);
  api.get('/v1/devices', (c) => {
    requireAdmin(c);
    const user = c.req.query('user');
    return c.json(directory.devices().filter((device) => user === undefined || device.user === user));
  });
  api.get('/v1/registrar', async (c) => {
    requireAdmin(c);
    return c.json(await reachedRegistrar(doors));
  });
  api.post('/v1/nodes/:name/revoke', (c) => revokeNode(c, doors));
  api.post('/v1/users/:name/revoke', (c) => revokeUser(c, doors));
  api.post('/v1/devices/:id/revoke', (c) => revokeDevice(c, doors));
  api.post('/v1/nodes/:name/registrar', (c) => appoint(c, doors));
  renewalRoutes(api, doors);
  api.post('/v1/export', async (c) => {
    requireRegistrar(c, doors);
    check(nothing, await signedJson(c));
    const { authority } = mesh.membership.self;
    if (authority === undefined) throw new InkmeshError('forbidden', 'this node is no registrar');
    const { file, passphrase } = await exportBackup(authority, doors.state);
    doors.log('info', 'the organisation was exported', { by: c.var.by.user });
    return c.json({ file: file.toBase64(), passphrase });
  });
}

function nodeView({ mesh, directory }: NodeDoors, node: NodeIdentity): object {
  const { name, site, roles, peerId, notAfter } = node;
  const self = peerId === mesh.self.peerId;
  return {
    ...{ name, site, roles, self },
    peer: peerId,
    connected: self || mesh.members().some(({ identity }) => identity.peerId === peerId),
    certificate_expires: new Date(notAfter).toISOString(),
    revoked: directory.revokedSince('node', peerId),
    /** another node had this one's name first */
    name_taken: nameTaken(mesh.ledger, name, peerId),
    suspicions: mesh.ledger.suspects().filter(({ peer }) => peer === peerId).map(({ reason }) => reason),
  };
}

/** A device's certificate, renewed by a registrar. */
export function renewalRoutes(api: Api, { mesh }: Pick<AdminDoors, 'mesh'>): void {
  api.post('/v1/credential', async (c) => {
    const { proof } = check(renewal, await signedJson(c));
    const { leaf, issuers } = await mesh.membership.renewDevice(proof);
    return c.json({
      leaf: leaf.toBase64(),
      issuers: issuers.map((der) => der.toBase64()),
      expires: new Date(new X509Certificate(leaf).validTo).toISOString(),
    });
  });
}

async function revokeNode(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  const { mesh, directory } = doors;
  const node = await named(c, doors).catch((unknown: unknown) => {
    // it was enrolled, and has never been seen: its name is free again when it is revoked
    const name = c.req.param('name') ?? '';
    const peerId = reservedFor(mesh.ledger, name);
    if (peerId === undefined || mesh.ledger.identity(peerId) !== undefined) throw unknown;
    return { name, peerId };
  });
  const standing = mesh.ledger.nodes().filter((one) => directory.revokedSince('node', one.peerId) === null);
  const left = standing.filter((one) => one.roles.includes('registrar') && one.peerId !== node.peerId);
  if (left.length === 0) {
    throw new InkmeshError(
      'conflict',
      `${node.name} is the only registrar: make another one first (inkmesh registrar add NAME)`,
    );
  }
  if (node.peerId === mesh.self.peerId) {
    const others = left.map(({ name }) => name).join(' or ');
    throw new InkmeshError('conflict', `a registrar is revoked by another one: run the command on ${others}`);
  }
  return await revoke(c, doors, 'node', node.peerId, node.name);
}

async function revokeUser(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  check(nothing, await signedJson(c));
  const name = check(userName, c.req.param('name') ?? '');
  if (doors.directory.user(name) === undefined && name !== c.var.by.user) {
    throw new InkmeshError('not-found', `there is no user "${name}": see inkmesh user list`);
  }
  if (name === c.var.by.user) {
    throw new InkmeshError('conflict', 'this is you: let another administrator do it');
  }
  return await revoke(c, doors, 'user', name, name);
}

async function revokeDevice(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  check(nothing, await signedJson(c));
  const id = check(uuid, c.req.param('id') ?? '');
  if (id === c.var.by.device) {
    throw new InkmeshError(
      'conflict',
      'this is the device that you act with: let another administrator do it',
    );
  }
  if (!doors.directory.devices().some((device) => device.id === id)) {
    throw new InkmeshError('not-found', `there is no device ${id}: see inkmesh device list`);
  }
  return await revoke(c, doors, 'device', id, id);
}

async function revoke(
  c: Context<ApiEnv>,
  { directory, log }: AdminDoors,
  what: Revocable,
  id: string,
  name: string,
): Promise<Response> {
  // once is for good: a second fact would say nothing
  if (directory.revokedSince(what, id) === null) {
    await directory.revoke(what, id);
    log('info', `a ${what} was revoked`, { [what]: id, by: c.var.by.user });
  }
  return c.json({ [what]: name, id, revoked: directory.revokedSince(what, id) });
}

async function appoint(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  const { name, peerId } = await named(c, doors);
  if (peerId === doors.mesh.self.peerId) {
    throw new InkmeshError('conflict', `${name} is a registrar: this is it`);
  }
  await doors.mesh.membership.appoint(peerId);
  doors.log('info', 'a registrar was added', { node: name, by: c.var.by.user });
  return c.json({ node: name, peer: peerId, registrar: true });
}

/** The node that the path names, by its name or its PeerId. @throws InkmeshError `not-found`, `conflict` */
async function named(c: Context<ApiEnv>, doors: AdminDoors): Promise<NodeIdentity> {
  requireRegistrar(c, doors);
  check(nothing, await signedJson(c));
  const name = check(text(64), c.req.param('name') ?? '');
  const nodes = doors.mesh.ledger.nodes();
  const standing = nodes.filter((node) =>
    node.name === name && doors.directory.revokedSince('node', node.peerId) === null
  );
  const [found = nodes.find((node) => node.peerId === name || node.name === name), second] = standing;
  if (found === undefined) {
    throw new InkmeshError('not-found', `there is no node "${name}": see inkmesh node list`);
  }
  if (second !== undefined) {
    const peers = standing.map(({ peerId }) => peerId).join(' or ');
    throw new InkmeshError('conflict', `more than one node is called "${name}": name it by ${peers}`);
  }
  return found;
}
