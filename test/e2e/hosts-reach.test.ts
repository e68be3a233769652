/** A printer that this machine's own node does not reach: a node that does delivers. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PrinterState } from '../../src/api/printers.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { printerMib, type Snmpd, startSnmpd } from '../fakes/snmpd.ts';
import { canIsolate, inside, ip } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, untilPrinted } from './hosts/organisation.ts';

/** until the nodes have tried the printer, and told each other */
const told_ms = 40_000;

if (canIsolate() && requireTools(['snmpd', 'awk'])) {
  const network = new Network();
  const site = network.site('a');
  const org = await HostOrganisation.found(network.place('a1', site));
  const [lost, near] = await org.join(['a2', 'a3'].map((name) => network.place(name, site)));
  if (lost === undefined || near === undefined) throw new TypeError('two machines join');
  const place = network.place('printer', site);
  let snmpd: Snmpd;

  test.after(async () => {
    await snmpd?.stop();
    await org.stop();
  });

  const reachedBy = async (): Promise<string[]> => {
    const as = ['--dir', lost.dir, '--credential', org.ada];
    const [state] = await lost.run<PrinterState[]>('printer', 'status', 'printer', ...as);
    return [...state?.reached_by ?? []].sort();
  };

  test('nodes tell each other which printers they reach, and who does delivers', async () => {
    for (const machine of [lost, near]) await machine.start();
    await org.connected();
    const there = (...command: string[]) => inside(place.namespace, ...command);
    const at = { port: 161, address: place.address, community: 'public', inside: there };
    snmpd = await startSnmpd(printerMib({}), at);
    ip(`-n ${lost.place.namespace} route add blackhole ${place.address}/32`);
    const printer = await org.addPrinter(place);
    await waitFor(async () => (await reachedBy()).join() === 'a1,a3' ? true : undefined, {
      deadline_ms: told_ms,
      what: 'a1 and a3 to say that they reach the printer',
    });
    const document = await noise(200_000);
    const { id } = await org.print(document, lost);
    const released = await org.release(id, printer, lost);
    assert.is(released.outcome, 'sent', released.reason);
    await untilPrinted(printer, document.sha256, 1);
  });
} else test.skip('hosts need network namespaces');

test.run();
