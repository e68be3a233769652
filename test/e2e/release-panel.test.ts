/** The panel's pages in Chromium without script, under the site's name, against real nodes. */
import { readdirSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { toPem } from '../../mesh/mod.ts';
import { siteHosts } from '../../mesh/names.ts';
import { readCredential } from '../../src/datadir.ts';
import {
  browserTools,
  keepScreenshot,
  panel,
  phone,
  scriptedTwin,
  startBrowser,
  violations,
} from '../fakes/browser.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { makePdf, type Organisation, sha256, startOrganisation } from './organisation.ts';

const shown_ms = 45_000;
const ready_ms = 60_000;
const printer = 'printer-a';
const badge = '04A1B2C3D4';

if (requireTools([...browserTools, 'ippeveprinter', 'dbus-daemon'])) {
  let org: Organisation;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let origin: string;
  let pin: string;
  let root: string;

  test.before(async () => {
    org = await startOrganisation();
    const { trust } = await readCredential(org.user('ada').credential);
    const host = siteHosts(org.site).dns;
    root = toPem('CERTIFICATE', trust.root);
    browser = await startBrowser({ root, hosts: { [host]: '127.0.0.1' } });
    origin = `https://${host}:${org.node('a1').ports.release}`;
    const registrar = ['--dir', org.node('a1').dir];
    pin = (await org.ink<{ pin: string }>(['user', 'pin', 'ada', ...registrar])).json.pin;
    await org.ink(['user', 'badge', 'ada', badge, ...registrar]);
    context = await browser.newContext(panel);
    page = await context.newPage();
    page.setDefaultTimeout(shown_ms);
    // the site's key comes to a node that faces phones when a registrar has made it
    await waitFor(async () => {
      return await page.goto(`${origin}/panel?printer=${printer}`).then(() => true, () => undefined);
    }, { deadline_ms: ready_ms, what: 'the site’s certificate' });
  });

  test.after(async () => {
    await browser?.close();
    await org?.stop();
  });

  const kept = () => {
    const { kept } = org.printers.find(({ name }) => name === printer) ?? { kept: '' };
    return readdirSync(kept).map((name) => join(kept, name));
  };

  const submit = async (title: string) => {
    const pdf = makePdf(20_000);
    const args = ['print', pdf.file, '--title', title, ...org.as('ada', 'a2')];
    return { ...pdf, id: (await org.ink<{ id: string }>(args)).json.id, title };
  };

  const accessible = async (name: string) => {
    await keepScreenshot(page, `panel-${name}`);
    const twin = await scriptedTwin(browser, page);
    assert.equal(await violations(twin), [], name);
    await twin.emulateMedia({ colorScheme: 'dark' });
    await keepScreenshot(twin, `panel-${name}-dark`);
    assert.equal(await violations(twin), [], `${name}, dark`);
    await twin.close();
  };

  const login = async () => {
    await page.goto(`${origin}/panel`);
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('PIN').fill(pin);
    await page.getByRole('button', { name: 'Log in' }).nth(1).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
  };

  const state = async (id: string) => {
    const { json } = await org.ink<{ id: string; state: string }[]>(['jobs', ...org.as('ada', 'a1')]);
    return json.find((job) => job.id === id)?.state;
  };

  /** Sends a form as something else than a page of ours would. @returns the status of HTTP */
  const postForm = (url: string, headers: Record<string, string>, form: URLSearchParams) =>
    new Promise<number>((resolve, reject) => {
      const { hostname, port, pathname, host } = new URL(url);
      const type = 'application/x-www-form-urlencoded';
      const options = {
        ...{ host: '127.0.0.1', port, path: pathname, method: 'POST', servername: hostname, ca: root },
        headers: { host, 'content-type': type, ...headers },
      };
      request(options, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      }).on('error', reject).end(form.toString());
    });

  test('the login takes no wrong PIN, and says nothing of what was wrong', async () => {
    await accessible('login');
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('PIN').fill('wrong1');
    await page.getByRole('button', { name: 'Log in' }).nth(1).click();
    await page.getByRole('alert').waitFor();
    const said = await page.getByRole('alert').innerText();
    await page.getByLabel('Name').fill('nobody');
    await page.getByLabel('PIN').fill('wrong1');
    await page.getByRole('button', { name: 'Log in' }).nth(1).click();
    await page.getByRole('alert').waitFor();
    assert.is(await page.getByRole('alert').innerText(), said);
    assert.equal(await context.cookies().then((all) => all.map(({ name }) => name)), ['__Host-printer']);
    await accessible('refused');
  });

  test('a PIN lists the documents, one is changed to two sides and printed', async () => {
    const job = await submit('Minutes <script>alert(1)</script>');
    const before = kept();
    await login();
    const [session] = (await context.cookies()).filter(({ name }) => name === '__Host-panel');
    assert.is(session?.httpOnly && session.secure && session.sameSite === 'Strict', true);
    await page.getByText('Minutes <script>alert(1)</script>').waitFor();
    await accessible('list');
    await page.getByRole('link', { name: /^Options of Minutes/ }).click();
    await page.getByLabel('Sides').selectOption('two-sided-long-edge');
    await page.getByLabel('Copies').fill('2');
    await accessible('options');
    await page.getByRole('button', { name: 'Print', exact: true }).click();
    // the page loads itself again until then
    await page.getByText('Printed.').waitFor();
    await accessible('printed');
    const added = kept().filter((file) => !before.includes(file));
    assert.is(added.length, 1);
    assert.is(await sha256(added[0] ?? ''), job.sha256);
    assert.is(await state(job.id), 'printed');
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Print your documents' }).waitFor();
  });

  test('a badge does as well; all that waits is printed', async () => {
    const jobs = [await submit('First'), await submit('Second')];
    await page.getByLabel('Badge').fill(badge);
    await page.getByLabel('Badge').press('Enter');
    await page.getByText('Second').waitFor();
    await page.getByRole('button', { name: 'Print selected' }).click();
    assert.match(await page.getByRole('alert').innerText(), /at least one/);
    await page.getByRole('button', { name: 'Print all' }).click();
    await waitFor(async () => {
      const states = await Promise.all(jobs.map(({ id }) => state(id)));
      return states.every((one) => one === 'printed') ? true : undefined;
    }, { deadline_ms: ready_ms, what: 'both to be printed' });
  });

  test('a document is deleted', async () => {
    const job = await submit('Not any more');
    await page.goto(`${origin}/panel/jobs/${job.id}`);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Delete this document?' }).waitFor();
    await accessible('delete');
    assert.is(await state(job.id), 'held');
    await page.getByRole('button', { name: 'Delete it' }).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
    assert.is(await page.getByText(job.title).count(), 0);
    assert.is(await state(job.id), 'cancelled');
  });

  test('the login page ends a session, and what comes of another page or an old form does nothing', async () => {
    const job = await submit('Not by others');
    await login();
    const cookies = await context.cookies();
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const path = `${origin}/panel/jobs/${job.id}/print`;
    const post = (headers: Record<string, string>, token: string) =>
      postForm(path, { cookie, ...headers }, new URLSearchParams({ token, printer }));
    const token =
      await page.locator('form[action="/panel/print"] input[name="token"]').getAttribute('value') ?? '';
    assert.is(await post({}, 'x'.repeat(43)), 403);
    assert.is(await post({ origin: 'https://elsewhere.example' }, token), 403);
    assert.is(await post({ 'sec-fetch-site': 'cross-site' }, token), 403);
    await page.goto(`${origin}/panel`);
    assert.is(await post({}, token), 303);
    await page.goto(`${origin}/panel/jobs`);
    await page.getByRole('alert').getByText('logged out').waitFor();
    assert.is(await state(job.id), 'held');
  });

  test('a page that nobody touches asks whether somebody is there, and leads to the login', async () => {
    await login();
    const answer = await page.goto(`${origin}/panel/jobs`);
    assert.match(answer?.headers()['refresh'] ?? '', /^\d+;url=\/panel\/still\?by=page$/);
    const asked = await page.goto(`${origin}/panel/still`);
    assert.match(asked?.headers()['refresh'] ?? '', /^\d+;url=\/panel\?idle=1$/);
    await accessible('still');
    await page.getByRole('link', { name: 'Go on' }).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
  });

  test('an invitation makes a phone’s browser its user’s, whose key nobody can read out', async () => {
    const invite = ['user', 'invite', 'ada', '--dir', org.node('a1').dir];
    const { token } = (await org.ink<{ token: string }>(invite)).json;
    const own = await (await browser.newContext(phone)).newPage();
    own.setDefaultTimeout(shown_ms);
    await own.goto(`${origin}/enrol#${token}`);
    await own.getByRole('button', { name: 'Add this browser' }).click();
    await own.getByText('Not by others').waitFor();
    assert.is(new URL(own.url()).pathname + new URL(own.url()).hash, '/#/');
    const readable = await own.evaluate(`(async () => {
      const { readCredential } = await import('/client/store.js');
      const { key } = await readCredential();
      return await crypto.subtle.exportKey('pkcs8', key).then(() => true, () => false);
    })()`);
    assert.is(readable, false);
    await keepScreenshot(own, 'phone-enrolled');
  });
}

test.run();
