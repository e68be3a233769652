/** A phone in a LAN without a way out: its page comes from one node, the document from others, paper through yet another. */
import type { Browser } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { toPem } from '../../mesh/mod.ts';
import { siteHosts } from '../../mesh/names.ts';
import type { PrinterState } from '../../src/api/printers.ts';
import { readCredential } from '../../src/datadir.ts';
import { browserTools, keepScreenshot, phone, startBrowser } from '../fakes/browser.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { printerMib, type Snmpd, startSnmpd } from '../fakes/snmpd.ts';
import { canIsolate, inside, ip } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, untilPrinted } from './hosts/organisation.ts';

const shown_ms = 30_000;
/** until the site's key is made, and the nodes have tried the printer and told each other */
const ready_ms = 90_000;

if (canIsolate() && requireTools([...browserTools, 'snmpd', 'awk'])) {
  const network = new Network();
  const site = network.site('a');
  const org = await HostOrganisation.found(network.place('a1', site));
  const others = await org.join(['a2', 'a3', 'near'].map((name) => network.place(name, site)));
  const [front] = await org.join([network.place('front', site)], { role: 'front' });
  const [a2, a3, near] = others;
  if (front === undefined || near === undefined || a2 === undefined || a3 === undefined) {
    throw new TypeError('four machines join');
  }
  const hand = network.place('hand', site);
  const paper = network.place('printer', site);
  let browser: Browser;
  let snmpd: Snmpd;

  test.after(async () => {
    await browser?.close();
    await snmpd?.stop();
    await org.stop();
  });

  test('it enrols, lists and prints; neither its page nor the printer’s node holds the document', async () => {
    for (const machine of [a2, a3]) await machine.start();
    await org.connected([org.registrar, a2, a3]);
    const document = await noise(200_000);
    const { holders } = await org.print(document, a2);
    assert.equal([...holders].sort(), ['a1', 'a2', 'a3']);
    for (const machine of [near, front]) await machine.start();
    const there = (...command: string[]) => inside(paper.namespace, ...command);
    const at = { port: 161, address: paper.address, community: 'public', inside: there };
    snmpd = await startSnmpd(printerMib({}), at);
    // nobody but one node has a way to the printer, when the registrar is gone
    for (const { place } of [a2, a3, front]) {
      ip(`-n ${place.namespace} route add blackhole ${paper.address}/32`);
    }
    await org.connected();
    const printer = await org.addPrinter(paper);
    const { token } = await org.admin<{ token: string }>('user', 'invite', 'ada');
    const { trust } = await readCredential(org.ada);
    const host = siteHosts('a').dns;
    browser = await startBrowser({
      root: toPem('CERTIFICATE', trust.root),
      hosts: { [host]: front.place.address },
      inside: (...command) => inside(hand.namespace, ...command),
    });
    const page = await (await browser.newContext(phone)).newPage();
    page.setDefaultTimeout(shown_ms);
    await waitFor(
      () => page.goto(`https://${host}:9266/enrol#${token}`).then(() => true, () => undefined),
      { deadline_ms: ready_ms, what: 'the page under the site’s name' },
    );
    await page.getByRole('button', { name: 'Add this browser' }).click();
    await page.getByRole('button', { name: /^Print / }).first().waitFor();
    await org.registrar.kill();
    await page.goto(`https://${host}:9266/?printer=${printer.name}`);
    const as = ['--dir', front.dir, '--credential', org.ada];
    await waitFor(async () => {
      const [state] = await front.run<PrinterState[]>('printer', 'status', printer.name, ...as);
      return state?.reached_by.join() === near.name ? true : undefined;
    }, { deadline_ms: ready_ms, what: 'the node that reaches the printer to be known' });
    await page.getByRole('button', { name: 'Print all' }).click();
    await page.locator('#status', { hasText: 'Sent to printer' }).waitFor();
    await keepScreenshot(page, 'phone-offline');
    await untilPrinted(printer, document.sha256, 1);
    await page.getByText('Nothing waits for you.').waitFor();
  });
} else test.skip('hosts need network namespaces');

test.run();
