import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../fakes/processes.ts';
import type { Machine } from './hosts/machine.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network, type Traffic } from './hosts/network.ts';
import { HostOrganisation, noise, untilPrinted } from './hosts/organisation.ts';

/** from the decision to the end of every connection that it forbids */
const closed_ms = 5000;
const quiet_ms = 1000;

if (canIsolate()) {
  const network = new Network();
  const [siteA, siteB] = [network.site('a'), network.site('b')];
  const vpn = network.vpn(siteA, siteB);
  const org = await HostOrganisation.found(network.place('a1', siteA));
  const joined = await org.join([
    ...['a2', 'a3'].map((name) => network.place(name, siteA)),
    ...['b1', 'b2', 'b3'].map((name) => network.place(name, siteB)),
  ]);
  await Promise.all(joined.map((machine) => machine.start()));
  await org.connected();
  const sites = [siteA, siteB].map((site) => org.machines.filter(({ place }) => place.site === site));
  const printers = [
    await org.addPrinter(network.place('printer-a', siteA)),
    await org.addPrinter(network.place('printer-b', siteB)),
  ];

  test.after(() => org.stop());

  /** Waits until the connections that end have said so. @returns what has passed by then */
  const quiet = async (): Promise<Traffic> => {
    let last = { traffic: vpn.traffic(), since: performance.now() };
    await waitFor(() => {
      const traffic = vpn.traffic();
      if (traffic.packets !== last.traffic.packets) last = { traffic, since: performance.now() };
      return performance.now() - last.since > quiet_ms ? true : undefined;
    }, { deadline_ms: 20_000, what: 'silence on the VPN' });
    return last.traffic;
  };

  const printAt = async ([one, other]: readonly Machine[], printer: Machine) => {
    const document = await noise(200_000);
    const { id } = await org.print(document, one as Machine);
    assert.is((await org.release(id, printer, other as Machine)).outcome, 'sent');
    await untilPrinted(printer, document.sha256, 1);
    await org.nothingKept(id);
  };

  test('sites that keep to themselves close what is not allowed within 5 s', async () => {
    // the registrar's own site last, or the decision would not reach the other
    await org.admin('site', 'set', 'b', 'mesh', 'site');
    await org.admin('site', 'set', 'a', 'mesh', 'site');
    const late_ms = performance.now() + closed_ms;
    await Promise.all(sites.flatMap((machines) =>
      machines.map((machine) => {
        const others = machines.filter((other) => other !== machine).map(({ name }) => name);
        return machine.untilMembers(org.ada, others, late_ms - performance.now());
      })
    ));
  });

  test('both sites print on their own, and not one packet passes the VPN', async () => {
    const before = await quiet();
    for (const [i, machines] of sites.entries()) await printAt(machines, printers[i] as Machine);
    assert.equal(vpn.traffic(), before);
  });

  test('a node that starts anew does not try the other site either', async () => {
    const [, , b3] = sites[1] as [Machine, Machine, Machine];
    const before = await quiet();
    await b3.stop();
    await b3.start();
    await b3.untilMembers(org.ada, ['b1', 'b2']);
    await printAt([b3, ...sites[1] as Machine[]], printers[1] as Machine);
    assert.equal(vpn.traffic(), before);
  });
} else test.skip('hosts need network namespaces');

test.run();
