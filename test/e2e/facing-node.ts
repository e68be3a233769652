/** One more node of a running organisation, which faces phones or panels under the site's name. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { files } from '../../src/datadir.ts';
import { freePort } from '../fakes/processes.ts';
import type { Organisation, OrganisationNode } from './organisation.ts';

/** @param roles `front`, `panel` */
export async function addFacingNode(
  org: Organisation,
  name: string,
  roles: readonly string[],
): Promise<void> {
  const [registrar] = org.nodes as [OrganisationNode];
  const wanted = roles.flatMap((role) => ['--role', role]);
  const invite = ['invite', 'node', '--site', org.site, '--dir', registrar.dir, ...wanted];
  const { token } = (await org.ink<{ token: string }>(invite)).json;
  const dir = join(org.dir, name);
  mkdirSync(dir, { mode: 0o700 });
  const ports = {
    ...{ http: await freePort(), mesh: await freePort(), https: await freePort() },
    release: await freePort(),
  };
  writeFileSync(files.config(dir), JSON.stringify({ address: '127.0.0.1', mdns: false, ports }));
  await org.ink(['join', token, '--dir', dir, '--node', name]);
  (org.nodes as OrganisationNode[]).push({ name, dir, ports, pid: 0, alive: false });
  await org.restart(name);
}
