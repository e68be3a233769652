/** Super nodes, as a phone or a print dialog in their LAN sees them: by a real avahi-daemon and real clients. */
import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCredential } from '../../src/datadir.ts';
import { toPem } from '../../mesh/authority.ts';
import { hostTtl_s } from '../../src/submit/advertise.ts';
import { type Avahi, avahiTools, type Found, startAvahi } from '../fakes/avahi.ts';
import { type Cups, startCups } from '../fakes/cups.ts';
import { jpeg, pdf, pwgRaster } from '../fakes/ipp-samples.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools, toolPath } from '../fakes/require.ts';
import type { Machine } from './hosts/machine.ts';
import { canIsolate, inside } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation } from './hosts/organisation.ts';

const run = promisify(execFile);
/** a client that would wait for its user */
const unasked = ['sh', '-c', '"$@" </dev/null', 'sh'];
const port = 9265;
const host = 'inkmesh-a.local';
const clients = ['cupsd', 'curl', 'lp', 'lpadmin', 'lpstat', 'openssl', 'python3'];
/** until a node that has started is a super node, with its site's key */
const ready_ms = 60_000;

if (canIsolate() && requireTools([...avahiTools, ...clients])) {
  const network = new Network();
  const site = network.site('a', { lans: 2 });
  const org = await HostOrganisation.found(network.place('a1', site));
  const fronts = await org.join(['a2', 'a3'].map((name) => network.place(name, site)), { role: 'front' });
  const phone = network.place('phone', site);
  const laptop = network.place('laptop', site, 2);
  const { trust, token } = await readCredential(org.ada);
  let avahi: Avahi;
  let cups: Cups;
  /** the certificate that the phone has seen first */
  let pinned: X509Certificate;

  const folder = tempDir();
  const rootFile = join(folder, 'root.pem');

  test.before(async () => {
    writeFileSync(rootFile, toPem('CERTIFICATE', trust.root));
    avahi = await startAvahi((...command) => inside(phone.namespace, ...command));
    for (const machine of fronts) await machine.start();
    await org.connected();
  });

  test.after(async () => {
    await cups?.stop();
    await avahi?.stop();
    await org.stop();
  });

  const until = (
    what: string,
    type: string,
    wanted: (found: Found[]) => boolean,
    { deadline_ms = ready_ms, by = avahi } = {},
  ) =>
    waitFor(async () => {
      const found = await by.browse(type);
      return wanted(found) ? found : undefined;
    }, { deadline_ms, what });

  const at = ({ place }: Machine) => place.address;

  /** The certificate that a machine shows for the site's name, once it leads to the organisation's root. */
  const shown = async (machine: Machine, name = host): Promise<X509Certificate> => {
    const [command, ...args] = inside(
      phone.namespace,
      ...[...unasked, toolPath('openssl') ?? 'openssl', 's_client', '-connect', `${at(machine)}:${port}`],
      ...['-servername', name, '-CAfile', rootFile, '-verify_return_error', '-verify_hostname', name],
    );
    const { stdout } = await run(command, args, { timeout: 10_000 });
    return new X509Certificate(/-----BEGIN[^]*?-----END CERTIFICATE-----/.exec(stdout)?.[0] ?? '');
  };

  /** Prints at the site’s name, of which all addresses are known, to nobody but who has the pinned key. */
  const print = async (): Promise<string> => {
    const spki = pinned.publicKey.export({ type: 'spki', format: 'der' });
    const pin = `sha256//${createHash('sha256').update(spki).digest('base64')}`;
    const [command, ...args] = inside(
      phone.namespace,
      ...[toolPath('curl') ?? 'curl', '--silent', '--show-error', '--fail-with-body', '--cacert', rootFile],
      ...['--pinnedpubkey', pin, '--resolve', `${host}:${port}:${fronts.map(at).join(',')}`],
      ...['--user', `ada:${token}`, '-H', 'Content-Type: application/pdf', '--data-binary', '%PDF-1.7'],
      `https://${host}:${port}/print?title=Saved`,
    );
    return (await run(command, args, { timeout: 30_000 })).stdout;
  };

  test('a print dialog finds the site’s queue, with the subtype that AirPrint asks for', async () => {
    const [found] = await until('the queue', '_ipps._tcp', (list) => list.length > 0);
    assert.is(found?.name, 'inkmesh a');
    assert.is(found?.host, host);
    assert.is(found?.port, port);
    const txt = new Map(found?.txt.map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
    assert.is(txt.get('rp'), 'ipp/print');
    assert.is(txt.get('air'), 'username,password');
    assert.match(txt.get('pdl') ?? '', /application\/pdf.*image\/urf/);
    assert.match(txt.get('URF') ?? '', /^V1\.\d,.*SRGB24/);
    assert.match(txt.get('UUID') ?? '', /^[0-9a-f-]{36}$/);
    for (const key of ['TLS', 'ty', 'note', 'adminurl', 'Color', 'Duplex', 'kind', 'PaperMax', 'priority']) {
      assert.ok(txt.get(key), key);
    }
    for (const subtype of ['_universal', '_print']) {
      await until(
        subtype,
        `${subtype}._sub._ipps._tcp`,
        (list) => list.some(({ name }) => name === 'inkmesh a'),
      );
    }
    assert.equal(await avahi.browse('_ipp._tcp'), [], 'plain HTTP is off');
  });

  test('ippfind lists it', async () => {
    const look = async () => (await avahi.client('ippfind', '-T', '3', '_ipps._tcp')).trim() || undefined;
    const uri = await waitFor(look, { deadline_ms: ready_ms, what: 'ippfind to list something' });
    assert.is(uri, `ipps://${host}:${port}/ipp/print`);
    const secure = await avahi.client('ippfind', '-T', '3', '_ipps._tcp,_universal', '--txt-air', 'username');
    assert.is(secure.trim(), `ipps://${host}:${port}/ipp/print`);
  });

  test('a client that knows plain DNS alone gets an answer of its own, which it soon forgets', async () => {
    const flags = process.versions['deno'] === undefined ? [] : ['run', '--allow-all'];
    const script = fileURLToPath(new URL('../fakes/plain-dns.ts', import.meta.url));
    const [command, ...args] = inside(phone.namespace, process.execPath, ...flags, script, host, 'A');
    const { stdout } = await run(command, args, { timeout: 30_000 });
    const { id, asked: [question], answers: [answer, other] } = JSON.parse(stdout);
    assert.equal([id, question.name, question.type], [4711, host, 'A']);
    assert.ok(fronts.map(at).includes(answer.data));
    assert.ok(answer.ttl <= 10 && !answer.flush && other === undefined, stdout);
  });

  test('a question from port 0, to which no answer can be sent, harms no super node', async () => {
    const script = fileURLToPath(new URL('../fakes/port-zero.py', import.meta.url));
    const [command, ...args] = inside(
      phone.namespace,
      'python3',
      script,
      '_ipps._tcp.local',
      ...fronts.map(at),
    );
    await run(command, args, { timeout: 30_000 });
    await avahi.client('ippfind', '-T', '3', '_ipps._tcp');
    assert.equal((await org.admin<{ supers: string[] }>('status')).supers.sort(), ['a2', 'a3']);
    for (const front of fronts) assert.ok(front.running, front.name);
  });

  test('both super nodes show one certificate for the site’s names, and their own for theirs', async () => {
    const [one, other] = fronts as [Machine, Machine];
    assert.equal((await org.admin<{ supers: string[] }>('status')).supers.sort(), ['a2', 'a3']);
    pinned = await shown(one);
    const { fingerprint256 } = pinned;
    assert.is((await shown(other)).fingerprint256, fingerprint256);
    assert.is((await shown(other, 'a.inkmesh.internal')).fingerprint256, fingerprint256);
    assert.is.not((await shown(one, 'a2.local')).fingerprint256, fingerprint256);
    assert.match(await print(), /"state":"held"/);
  });

  /** Prints a file to the queue that CUPS has, and waits until the mesh holds it under the file's name. */
  const lp = async (title: string, document: Uint8Array, by: Machine): Promise<void> => {
    const file = join(folder, title);
    writeFileSync(file, document);
    await cups.client('lp', '-d', 'office', '-t', title, file);
    const held = async () => (await org.jobs(by)).find((job) => job.title === title && job.state === 'held');
    await waitFor(held, { deadline_ms: ready_ms, what: `${title} to be held; ${cups.log()}` });
  };

  test('a CUPS queue made from what was found, without a driver, prints PDF, JPEG and PWG raster', async () => {
    // what libnss-mdns would do
    const hosts = join(folder, 'hosts');
    writeFileSync(
      hosts,
      ['127.0.0.1 localhost', ...fronts.map((front) => `${at(front)} ${host}`), ''].join('\n'),
    );
    const script = `mount --bind ${hosts} /etc/hosts && exec "$@"`;
    const there = (...command: string[]) =>
      inside(phone.namespace, 'unshare', '--mount', 'sh', '-c', script, 'sh', ...command);
    cups = await startCups({ inside: there });
    const uri = (await avahi.client('ippfind', '-T', '3', '_ipps._tcp,_print')).trim();
    await cups.addEverywhere('office', uri.replace('ipps://', `ipps://ada:${token}@`));
    await lp('one.pdf', pdf(), org.registrar);
    await lp('two.jpg', jpeg(), org.registrar);
    await lp('three.pwg', pwgRaster('srgb-8', 300, [595, 842]), org.registrar);
  });

  test('it is there on every LAN of a super node, by its address in that LAN', async () => {
    const [first] = fronts as [Machine];
    const address = network.alsoIn(first.place, 2);
    const there = await startAvahi((...command) => inside(laptop.namespace, ...command));
    try {
      const [found] = await until('the queue', '_ipps._tcp', (list) => list.length > 0, { by: there });
      assert.equal([found?.name, found?.host, found?.address], ['inkmesh a', host, address]);
    } finally {
      await there.stop();
    }
  });

  test('a profile leads phones without mDNS to the site’s name', async () => {
    const file = join(folder, 'a.mobileconfig');
    const made = await org.admin<{ uri: string; fronts: string[] }>('site', 'profile', 'a', file);
    assert.is(made.uri, `ipps://a.inkmesh.internal:${port}/ipp/print`);
    assert.equal([...made.fronts].sort(), fronts.map(({ name }) => name).sort());
    const profile = readFileSync(file, 'utf8');
    assert.ok(profile.includes('<string>a.inkmesh.internal</string>'));
    assert.ok(profile.includes(trust.root.toBase64()));
    const nowhere = org.admin('site', 'profile', 'b', file).then(() => '', (error: Error) => error.message);
    assert.match(await nowhere, /no node of the site "b" faces phones: inkmesh invite node/);
  });

  test('after kill -9 of one the saved printer leads to the other, with the same certificate', async () => {
    const [before] = await until('an address', '_ipps._tcp', (list) => list.length > 0);
    const killed = fronts.find((machine) => at(machine) === before?.address);
    const left = fronts.find((machine) => machine !== killed);
    assert.ok(killed !== undefined && left !== undefined, before?.address);
    await killed.kill();
    const [after] = await until(
      ...['the other address', '_ipps._tcp'] as const,
      (list) => list.length > 0 && list.every(({ address }) => address === at(left)),
      { deadline_ms: hostTtl_s * 1000 },
    );
    assert.equal({ ...after, address: '' }, { ...before, address: '' });
    assert.is((await shown(left)).fingerprint256, pinned.fingerprint256);
    assert.match(await print(), /"state":"held"/);
    await lp('four.pdf', pdf(), left);
    await killed.start();
    await org.connected();
  });

  test('one that stops leaves the queue there, and the last one takes it away', async () => {
    const [one, other] = fronts as [Machine, Machine];
    await other.stop();
    await until(
      ...['the queue', '_ipps._tcp'] as const,
      (list) => list.length > 0 && list.every(({ address }) => address === at(one)),
    );
    await one.stop();
    await until('the queue to be gone', '_ipps._tcp', (list) => list.length === 0);
  });
} else test.skip('avahi-daemon on a machine of its own needs network namespaces');

test.run();
