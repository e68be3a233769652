/** Two offices whose firewalls let TCP 443 out to a cloud node, and nothing else; with a VPN between them later on. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { Machine } from './hosts/machine.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, prints, untilPrinted } from './hosts/organisation.ts';

const MiB = 1024 * 1024;
const port = 443;
/** a document takes a while by an uplink that is so slow */
const slowBytes = 2 * MiB;
const relayed_ms = 60_000;

if (canIsolate() && requireTools(['nft', 'tc'])) {
  const network = new Network();
  const [siteA, siteB, internet] = [network.site('a'), network.site('b'), network.site('cloud')];
  const cloud = new Machine(network.place('cloud', internet), 'cloud');
  const { address } = cloud.place;
  const uplinks = [siteA, siteB].map((site) => network.uplink(site, internet, { address, port }));
  const org = await HostOrganisation.found(network.place('a1', siteA));
  const { registrar: a1 } = org;
  await org.joinAtRegistrar([cloud], 'cloud');
  const [a2, a3, b1] = [['a2', siteA], ['a3', siteA], ['b1', siteB]].map(([name, site]) =>
    new Machine(network.place(name as string, site as typeof siteA))
  ) as [Machine, Machine, Machine];
  await org.joinAtRegistrar([a2, a3, b1]);
  const edges = [a1, a2, a3, b1];
  await a1.stop();
  for (const machine of edges) machine.configure({ cloud: `https://${address}` });
  cloud.configure({ listen: `0.0.0.0:${port}` });
  await Promise.all([cloud, ...edges].map((machine) => machine.start()));
  const decide = async (setting: 'relay' | 'mesh', value: string) => {
    for (const site of [siteB, siteA]) await org.admin('site', 'set', site.name, setting, value);
  };
  await decide('relay', 'on');
  const printerA = await org.addPrinter(network.place('printer-a', siteA));
  const printerB = await org.addPrinter(network.place('printer-b', siteB));

  test.after(() => org.stop());

  /** Releases at B, again while the relay is not in use yet. */
  const releaseAtB = async (id: string) => {
    const { outcome, reason } = await waitFor(async () => {
      const released = await org.release(id, printerB, b1);
      return released.outcome === 'refused' ? undefined : released;
    }, { deadline_ms: relayed_ms, what: `b1 to reach two holders; ${b1.log().slice(-2000)}` });
    assert.is(outcome, 'sent', reason);
  };

  /** Prints at A and releases at B. @returns octets that left A for the cloud meanwhile */
  const acrossSites = async (bytes: number): Promise<number> => {
    const document = await noise(bytes);
    const before = uplinks[0]?.sent().bytes ?? 0;
    const { id } = await org.print(document, a2);
    await org.inState(b1, id, 'held');
    await releaseAtB(id);
    await untilPrinted(printerB, document.sha256, 1);
    await org.nothingKept(id);
    return (uplinks[0]?.sent().bytes ?? 0) - before;
  };

  test('with no route between the sites, and only TCP 443 open to the cloud, B prints what A keeps', async () => {
    const sent = await acrossSites(3 * MiB);
    assert.ok(sent > 3 * MiB, `${sent} octets left A for the cloud`);
  });
} else test.skip('hosts need network namespaces');

test.run();
