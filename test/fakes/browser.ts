/** Headless Chromium that trusts an organisation as a phone does: by its root in the trust store, by no flag. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { tempDir } from './processes.ts';
import { toolPath } from './require.ts';

/** What `startBrowser` needs, for `requireTools`. */
export const browserTools = ['chromium', 'certutil'];

/** Where screenshots are kept, to be looked at. */
const artefacts = process.env['ARTEFACTS'] ??
  join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'dist', 'screenshots');

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export interface BrowserOptions {
  /** PEM of the root that it trusts besides those of the system */
  root: string;
  /** host names, and the addresses that they resolve to; all others do not resolve */
  hosts: Readonly<Record<string, string>>;
  /** runs its command elsewhere: in a namespace */
  inside?(...command: string[]): string[];
}

export async function startBrowser({ root, hosts, inside }: BrowserOptions): Promise<Browser> {
  const home = tempDir();
  const store = join(home, '.pki', 'nssdb');
  mkdirSync(store, { recursive: true });
  const file = join(home, 'root.pem');
  writeFileSync(file, root);
  const certutil = toolPath('certutil') ?? 'certutil';
  execFileSync(certutil, ['-d', `sql:${store}`, '-N', '--empty-password']);
  execFileSync(certutil, ['-d', `sql:${store}`, '-A', '-t', 'C,,', '-n', 'organisation', '-i', file]);
  const rules = [...Object.entries(hosts).map(([name, at]) => `MAP ${name} ${at}`), 'MAP * ~NOTFOUND'];
  const program = toolPath('chromium') ?? 'chromium';
  const script = join(home, 'chromium');
  writeFileSync(script, `#!/bin/sh\nexec ${(inside?.(program) ?? [program]).join(' ')} "$@"\n`, {
    mode: 0o700,
  });
  return await chromium.launch({
    executablePath: script,
    args: [...flags, `--host-resolver-rules=${rules.join(',')}`],
    env: { ...process.env as Record<string, string>, HOME: home, XDG_CONFIG_HOME: join(home, '.config') },
    // the runner ends what is left
    ...{ handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false },
  });
}

/** A telephone in the hand. */
export const phone: BrowserContextOptions = {
  viewport: { width: 390, height: 780 },
  deviceScaleFactor: 2,
  hasTouch: true,
  isMobile: true,
};

/** What a multifunction printer has on its front: small, and without script. */
export const panel: BrowserContextOptions = {
  viewport: { width: 1024, height: 600 },
  javaScriptEnabled: false,
};

/** Keeps a picture of the whole page. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true });
}

interface Violation {
  id: string;
  nodes: { html: string; failureSummary?: string }[];
}

/** The same page where scripts run, for axe-core: what a page without script shows is all there is of it. */
export async function scriptedTwin(browser: Browser, page: Page): Promise<Page> {
  const twin = await browser.newPage({ ...panel, javaScriptEnabled: true });
  const body = await page.content();
  await twin.route(page.url(), (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body }));
  await twin.goto(page.url());
  return twin;
}

/** What axe-core finds against WCAG 2.2 AA and its own good practices. */
export async function violations(page: Page): Promise<string[]> {
  const found = await inWorld(page, `${axe}; axe.run(document).then((result) => result.violations)`);
  return (found as Violation[]).map(({ id, nodes }) =>
    `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`
  );
}

/** Runs a script of the test in the page, beside the page's own, whose policy forbids all others. */
async function inWorld(page: Page, expression: string): Promise<unknown> {
  const session = await page.context().newCDPSession(page);
  try {
    const { frameTree } = await session.send('Page.getFrameTree');
    const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', {
      frameId: frameTree.frame.id,
    });
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      ...{ expression, contextId, awaitPromise: true, returnByValue: true },
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  } finally {
    await session.detach();
  }
}
