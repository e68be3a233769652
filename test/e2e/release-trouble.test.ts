/** What is wrong with a printer, as somebody sees it who looks at the phone's page. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { toPem } from '../../mesh/mod.ts';
import { files, readCredential } from '../../src/datadir.ts';
import { browserTools, keepScreenshot, phone, startBrowser, violations } from '../fakes/browser.ts';
import { requireTools } from '../fakes/require.ts';
import { startSink } from '../fakes/sink.ts';
import { printerMib, snmpUser, startSnmpd, type Told } from '../fakes/snmpd.ts';
import { type Organisation, startOrganisation } from './organisation.ts';

/** in which a state is to be seen; most of them, as this machine may be busy with other things now and then */
const seen_ms = 3_000;
const shown_ms = 45_000;

if (requireTools([...browserTools, 'snmpd', 'awk'])) {
  const sink = await startSink();
  const snmpd = await startSnmpd(printerMib({}), { address: '127.0.0.1' });
  let org: Organisation;
  let browser: Browser;
  let page: Page;

  test.before(async () => {
    org = await startOrganisation();
    const { dir } = org.node('a2');
    const config = JSON.parse(readFileSync(files.config(dir), 'utf8')) as object;
    writeFileSync(files.config(dir), JSON.stringify({ ...config, snmp: { ...snmpUser, port: snmpd.port } }));
    await org.restart('a2');
    await org.connected();
    await org.addPrinter(sink.uri, 'sink');
    const { trust } = await readCredential(org.user('ada').credential);
    const root = toPem('CERTIFICATE', trust.root);
    browser = await startBrowser({ root, hosts: { localhost: '127.0.0.1' } });
    page = await (await browser.newContext(phone)).newPage();
    page.setDefaultTimeout(shown_ms);
    const invite = ['user', 'invite', 'ada', '--dir', org.node('a1').dir];
    const { token } = (await org.ink<{ token: string }>(invite)).json;
    const origin = `https://localhost:${org.node('a2').ports.release}`;
    await page.goto(`${origin}/enrol#${token}`);
    await page.getByRole('button', { name: 'Add this browser' }).click();
    await page.getByText('Nothing waits for you.').waitFor();
    await page.goto(`${origin}/?printer=sink`);
    await page.locator('.chosen', { hasText: 'sink' }).waitFor();
  });

  test.after(async () => {
    await browser?.close();
    await org?.stop();
    await sink.stop();
    await snmpd.stop();
  });

  const took: number[] = [];

  const untilSeen = async (told: Told, trouble?: string) => {
    const start_ms = performance.now();
    snmpd.set(printerMib(told));
    if (trouble === undefined) await page.locator('.trouble').waitFor({ state: 'detached' });
    else await page.locator('.trouble', { hasText: trouble }).waitFor();
    took.push(performance.now() - start_ms);
  };

  test('each state in which a printer needs help is on the page within 3 s, and goes as it came', async () => {
    await untilSeen({ printer: 1, device: 5, error: 1 }, 'tray empty: add paper');
    await keepScreenshot(page, 'phone-trouble');
    assert.equal(await violations(page), []);
    await untilSeen({ printer: 1, device: 5, error: 5 }, 'paper is jammed');
    await untilSeen({ printer: 1, device: 5, error: 6 }, 'it is off-line');
    await untilSeen({});
    assert.ok(took.filter((took_ms) => took_ms <= seen_ms).length >= took.length / 2, `it took ${took} ms`);
  });
}

test.run();
