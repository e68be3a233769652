/** The phone's pages in Chromium, against real nodes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Browser, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { importAuthority, issueUser } from '../../mesh/authority.ts';
import { readIdentity } from '../../mesh/certificate.ts';
import { toPem } from '../../mesh/mod.ts';
import { readCredential } from '../../src/datadir.ts';
import { browserTools, keepScreenshot, phone, startBrowser, violations } from '../fakes/browser.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startSink } from '../fakes/sink.ts';
import { makePdf, type Organisation, sha256, startOrganisation } from './organisation.ts';

const shown_ms = 45_000;
const printer = 'printer-a';

if (requireTools([...browserTools, 'ippeveprinter', 'dbus-daemon'])) {
  let org: Organisation;
  let browser: Browser;
  let page: Page;
  let origin: string;
  /** what the page's own policy, its script or its node has complained about */
  const complaints: string[] = [];

  test.before(async () => {
    org = await startOrganisation();
    const { trust } = await readCredential(org.user('ada').credential);
    browser = await startBrowser({
      root: toPem('CERTIFICATE', trust.root),
      hosts: { localhost: '127.0.0.1' },
    });
    origin = `https://localhost:${org.node('a2').ports.release}`;
    page = await (await browser.newContext(phone)).newPage();
    page.setDefaultTimeout(shown_ms);
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
  });

  test.after(async () => {
    await browser?.close();
    await org?.stop();
  });

  const kept = () => {
    const { kept } = org.printers.find(({ name }) => name === printer) ?? { kept: '' };
    return readdirSync(kept).map((name) => join(kept, name));
  };

  /** Prints a document at the first node. */
  const submit = async (title: string, user = 'ada', bytes = 20_000) => {
    const pdf = makePdf(bytes);
    const args = ['print', pdf.file, '--title', title, ...org.as(user, 'a1')];
    const { id } = (await org.ink<{ id: string }>(args)).json;
    return { ...pdf, id, title };
  };

  const card = (id: string) => page.locator(`[data-job="${id}"]`);

  const accessible = async (name: string) => {
    await keepScreenshot(page, `phone-${name}`);
    assert.equal(await violations(page), [], name);
    await page.emulateMedia({ colorScheme: 'dark' });
    await keepScreenshot(page, `phone-${name}-dark`);
    assert.equal(await violations(page), [], `${name}, dark`);
    await page.emulateMedia({ colorScheme: 'light' });
  };

  const states = async (): Promise<Map<string, string>> => {
    const { json } = await org.ink<{ id: string; state: string }[]>(['jobs', ...org.as('ada', 'a3')]);
    return new Map(json.map(({ id, state }) => [id, state]));
  };

  test('a browser that is nobody’s is told how it becomes somebody’s', async () => {
    await page.goto(`${origin}/`);
    await page.getByRole('heading', { name: 'Welcome' }).waitFor();
    await accessible('welcome');
  });

  test('an invitation makes it its user’s, whose documents it lists, and no others', async () => {
    const job = await submit('Quarterly figures <b>&amp;');
    const others = await submit('Of somebody else', 'eve');
    const invite = ['user', 'invite', 'ada', '--dir', org.node('a1').dir];
    const { token } = (await org.ink<{ token: string }>(invite)).json;
    const answer = await page.goto(`${origin}/enrol#${token}`);
    const policy = answer?.headers()['content-security-policy'] ?? '';
    assert.match(policy, /default-src 'none'.*frame-ancestors 'none'.*script-src 'self'/);
    assert.not.match(policy, /unsafe|https?:|\*/);
    await accessible('enrol');
    await page.getByRole('button', { name: 'Add this browser' }).click();
    await card(job.id).waitFor();
    assert.is(await card(others.id).count(), 0);
    await page.goto(`${origin}/?printer=${printer}`);
    await page.locator('.chosen', { hasText: printer }).waitFor();
    assert.match(await card(job.id).innerText(), /Quarterly figures <b>&amp;/);
    assert.match(await page.locator('.chosen').innerText(), /printer-a/);
    assert.is(new URL(page.url()).search, '');
    await accessible('jobs');
  });

  test('a job that comes is listed at once, without a touch', async () => {
    const job = await submit('Came later');
    await card(job.id).waitFor();
  });

  test('a button that is being pressed is not taken away by what comes meanwhile', async () => {
    const job = await submit('Pressed');
    const button = card(job.id).getByRole('button', { name: 'Print Pressed' });
    await button.hover();
    await page.mouse.down();
    const news = page.waitForResponse((response) => response.url().includes('/app/jobs'));
    const later = await submit('Meanwhile');
    await (await news).finished();
    // what the answer led to has been done when the page gets the next one
    await page.evaluate(`fetch('/node.json')`);
    await page.mouse.up();
    await page.locator('#status', { hasText: 'Printed at printer-a.' }).waitFor();
    await card(later.id).waitFor();
  });

  test('one that is changed to two sides is printed, and the page says so', async () => {
    const job = await submit('Two sides');
    const before = kept();
    await card(job.id).getByRole('link', { name: 'Options of Two sides' }).click();
    await page.getByRole('combobox', { name: 'Sides' }).selectOption('two-sided-long-edge');
    await page.getByRole('textbox', { name: 'Pages' }).fill('1');
    await accessible('options');
    await page.getByRole('button', { name: 'Print', exact: true }).click();
    await page.locator('#status', { hasText: 'Printed at printer-a.' }).waitFor();
    await keepScreenshot(page, 'phone-printed');
    const added = kept().filter((file) => !before.includes(file));
    assert.is(added.length, 1);
    assert.is(await sha256(added[0] ?? ''), job.sha256);
    await page.locator('.state.printed').waitFor();
  });

  test('what is wrong with an option is said, and nothing is printed', async () => {
    const job = await submit('Wrong');
    await page.goto(`${origin}/#/job/${job.id}`);
    await page.getByRole('textbox', { name: 'Pages' }).fill('9-1');
    await page.getByRole('button', { name: 'Print', exact: true }).click();
    await page.locator('#status', { hasText: 'ascending order' }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('#status', { hasText: 'Tap again' }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.locator('#status', { hasText: 'deleted' }).waitFor();
    assert.is((await states()).get(job.id), 'cancelled');
  });

  test('all that waits is printed one after the other', async () => {
    const jobs = [await submit('First'), await submit('Second')];
    await page.goto(`${origin}/#/`);
    for (const { id } of jobs) await card(id).waitFor();
    await page.getByRole('button', { name: 'Print all' }).click();
    await waitFor(async () => {
      const now = await states();
      return jobs.every(({ id }) => now.get(id) === 'printed') ? true : undefined;
    }, { deadline_ms: 60_000, what: 'all jobs to be printed' });
    await page.getByText('Nothing waits for you.').waitFor();
  });

  test('printers are searched, and chosen', async () => {
    await page.goto(`${origin}/#/printers`);
    await page.getByRole('button', { name: /printer-a/ }).waitFor();
    await accessible('printers');
    await page.getByLabel('Search').fill('nowhere');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByText('There is no such printer.').waitFor();
    await page.getByLabel('Search').fill('printer');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('button', { name: /printer-a/ }).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
  });

  test('what was interrupted is printed again only after its owner says so', async () => {
    const broken = await startSink({ resetAfter: 5000 });
    await org.addPrinter(broken.uri, 'broken');
    await page.goto(`${origin}/?printer=broken`);
    await page.locator('.chosen', { hasText: 'broken' }).waitFor();
    // more than is on the way at a time: a printer that has read all of it, and ends, has taken it
    const job = await submit('Halfway', 'ada', 10_000_000);
    await card(job.id).getByRole('button', { name: 'Print Halfway' }).click();
    await page.locator('#status', { hasText: 'Interrupted' }).waitFor();
    await card(job.id).getByRole('link', { name: 'Decide' }).click();
    await page.getByRole('heading', { name: 'Was it printed?' }).waitFor();
    await accessible('interrupted');
    await page.goto(`${origin}/?printer=${printer}#/job/${job.id}`);
    const before = kept();
    await page.getByRole('button', { name: 'Print again' }).click();
    await page.locator('#status', { hasText: 'tick the box' }).waitFor();
    assert.equal(kept(), before);
    await page.getByLabel('Print it again all the same').check();
    await page.getByRole('button', { name: 'Print again' }).click();
    await page.locator('#status', { hasText: 'Printed at printer-a.' }).waitFor();
    assert.is(kept().length, before.length + 1);
    await broken.stop();
    await page.goto(`${origin}/#/`);
  });

  test('what is focused stays so when something else is new', async () => {
    const job = await submit('Focused');
    const button = card(job.id).getByRole('button', { name: 'Print Focused' });
    await button.focus();
    const later = await submit('Comes while one is focused');
    await card(later.id).waitFor();
    assert.is(await page.evaluate('document.activeElement.ariaLabel'), 'Print Focused');
    await page.getByRole('button', { name: 'Print all' }).click();
    await page.getByText('Nothing waits for you.').waitFor();
  });

  test('a grant is for the printer that its page shows, whatever another page has chosen since', async () => {
    const elsewhere = await startSink();
    await org.addPrinter(elsewhere.uri, 'elsewhere');
    const job = await submit('At the one that is shown');
    await card(job.id).waitFor();
    // what the first page shows stays as it is
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await page.route('**/app/jobs*', async (route) => {
      await released;
      await route.continue().catch(() => {});
    });
    const other = await page.context().newPage();
    await other.goto(`${origin}/?printer=elsewhere`);
    await other.locator('.chosen', { hasText: 'elsewhere' }).waitFor();
    assert.match(await page.locator('.chosen').innerText(), /printer-a/);
    await card(job.id).getByRole('button', { name: `Print ${job.title}` }).click();
    await waitFor(async () => (await states()).get(job.id) === 'printed' ? true : undefined, {
      deadline_ms: shown_ms,
      what: 'the document to be printed, and not only sent',
    });
    assert.is(elsewhere.received, 0);
    release();
    await page.unroute('**/app/jobs*');
    await other.goto(`${origin}/?printer=${printer}`);
    await other.locator('.chosen', { hasText: printer }).waitFor();
    await other.close();
    await elsewhere.stop();
  });

  test('a phone whose clock is ahead prints all the same', async () => {
    const job = await submit('Early');
    const ahead = await page.context().newPage();
    await ahead.addInitScript('const now = Date.now.bind(Date); Date.now = () => now() + 600_000;');
    await ahead.goto(`${origin}/`);
    const own = ahead.locator(`[data-job="${job.id}"]`);
    await own.getByRole('button', { name: 'Print Early' }).click();
    await ahead.locator('#status', { hasText: 'Printed at printer-a.' }).waitFor();
    await ahead.close();
  });

  /** Gives the browser a certificate as it would have been issued so long ago. */
  const aged = async (days: number) => {
    const registrar = readFileSync(join(org.node('a1').dir, 'registrar.json'), 'utf8');
    const authority = await importAuthority(JSON.parse(registrar));
    const der = await page.evaluate(`(async () => {
      const { readCredential } = await import('/client/store.js');
      return [...(await readCredential()).certificate];
    })()`) as number[];
    const now_ms = Date.now();
    const identity = await readIdentity(authority.trust, Uint8Array.from(der), [authority.meshIssuer.der]);
    if (identity.kind !== 'user') throw new TypeError('not a user');
    const { user, device, roles, publicKey } = identity;
    const then_ms = now_ms - days * 24 * 3600_000;
    const old = await issueUser(authority, { user, device, roles, publicKey }, then_ms);
    await page.evaluate(`(async () => {
      const { keepCredential, readCredential } = await import('/client/store.js');
      const certificate = Uint8Array.from(${JSON.stringify([...old])});
      const expires_ms = ${then_ms + 90 * 24 * 3600_000};
      await keepCredential({ ...await readCredential(), certificate, expires_ms });
    })()`);
  };
  const expires = () =>
    page.evaluate(`(async () => {
      const { readCredential } = await import('/client/store.js');
      return (await readCredential()).expires_ms;
    })()`) as Promise<number>;

  test('a certificate that is about to end is renewed by the page, and signs from then on', async () => {
    await aged(70);
    await page.goto(`${origin}/`);
    await page.reload();
    await waitFor(async () => await expires() > Date.now() + 80 * 24 * 3600_000 || undefined, {
      deadline_ms: shown_ms,
      what: 'a new certificate to be kept',
    });
    const job = await submit('With the next certificate');
    await page.reload();
    await card(job.id).getByRole('button', { name: `Print ${job.title}` }).click();
    await page.locator('#status', { hasText: 'Printed at printer-a.' }).waitFor();
  });

  test('one that has ended is told of, and another invitation takes its place', async () => {
    await aged(91);
    const refused = complaints.length;
    await page.reload();
    await page.getByRole('heading', { name: 'away for too long' }).waitFor();
    await accessible('lapsed');
    // that it was refused is in the browser's own log
    complaints.splice(refused);
    const invite = ['user', 'invite', 'ada', '--dir', org.node('a1').dir];
    const { token } = (await org.ink<{ token: string }>(invite)).json;
    await page.getByLabel('Or paste it here').fill(token);
    await page.getByRole('button', { name: 'Add this browser' }).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
    await page.goto(`${origin}/?printer=${printer}`);
    await page.locator('.chosen', { hasText: printer }).waitFor();
  });

  test('while the registrar is gone a document is listed and printed', async () => {
    const job = await submit('Without the registrar');
    await card(job.id).waitFor();
    await org.kill('a1');
    await card(job.id).getByRole('button', { name: 'Print Without the registrar' }).click();
    await page.locator('#status', { hasText: 'Printed at printer-a.' }).waitFor();
    await page.getByText('Nothing waits for you.').waitFor();
    assert.is((await states()).get(job.id), 'printed');
  });

  test('the shell opens while no node answers, and says so', async () => {
    await waitFor(
      async () => await page.evaluate('navigator.serviceWorker.controller !== null') ? true : undefined,
      { deadline_ms: shown_ms, what: 'the service worker' },
    );
    await page.reload();
    await page.getByText('Nothing waits for you.').waitFor();
    assert.equal(complaints, []);
    // it takes connections, and answers none
    process.kill(org.node('a2').pid, 'SIGSTOP');
    try {
      await page.reload({ waitUntil: 'commit' });
      await page.getByText('Loading').waitFor();
      await page.getByText('cannot be reached').waitFor();
    } finally {
      process.kill(org.node('a2').pid, 'SIGCONT');
    }
    await org.kill('a2');
    await page.reload();
    await page.getByText('cannot be reached').waitFor();
    await accessible('unreachable');
    await org.restart('a2');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('Nothing waits for you.').waitFor();
  });
}

test.run();
