import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tempDir } from '../fakes/processes.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { type Accepted, HostOrganisation, noise } from './hosts/organisation.ts';
import { Machine } from './hosts/machine.ts';

/** from the moment when the last of them is ready */
const mdns_ms = 3000;
const maxTries = 4;

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

  /** Starts everything but the registrar, whose address is the only one that they know. */
  const startUnmet = async () => {
    for (const machine of joined) {
      await machine.stop();
      machine.forget();
    }
    // one after the other: the time that counts begins with the last
    for (const machine of [...other, ...lan]) await machine.start();
  };

  const findEachOther = async () => {
    const late_ms = performance.now() + mdns_ms;
    for (const machine of lan) {
      await machine.untilMembers(org.ada, names(lan, machine), Math.max(1, late_ms - performance.now()));
    }
  };

  test('mDNS finds every node of a LAN within 3 s, and nothing of it passes the router', async () => {
    await org.registrar.stop();
    // a machine that is busy with other tests may be slow once
    for (let tries = 1;; tries++) {
      await startUnmet();
      try {
        await findEachOther();
        break;
      } catch (error) {
        if (tries === maxTries) throw error;
      }
    }
    for (const machine of other) await machine.untilMembers(org.ada, names(other, machine));
    for (const machine of lan) await machine.untilMembers(org.ada, names(lan, machine));
  });

  test('the other LAN is reached by address', async () => {
    await org.registrar.start();
    await org.connected();
  });

  test('a machine without a node finds one by mDNS, and prints there', async () => {
    const guest = new Machine(network.place('guest', site));
    try {
      const credential = join(tempDir(), 'ada');
      copyFileSync(org.ada, credential);
      const { file } = await noise(200_000);
      const { holders } = await guest.run<Accepted>('print', file, '--credential', credential);
      assert.is(holders.length, 3);
    } finally {
      await guest.close();
    }
  });
} else test.skip('hosts need network namespaces');

test.run();
