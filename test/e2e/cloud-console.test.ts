/** The cloud node's pages in Chromium: a user releases from anywhere, an operator turns a site's relay off and on. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { toPem } from '../../mesh/mod.ts';
import { runInside } from '../../src/cli/run.ts';
import { readCredential } from '../../src/datadir.ts';
import type { JobView } from '../../src/job.ts';
import { browserTools, keepScreenshot, phone, startBrowser, violations } from '../fakes/browser.ts';
import { type Kept, line, spawnKept, stop, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { ink, makePdf, program } from './organisation.ts';

const MiB = 1024 * 1024;
const start_ms = 240_000;
const shown_ms = 60_000;

interface Description {
  dir: string;
  cloud: { url: string; dir: string };
  admin: { credential: string };
  sites: { name: string; nodes: { name: string; dir: string }[]; printers: { kept: string }[] }[];
  users: { name: string; credential: string }[];
}

if (requireTools([...browserTools, 'ippeveprinter', 'dbus-daemon'])) {
  let demo: Kept;
  let org: Description;
  let browser: Browser;
  let origin: string;
  let ada: Page;
  let boss: Page;

  const at = (node: string) => ['--dir', join(org.dir, node)];
  const asAda = (node: string) => [...at(node), '--credential', join(org.dir, 'ada.credential')];

  /** Opens an invitation at the cloud's pages, in a browser of its own. */
  const enrolled = async (user: string, flags: readonly string[] = []): Promise<Page> => {
    const { json } = await ink<{ token: string; cloud_link: string }>([
      'user',
      'invite',
      user,
      ...flags,
      ...at('a1'),
    ]);
    assert.ok(
      json.cloud_link.startsWith(`${org.cloud.url}/enrol#ink1u`),
      'the invitation leads to the cloud',
    );
    const page = await (await browser.newContext(phone)).newPage();
    page.setDefaultTimeout(shown_ms);
    // the link's own secret: the browser meets the cloud node by another name here
    await page.goto(`${origin}${json.cloud_link.slice(json.cloud_link.indexOf('/enrol#'))}`);
    await page.getByRole('button', { name: 'Add this browser' }).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
    return page;
  };

  const submit = async (title: string, bytes: number) => {
    const pdf = makePdf(bytes);
    const { json } = await ink<{ id: string }>(['print', pdf.file, '--title', title, ...asAda('a2')]);
    return { ...pdf, id: json.id, title };
  };

  const kept = (site: number): Buffer[] => {
    const folder = org.sites[site]?.printers[0]?.kept ?? '';
    return readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  };

  const stateOf = async (id: string) =>
    (await runInside<JobView[]>(['jobs', ...asAda('a1')])).find((job) => job.id === id)?.state;

  const relayed = async (): Promise<number> => {
    const status = ['status', '--dir', org.cloud.dir, '--credential', org.admin.credential];
    const { relayed_bytes } = await runInside<{ relayed_bytes: Record<string, number> }>(status);
    return relayed_bytes['b'] ?? 0;
  };

  test.before(async () => {
    const [command, ...first] = program();
    demo = spawnKept(command, [...first, 'demo', '--keep', '--json']);
    const [text] = await line(demo, /^\{.*\}$/, { deadline_ms: start_ms });
    org = JSON.parse(text) as Description;
    const { trust } = await readCredential(join(org.dir, 'ada.credential'));
    browser = await startBrowser({
      root: toPem('CERTIFICATE', trust.root),
      hosts: { localhost: '127.0.0.1' },
    });
    origin = `https://localhost:${new URL(org.cloud.url).port}`;
    ada = await enrolled('ada');
    await ink(['user', 'add', 'boss', ...at('a1')]);
    boss = await enrolled('boss', ['--admin']);
  });

  test.after(async () => {
    await browser?.close();
    if (demo !== undefined) await stop(demo, { deadline_ms: 30_000 });
  });

  test('what was printed at one site is released at the other from the cloud’s page', async () => {
    const job = await submit('From anywhere', 40_000);
    await ada.goto(`${origin}/?printer=printer-b`);
    await ada.getByRole('button', { name: 'Print From anywhere' }).click();
    await ada.locator('#status', { hasText: 'Printed at printer-b.' }).waitFor();
    assert.ok(kept(1).some((printed) => printed.equals(readFileSync(job.file))), 'byte for byte');
    await waitFor(async () => await stateOf(job.id) === 'printed' ? true : undefined, {
      deadline_ms: shown_ms,
      what: 'site a to know that it is printed',
    });
  });

  test('a document is deleted from the cloud’s page, by a node that keeps it', async () => {
    const job = await submit('Not wanted', 20_000);
    await ada.goto(`${origin}/#/`);
    // the cloud node has to hear of it first
    await ada.locator(`[data-job="${job.id}"]`).waitFor();
    await ada.goto(`${origin}/#/job/${job.id}`);
    await ada.getByRole('button', { name: 'Delete' }).click();
    await ada.getByRole('button', { name: 'Delete' }).click();
    await ada.locator('#status', { hasText: 'deleted' }).waitFor();
    assert.is(await stateOf(job.id), 'cancelled');
  });

  test('the operators’ page shows sites and nodes, and opens for administrators alone', async () => {
    await boss.setViewportSize({ width: 1100, height: 900 });
    await boss.goto(`${origin}/console`);
    await boss.getByRole('button', { name: 'Turn off the relay of site b' }).waitFor();
    await boss.getByRole('rowheader', { name: 'b3' }).waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await boss.emulateMedia({ colorScheme });
      await keepScreenshot(boss, `console-${colorScheme}`);
      assert.equal(await violations(boss), [], colorScheme);
    }
    await ada.goto(`${origin}/console`);
    await ada.locator('#status', { hasText: 'no administrator’s' }).waitFor();
  });

  test('turning a site’s relay off ends what is on its way, and the job prints when it is on again', async () => {
    const job = await submit('Long way', 48 * MiB);
    await ada.goto(`${origin}/?printer=printer-b`);
    const before = await relayed();
    await ada.getByRole('button', { name: 'Print Long way' }).click();
    await waitFor(async () => await relayed() > before + 2 * MiB ? true : undefined, {
      deadline_ms: shown_ms,
      what: 'the document to be on its way',
    });
    await boss.getByRole('button', { name: 'Turn off the relay of site b' }).click();
    const said = await waitFor(async () => {
      const text = await ada.locator('#status').textContent() ?? '';
      return /^(?:Not printed|Nothing was|Printed|Interrupted|The connection|Sent)/.test(text)
        ? text
        : undefined;
    }, { deadline_ms: shown_ms, what: 'the release to end' });
    assert.match(said, 'relay is off for site b: ask your operator');
    await waitFor(async () => await stateOf(job.id) === 'held' ? true : undefined, {
      deadline_ms: shown_ms,
      what: 'the job to be held',
    });
    assert.not.ok(kept(1).some((printed) => printed.length === job.bytes), 'nothing of it came out');
    await boss.getByRole('button', { name: 'Turn on the relay of site b' }).click();
    await boss.getByRole('button', { name: 'Turn off the relay of site b' }).waitFor();
    await waitFor(async () => {
      const released = await runInside<{ outcome: string }>([
        ...['release', job.id, '--printer', 'printer-b', ...asAda('b2')],
      ]);
      return released.outcome === 'printed' ? true : undefined;
    }, { deadline_ms: shown_ms, what: 'the document to come through again' });
    assert.ok(kept(1).some((printed) => printed.equals(readFileSync(job.file))), 'byte for byte');
  });

  test('the trail has who decided what, and what was decided at a registrar', async () => {
    await ink(['site', 'set', 'b', 'retention', '9h', ...at('a1')]);
    const trail = ['audit', '--dir', org.cloud.dir, '--credential', org.admin.credential];
    const rows = await waitFor(async () => {
      const list = await runInside<{ what: string; who: string | null; detail: string }[]>(trail);
      return list.some(({ detail }) => detail.includes('retention_ms 32400000')) ? list : undefined;
    }, { deadline_ms: shown_ms, what: 'the decision to be heard of' });
    assert.ok(
      rows.some(({ what, who, detail }) =>
        what === 'asked' && who === 'boss' && detail.startsWith('POST /v1/sites/b: done')
      ),
    );
    assert.ok(rows.some(({ what, detail }) => what === 'decided' && /site b: relay false/.test(detail)));
  });
}

test.run();
