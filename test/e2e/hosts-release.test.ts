/** A phone in a LAN without a way out: its page comes from one node, the document from others, paper through yet another. */
import type { Browser } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { toPem } from '../../mesh/mod.ts';
import { siteHosts } from '../../mesh/names.ts';
import { readCredential } from '../../src/datadir.ts';
import { browserTools, keepScreenshot, phone, startBrowser } from '../fakes/browser.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { canIsolate, inside, ip } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, untilPrinted } from './hosts/organisation.ts';

const shown_ms = 30_000;
/** until the site's key is made, and the nodes have tried the printer and told each other */
const ready_ms = 90_000;

if (canIsolate() && requireTools(browserTools)) {
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

  test.after(async () => {
    await browser?.close();
    await org.stop();
  });

  test('it enrols, lists and prints; neither its page nor the printer’s node holds the document', async () => {
    for (const machine of [a2, a3]) await machine.start();
    await org.connected([org.registrar, a2, a3]);
    const document = await noise(200_000);
    const { holders } = await org.print(document, a2);
    assert.equal([...holders].sort(), ['a1', 'a2', 'a3']);
    for (const machine of [near, front]) await machine.start();
    // nobody but one node has a way to the printer
    for (const { place } of [org.registrar, a2, a3, front]) {
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
    await waitFor(async () => {
      await page.getByRole('button', { name: 'Print all' }).click();
      const said = page.locator('#status', { hasText: /Sent to|Not printed|Nothing was printed/ });
      await said.waitFor();
      return /Sent to/.test(await said.innerText()) ? true : undefined;
    }, { deadline_ms: ready_ms, what: 'the node that reaches the printer to be known' });
    await keepScreenshot(page, 'phone-offline');
    await untilPrinted(printer, document.sha256, 1);
    await page.getByText('Nothing waits for you.').waitFor();
  });
} else test.skip('hosts need network namespaces');

test.run();
