/** A cloud node behind nginx, with the configuration that docs/CLOUD.md prints: pages, nodes, releases as they go. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../mesh/codec.ts';
import { signGrant, signRequest, toPem } from '../../mesh/mod.ts';
import { freePort } from '../../src/cli/children.ts';
import { runInside } from '../../src/cli/run.ts';
import { files, readCredential, readNode, type RunFile } from '../../src/datadir.ts';
import type { Check, Finding } from '../../src/doctor/finding.ts';
import { type Between, startNginx } from '../fakes/between.ts';
import { browserTools, phone, startBrowser } from '../fakes/browser.ts';
import { type Kept, line, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import { type Organisation, program, startOrganisation } from './organisation.ts';

const patience = { deadline_ms: 60_000 };
/** where a client of the proxy is that is not the proxy */
const elsewhere = '127.0.0.2';
const documentBytes = 2 * 1024 * 1024;

if (requireTools([...browserTools, 'nginx'])) {
  let org: Organisation;
  let nginx: Between;
  let cloud: Kept;
  let browser: Browser | undefined;
  let printer: Sink;
  let peer: string;
  const dir = join(tempDir(), 'cloud');

  /** Founds a cloud node that a proxy is in front of; node a1 hears of it. */
  const startCloud = async () => {
    const a1 = org.node('a1');
    const invite = ['invite', 'node', '--site', 'cloud', '--role', 'cloud', '--dir', a1.dir];
    const { token } = await runInside<{ token: string }>(invite);
    await runInside(['join', token, '--dir', dir, '--node', 'cloud', '--set', 'ports.mesh=0']);
    const port = await freePort();
    nginx = await startNginx(port, (await readNode(dir)).tls);
    const settings = {
      listen: `127.0.0.1:${port}`,
      url: nginx.url,
      tls: 'none',
      trustedProxies: ['127.0.0.1'],
    };
    writeFileSync(files.config(dir), JSON.stringify(settings));
    const [command, ...first] = program();
    cloud = spawnKept(command, [...first, 'cloud', '--dir', dir, '--json']);
    const [text] = await line(cloud, /^\{.*\}$/, patience);
    assert.is((JSON.parse(text) as RunFile & { url: string }).url, nginx.url);
    const config = files.config(a1.dir);
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), cloud: nginx.url }));
    await org.restart('a1');
    ({ peer } = JSON.parse(readFileSync(join(a1.dir, 'run.json'), 'utf8')) as RunFile);
  };

  const asAdmin = (...command: string[]) => [
    ...command,
    ...['--dir', dir, '--credential', files.adminCredential(org.node('a1').dir)],
  ];

  test.before(async () => {
    org = await startOrganisation();
    await startCloud();
    printer = await startSink({ stallAfter: 1024 });
    await org.addPrinter(printer.uri, 'slow');
    const { trust } = await readCredential(org.user('ada').credential);
    browser = await startBrowser({
      ...{ root: toPem('CERTIFICATE', trust.root), hosts: { localhost: '127.0.0.1' } },
    });
  });

  test.after(async () => {
    await browser?.close();
    if (cloud !== undefined) await stop(cloud, patience);
    await Promise.all([nginx, printer, org].map((one) => one?.stop()));
  });

  /** Sizes of what came out; who only asks whether the printer is there sends nothing. */
  const printed = () => printer.documents.map(({ bytes }) => bytes).filter((bytes) => bytes > 0);

  const submit = async (title: string): Promise<string> => {
    const file = join(tempDir(), 'document');
    writeFileSync(file, randomBytes(documentBytes));
    const { id } = await runInside<{ id: string }>(['print', file, '--title', title, ...org.as('ada', 'a1')]);
    return id;
  };

  /** Asks the proxy from another address than its own. */
  const ask = async (
    path: string,
    headers: Record<string, string>,
    body: string,
  ): Promise<IncomingMessage> => {
    const { trust } = await readCredential(org.user('ada').credential);
    const request = httpsRequest(`${nginx.url}${path}`, {
      ...{ method: 'POST', headers, ca: toPem('CERTIFICATE', trust.root), localAddress: elsewhere },
      ...{ host: '127.0.0.1', servername: 'localhost' },
    });
    request.end(body);
    const [response] = await once(request, 'response') as [IncomingMessage];
    return response;
  };

  test('nodes are connected to it by WebSocket', async () => {
    const members = await waitFor(async () => {
      const { members, websockets } = await runInside<
        { members: { name: string }[]; websockets: { open: number } }
      >(
        asAdmin('status'),
      );
      return websockets.open >= 1 && members.length >= 1 ? members : undefined;
    }, { ...patience, what: 'a1 to be connected' });
    assert.ok(members.some(({ name }) => name === 'a1'));
  });

  test('a release is answered step by step, while the printer is still at it', async () => {
    const id = await submit('Step by step');
    const credential = await readCredential(org.user('ada').credential);
    const grant = await signGrant(credential, {
      ...{ job: id, claimant: peer, target: 'slow', options: encode({}), action: 'release', confirm: [] },
    }, Date.now());
    const path = `/v1/jobs/${id}/release`;
    const body = JSON.stringify({
      ...{ printer: 'slow', options: {}, grant: Buffer.from(grant).toString('base64') },
    });
    const bodyHash = new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from(body)));
    const signed = await waitFor(async () => {
      const authorization = await signRequest(
        credential,
        { method: 'POST', path, audience: peer, bodyHash },
        Date.now(),
      );
      const response = await ask(`/forward/${peer}${path}`, {
        ...{ authorization: `Inkmesh ${authorization}`, 'content-type': 'application/json' },
      }, body);
      return response.statusCode === 200 ? response : response.resume() && undefined;
    }, { ...patience, what: 'the cloud node to pass the release on' });
    let said = '';
    signed.setEncoding('utf8').on('data', (part: string) => said += part);
    const ended = once(signed, 'end');
    await waitFor(() => /"sent":\d+/.test(said) || undefined, { ...patience, what: 'the first step' });
    assert.not.match(said, /"result"/, 'the printer has not taken it yet');
    printer.go();
    await ended;
    assert.match(said, /"outcome":"sent"/);
    assert.equal(printed(), [documentBytes]);
  });

  test('who is refused is known by the address that the proxy has seen, whatever it says itself', async () => {
    const forged = { 'x-forwarded-for': '203.0.113.9', 'content-type': 'application/json' };
    const response = await ask(`/forward/${peer}/v1/jobs/x/release`, forged, '{}');
    response.resume();
    assert.is(response.statusCode, 403);
    const rows = await waitFor(async () => {
      const list = await runInside<{ what: string; from: string | null }[]>(asAdmin('audit'));
      const refused = list.filter(({ what }) => what === 'refused');
      return refused.length > 0 ? refused : undefined;
    }, { ...patience, what: 'the refusal to be in the trail' });
    assert.equal([...new Set(rows.map(({ from }) => from))], [elsewhere]);
  });

  /** The doctor on the cloud node's directory. */
  const examined = async (...set: string[]) => {
    const flags = set.flatMap((one) => ['--set', one]);
    const { json, code } = await org.ink<{ healthy: boolean; findings: Finding[] }>(
      ['doctor', '--dir', dir, ...flags],
      { expectCode: null },
    );
    assert.is(code, json.healthy ? 0 : 1);
    const levels = (level: Finding['level']) =>
      json.findings.filter((finding) => finding.level === level).map(({ check }) => check).join(' ');
    return {
      ...{ healthy: json.healthy, levels },
      of: (check: Check) => json.findings.find((finding) => finding.check === check),
    };
  };

  test('its settings are shown as they are, and the doctor knows what a cloud node needs', async () => {
    const token = 'metricsToken=0123456789abcdef';
    await runInside(['config', 'show', '--dir', dir, '--set', token]).then(
      () => assert.unreachable('a secret was taken on a command line'),
      () => {},
    );
    const { settings } = await runInside<
      { settings: { key: string; value: unknown; origin: string | null }[] }
    >(
      ['config', 'show', '--dir', dir],
    );
    const shown = new Map(settings.map(({ key, value, origin }) => [key, [value, origin]]));
    assert.equal(shown.get('url'), [nginx.url, `${files.config(dir)}:1`]);
    assert.equal(shown.get('drain_s'), [30, null]);
    assert.not(shown.has('storage'), 'it has no settings of an edge node');
    const { healthy, levels, of } = await examined();
    assert.ok(healthy, JSON.stringify(levels('fail')));
    assert.is(levels('warn'), '');
    assert.is(
      levels('ok'),
      'configuration identity certificate tls disk service ports url registrar clock',
    );
    assert.match(of('registrar')?.message ?? '', /^a1 connected$/);
    assert.match(of('url')?.message ?? '', new RegExp(nginx.url));
  });

  test('the doctor names what is wrong with a cloud node, and what mends it', async () => {
    const wrong = async (check: Check, level: Finding['level'], message: RegExp, ...set: string[]) => {
      const finding = (await examined(...set)).of(check);
      assert.is(finding?.level, level, JSON.stringify(finding));
      assert.match(finding?.message ?? '', message);
      assert.ok(finding?.fix, check);
    };
    await wrong('configuration', 'fail', /listen/, 'listen=nowhere');
    await wrong('url', 'warn', /asked from this machine/, `url=https://127.0.0.1:${await freePort()}`);
    const [key, certificate] = [join(tempDir(), 'key'), join(tempDir(), 'certificate')];
    const files = `tls={"key":"${key}","certificate":"${certificate}"}`;
    await wrong('tls', 'fail', /cannot be read/, files);
    const { tls } = await readNode(dir);
    writeFileSync(key, tls.key);
    writeFileSync(certificate, tls.cert);
    assert.match((await examined(files)).of('tls')?.message ?? '', /valid until|ends on/);
    writeFileSync(key, (await readNode(org.node('a1').dir)).tls.key);
    await wrong('tls', 'fail', /not that of the certificate/, files);
  });

  test('a browser enrols there, and prints', async () => {
    await submit('By the browser');
    const { cloud_link } = await runInside<{ cloud_link: string }>([
      ...['user', 'invite', 'ada', '--dir', org.node('a1').dir],
    ]);
    assert.ok(cloud_link.startsWith(`${nginx.url}/enrol#`), cloud_link);
    const page = await (await browser!.newContext(phone)).newPage();
    page.setDefaultTimeout(patience.deadline_ms);
    await page.goto(cloud_link);
    await page.getByRole('button', { name: 'Add this browser' }).click();
    await page.getByRole('heading', { name: 'My documents' }).waitFor();
    await page.goto(`${nginx.url}/?printer=slow`);
    await page.getByRole('button', { name: 'Print By the browser' }).click();
    await page.locator('#status', { hasText: 'slow' }).waitFor();
    await waitFor(() => printed().length === 2 || undefined, { ...patience, what: 'it to come out' });
  });

  test('the doctor says how a cloud node is started that does not run', async () => {
    await stop(cloud, patience);
    const { healthy, of } = await examined();
    assert.not(healthy);
    assert.match(of('service')?.message ?? '', /no cloud node runs/);
    assert.is(of('service')?.fix, `inkmesh cloud --dir ${dir}`);
    assert.match(of('ports')?.message ?? '', /^TCP \d+ is free$/);
    assert.match(of('url')?.message ?? '', /status 502/);
  });
}

test.run();
