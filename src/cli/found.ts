/** Makes the identities that nobody else has to give: a registrar’s node and its administrator. */
import { hostname, networkInterfaces } from 'node:os';
import {
  type Authority,
  certifyNode,
  generateHostKey,
  generateKeys,
  generateSealKey,
  issueUser,
} from '../../mesh/mod.ts';
import type { Role } from '../../mesh/names.ts';
import { files, writeCredential, writeNode } from '../datadir.ts';

/** Makes an administrator’s credential in a data directory. @returns its path */
export async function writeAdmin(dir: string, authority: Authority, site: string): Promise<string> {
  const path = files.adminCredential(dir);
  const keys = await generateKeys();
  const subject = {
    user: 'admin',
    device: crypto.randomUUID(),
    roles: ['admin'] as const,
    publicKey: keys.publicKey,
  };
  const leaf = await issueUser(authority, subject, Date.now());
  const { root } = authority.trust;
  await writeCredential(path, {
    user: 'admin',
    site,
    keys,
    leaf,
    issuers: [authority.meshIssuer.der],
    root,
    token: null,
  });
  return path;
}

/** Makes a directory that of a registrar’s node, with a new identity, and further roles. */
export async function writeRegistrarNode(
  dir: string,
  authority: Authority,
  { name, site, roles = [] }: { name: string; site: string; roles?: readonly Role[] },
): Promise<void> {
  const { hostKey, peerId } = await generateHostKey();
  const keys = await generateKeys();
  const all = [...new Set<Role>(['registrar', ...roles])];
  const subject = { name, site, peerId, roles: all, publicKey: keys.publicKey };
  const given = await certifyNode(authority, subject, ownIps(), Date.now());
  const { root } = authority.trust;
  await writeNode(dir, { ...given, hostKey, keys, root, sealKey: await generateSealKey(), registrars: [] });
}

/** What this machine calls itself, as the name of a node. */
export function machineName(): string {
  const name = hostname().toLowerCase().split('.')[0]?.replaceAll(/[^a-z0-9-]+/g, '-').replaceAll(
    /^-+|-+$/g,
    '',
  );
  return name === undefined || name === '' ? 'node' : name.slice(0, 63);
}

export function ownIps(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => list ?? []).map(({ address }) => address);
}
