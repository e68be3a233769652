import { test } from 'uvu';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation } from './hosts/organisation.ts';
import type { Machine } from './hosts/machine.ts';

/** from the moment when the last of them is ready */
const mdns_ms = 3000;

if (canIsolate()) {
  const network = new Network();
  const site = network.site('a', { lans: 2 });
  const org = await HostOrganisation.found(network.place('a1', site));
  const joined = await org.join([
    ...['a2', 'a3', 'a4'].map((name) => network.place(name, site)),
    ...['a5', 'a6'].map((name) => network.place(name, site, 2)),
  ]);
  const lan = joined.slice(0, 3);
  const other = joined.slice(3);
  const names = (machines: readonly Machine[], but: Machine) =>
    machines.filter((machine) => machine !== but).map(({ name }) => name);

  test.after(() => org.stop());

  test('mDNS finds every node of a LAN, and nothing of it passes the router', async () => {
    // the only address that the others know is that of the registrar
    await org.registrar.stop();
    await Promise.all(joined.map((machine) => machine.start()));
    const soon = performance.now() + mdns_ms;
    for (const machine of lan) {
      await machine.untilMembers(org.ada, names(lan, machine), Math.max(1, soon - performance.now()));
    }
    for (const machine of other) await machine.untilMembers(org.ada, names(other, machine));
    for (const machine of lan) await machine.untilMembers(org.ada, names(lan, machine), 1000);
  });

  test('the other LAN is reached by address', async () => {
    await org.registrar.start();
    await org.connected();
  });
} else test.skip('hosts need network namespaces');

test.run();
