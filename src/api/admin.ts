/** API routes of administrators: nodes, users, invitations; and the node's status. */
import type { Context } from 'hono';
import * as v from 'valibot';
import { check, integer, text } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import {
  formatToken,
  hashSecret,
  isCloud,
  type Log,
  maxInviteLife_ms,
  maxInviteUses,
  maxTokenLife_ms,
  type Mesh,
  newSecret,
  relayOf,
  socketUrl,
  type Storage,
  type Trust,
} from '../../mesh/mod.ts';
import { role, siteName, userName } from '../../mesh/names.ts';
import { nodeAddress } from '../config.ts';
import type { Directory } from '../directory.ts';
import { verifiersOf } from '../panel/lock.ts';
import { type Api, type ApiEnv, requireAdmin, signedJson } from './app.ts';

export interface AdminDoors {
  mesh: Mesh;
  trust: Trust;
  directory: Directory;
  state: Pick<Storage, 'facts' | 'invites' | 'addresses'>;
  log: Log;
  status(): Promise<object>;
  /** an address of the release pages at this node's site */
  link(path: string): string;
}

/** a token has room for so many; cloud nodes come last */
const maxTokenAddresses = 8;
const maxTokenClouds = 2;

const inviteRequest = v.strictObject({
  site: siteName,
  uses: integer(1, maxInviteUses),
  life_ms: integer(1000, maxInviteLife_ms),
  roles: v.pipe(v.array(role), v.maxLength(5)),
  /** where it is redeemed: registrars and cloud nodes; those that are known here where there are none */
  at: v.optional(v.pipe(v.array(nodeAddress), v.maxLength(maxTokenAddresses)), []),
});
const userRequest = v.strictObject({ name: userName, email: v.optional(text(254)) });
const userInviteRequest = v.strictObject({
  life_ms: integer(1000, maxInviteLife_ms),
  tokenLife_ms: integer(1000, maxTokenLife_ms),
  /** the device becomes an administrator's */
  admin: v.optional(v.boolean(), false),
});
export function adminRoutes(api: Api, doors: AdminDoors): void {
  api.get('/v1/status', async (c) => c.json(await doors.status()));
  api.get('/v1/users', (c) => {
    requireAdmin(c);
    const { directory } = doors;
    return c.json(
      directory.users().map((user) => ({
        ...{ ...user, revoked: directory.revokedSince('user', user.name) },
        ...verifiersOf(doors.mesh.ledger, user.name),
      })),
    );
  });
  api.post('/v1/invites', (c) => inviteNode(c, doors));
  api.post('/v1/users', async (c) => {
    requireRegistrar(c, doors);
    const { name, email } = check(userRequest, await signedJson(c));
    return c.json(await doors.directory.addUser(name, email));
  });
  api.post('/v1/users/:name/invite', (c) => inviteUser(c, doors));
}

async function inviteNode(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  const { site, uses, life_ms, roles: wanted, at } = check(inviteRequest, await signedJson(c));
  // a cloud node is a relay
  const roles = [...new Set(wanted.includes('cloud') ? [...wanted, 'relay'] : wanted)];
  const given = { kind: 'node', site, user: null, roles, uses, life_ms, tokenLife_ms: null } as const;
  return c.json(invite(doors, { ...given, at }));
}

async function inviteUser(c: Context<ApiEnv>, doors: AdminDoors): Promise<Response> {
  requireRegistrar(c, doors);
  const { life_ms, tokenLife_ms, admin } = check(userInviteRequest, await signedJson(c));
  const name = check(userName, c.req.param('name') ?? '');
  if (doors.directory.revokedSince('user', name) !== null) {
    throw new InkmeshError('conflict', `the user ${name} is revoked`);
  }
  if (doors.directory.user(name) === undefined) {
    throw new InkmeshError('not-found', `there is no user "${name}": inkmesh user add ${name}`);
  }
  const { site } = doors.mesh.self;
  const roles = admin ? ['admin'] : [];
  const wanted = { kind: 'user', site, user: name, uses: 1, life_ms, tokenLife_ms } as const;
  const { token, expires } = invite(doors, { ...wanted, roles });
  const [cloud] = cloudUrls(doors);
  return c.json({
    ...{ token, expires, link: hasFront(doors) ? doors.link(pageOf(token)) : null },
    // a secret of its own: the cloud node sees it, and may redeem it without a page
    cloud_link: cloud === undefined
      ? null
      : cloud + pageOf(invite(doors, { ...wanted, roles: [...roles, 'cloud'] }).token),
  });
}

/** After the # it stays in the browser. */
const pageOf = (token: string): string => `/enrol#${token}`;

/** Where the pages of the organisation's cloud nodes are, as these say. */
function cloudUrls({ mesh, directory }: AdminDoors): string[] {
  const clouds = mesh.ledger.nodes().filter((node) =>
    isCloud(node) && directory.revokedSince('node', node.peerId) === null
  );
  return clouds.flatMap(({ peerId }) => mesh.addressesOf(peerId))
    .flatMap((address) => socketUrl(address) ?? []);
}

/** Where this node can be dialled, then the cloud nodes that lead to it from anywhere. */
function placesOf(doors: AdminDoors): string[] {
  const direct = doors.mesh.addresses().filter((address) => relayOf(address) === null);
  const clouds = cloudUrls(doors).slice(0, maxTokenClouds);
  return [...direct.slice(0, maxTokenAddresses - clouds.length), ...clouds];
}

/** Whether a node of this site faces phones. */
function hasFront({ mesh, directory }: AdminDoors): boolean {
  return mesh.ledger.nodes().some(({ site, roles, peerId }) =>
    site === mesh.self.site && roles.includes('front') && directory.revokedSince('node', peerId) === null
  );
}

function invite(
  doors: AdminDoors,
  wanted: {
    kind: 'node' | 'user';
    site: string;
    user: string | null;
    roles: readonly string[];
    uses: number;
    life_ms: number;
    tokenLife_ms: number | null;
    at?: readonly string[];
  },
): { token: string; expires: string } {
  const secret = newSecret();
  const expires = Date.now() + wanted.life_ms;
  const { kind, site, user, roles, uses, tokenLife_ms, at = [] } = wanted;
  doors.state.invites.put({
    secretHash: hashSecret(secret),
    kind,
    site,
    user,
    roles: [...roles],
    usesLeft: uses,
    expires_ms: expires,
    tokenLife_ms,
  });
  const root = new Uint8Array(Buffer.from(doors.trust.fingerprint, 'hex'));
  const addresses = (at.length > 0 ? at : placesOf(doors)).slice(0, maxTokenAddresses);
  const common = { root, secret, site, expires, addresses };
  const token = formatToken(user === null ? { kind: 'node', ...common } : { kind: 'user', user, ...common });
  return { token, expires: new Date(expires).toISOString() };
}

/** @throws InkmeshError `forbidden` unless an administrator asks, and this node is a registrar */
export function requireRegistrar(c: Context<ApiEnv>, doors: Pick<AdminDoors, 'mesh'>): void {
  requireAdmin(c);
  const { membership, ledger } = doors.mesh;
  if (membership.isRegistrar()) return;
  const registrars = ledger.nodes().filter((node) => node.roles.includes('registrar')).map(({ name }) =>
    name
  );
  throw new InkmeshError(
    'forbidden',
    `this node is no registrar: run the command on ${registrars.join(' or ')}`,
  );
}
