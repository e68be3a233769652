/** What the doctor says of a machine by itself: each fault is made, found by its name, and told with what mends it. */
import { chmodSync, chownSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rejects } from 'node:assert/strict';
import { createServer as createHttpServer, type Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { importAuthority } from '../../mesh/authority.ts';
import { certifyNode } from '../../mesh/issue.ts';
import { toPem } from '../../mesh/mod.ts';
import { freePort } from '../../src/cli/children.ts';
import { startTestPrinter } from '../../src/cli/demo-printer.ts';
import { readNode, readRun } from '../../src/datadir.ts';
import type { Check, Finding } from '../../src/doctor/finding.ts';
import { askHealth, clock, peers, printers, reachable } from '../../src/doctor/mesh.ts';
import { openPorts } from '../../src/doctor/ports.ts';
import { readConfig } from '../../src/config.ts';
import { type Kept, line, spawnKept, stop, tempDir } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { ink, program } from './organisation.ts';

const day_ms = 24 * 3600_000;
const ready_ms = 60_000;
const dir = join(tempDir(), 'a1');
const ports = { http: null, mesh: await freePort(), https: await freePort(), release: await freePort() };
const settings = { address: '127.0.0.1', mdns: false, ports };

await ink(['org', 'init', '--name', 'Doctor', '--site', 'a', '--node', 'a1', '--dir', dir]);
const configure = (config: object) => writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
configure(settings);
let node: Kept | undefined;

test.after(async () => {
  if (node !== undefined) await stop(node);
});

interface Diagnosis {
  healthy: boolean;
  findings: Finding[];
}

/** The doctor, as people call it. @param args more of them */
async function examined(...args: string[]): Promise<Diagnosis & { of(check: Check): Finding | undefined }> {
  const { json, code } = await ink<Diagnosis>(['doctor', '--dir', dir, ...args], { expectCode: null });
  assert.is(code, json.healthy ? 0 : 1);
  assert.is(json.healthy, json.findings.every(({ level }) => level !== 'fail'));
  return { ...json, of: (check) => json.findings.find((finding) => finding.check === check) };
}

function told(finding: Finding | undefined, level: Finding['level'], message: RegExp, fix: RegExp): void {
  assert.is(finding?.level, level, JSON.stringify(finding));
  assert.match(finding?.message ?? '', message);
  assert.match(finding?.fix ?? '', fix);
}

/** With a variable of the environment set. */
async function withVariable<T>(name: string, value: string, action: () => Promise<T>): Promise<T> {
  process.env[name] = value;
  try {
    return await action();
  } finally {
    delete process.env[name];
  }
}

async function listening<T extends Server | ReturnType<typeof createServer>>(server: T): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return (server.address() as AddressInfo).port;
}

async function startNode(): Promise<void> {
  const [command, ...first] = program();
  node = spawnKept(command, [...first, 'node', '--dir', dir, '--json']);
  await line(node, /^\{"ready".*\}$/, { deadline_ms: ready_ms });
}

test('a directory of no node', async () => {
  const { json } = await ink<Diagnosis>(['doctor', '--dir', join(dir, 'none')], { expectCode: 1 });
  const of = (check: Check) => json.findings.find((finding) => finding.check === check);
  told(of('identity'), 'fail', /belongs to no node/, /^inkmesh join TOKEN --dir /);
  told(of('disk'), 'fail', /is not there/, /^inkmesh join/);
  told(of('service'), 'fail', /no node runs/, /^inkmesh node --dir /);
});

test('a configuration that is wrong, with the line', async () => {
  writeFileSync(join(dir, 'config.json'), '{\n  "mdns": "no"\n}');
  told((await examined()).of('configuration'), 'fail', /config\.json:2: mdns/, /inkmesh config show --dir/);
  writeFileSync(join(dir, 'config.toml'), 'mdns = false\n');
  told(
    (await examined()).of('configuration'),
    'fail',
    /only one of them can count/,
    /inkmesh config show --dir/,
  );
  rmSync(join(dir, 'config.toml'));
  configure(settings);
});

test('a key file that is another account’s, and a port that only administrators may open', async () => {
  const file = join(dir, 'node.json');
  const isRoot = process.getuid?.() === 0;
  if (isRoot && !requireTools(['setpriv'])) return;
  // an administrator without what makes one, as this account may be the only one that reaches the program
  const lesser = ['setpriv', '--bounding-set', '-net_bind_service,-dac_override,-dac_read_search'];
  if (isRoot) chownSync(file, 65534, 65534);
  else chmodSync(file, 0o000);
  const [command, ...args] = [...isRoot ? lesser : [], ...program()];
  const doctor = ['doctor', '--dir', dir, '--set', 'ports.mesh=80', '--json'];
  const kept = spawnKept(command as string, [...args, ...doctor]);
  assert.is((await kept.ended).code, 1);
  const { findings } = JSON.parse(kept.stdout()) as Diagnosis;
  const of = (check: Check) => findings.find((finding) => finding.check === check);
  told(of('identity'), 'fail', /node\.json cannot be read/, /inkmesh doctor as the administrator/);
  told(of('ports'), 'fail', /TCP port 80 \(mesh\): EACCES/, /ports from 1024 on/);
  if (isRoot) chownSync(file, 0, 0);
  else chmodSync(file, 0o600);
});

test('a key file that is damaged', async () => {
  const file = join(dir, 'node.json');
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, 100));
  told((await examined()).of('identity'), 'fail', /damaged/, /restore it from a backup/);
  writeFileSync(file, whole);
});

/** Gives the node a certificate that was made so many days ago. */
async function lapse(age_days: number): Promise<void> {
  const file = join(dir, 'node.json');
  const { identity: { name, site, peerId, roles, publicKey } } = await readNode(dir);
  const authority = await importAuthority(JSON.parse(readFileSync(join(dir, 'registrar.json'), 'utf8')));
  const subject = { name, site, peerId, roles, publicKey };
  const { leaf } = await certifyNode(authority, subject, ['127.0.0.1'], Date.now() - age_days * day_ms);
  const json = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...json, certificate: toPem('CERTIFICATE', leaf) }));
}

test('a certificate that was not renewed, and one that has ended', async () => {
  const file = join(dir, 'node.json');
  const whole = readFileSync(file, 'utf8');
  for (
    const [age_days, level, message] of [[70, 'warn', /ends on/], [100, 'fail', /expired|not valid/]] as const
  ) {
    await lapse(age_days);
    told((await examined()).of('certificate'), level, message, /start a registrar/);
  }
  writeFileSync(file, whole);
  assert.is((await examined()).of('certificate')?.level, 'ok');
});

test('a disk without room', async () => {
  const reserve = (bytes: number) => examined('--set', `storage.reserve_bytes=${Math.round(bytes)}`);
  told((await reserve(2 ** 52)).of('disk'), 'fail', /no document can be taken/, /free some space/);
  const free = Number(/^([\d.]+) GiB/.exec((await reserve(0)).of('disk')?.message ?? '')?.[1]) * 1024 ** 3;
  told((await reserve(free * 0.95)).of('disk'), 'warn', /tight/, /free some space/);
});

test('ports that another program has, and an address of another machine', async () => {
  const other = createServer();
  const port = await listening(other);
  const { of } = await examined('--set', `ports.mesh=${port}`);
  told(of('ports'), 'fail', new RegExp(`${port} \\(mesh\\) is taken`), /ss -lntp|lsof|netstat/);
  other.close();
  told(
    (await examined('--set', 'address=192.0.2.1')).of('ports'),
    'fail',
    /no address of this machine/,
    /0\.0\.0\.0/,
  );
  told((await examined()).of('service'), 'fail', /no node runs/, /^inkmesh node --dir/);
});

test('a proxy and a cloud that do not answer, and a proxy that does not let anybody through', async () => {
  const nobody = await freePort();
  const cloud = `cloud=https://127.0.0.1:${nobody}`;
  told((await examined('--set', cloud)).of('cloud'), 'warn', /does not answer/, /allow TCP to 127\.0\.0\.1/);
  const refusing = createHttpServer().on('connect', (_request, socket) => {
    socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
  });
  const leading = createHttpServer().on('connect', (_request, socket) => {
    socket.end('HTTP/1.1 200 Connection established\r\n\r\n');
  });
  const far = ['--set', 'cloud=https://cloud.example'];
  const through = (proxy: string) => withVariable('HTTPS_PROXY', proxy, () => examined(...far));
  const [refused, led] = [await listening(refusing), await listening(leading)];
  const dead = await through(`http://127.0.0.1:${nobody}`);
  told(dead.of('proxy'), 'fail', /does not answer/, /set HTTPS_PROXY/);
  told(dead.of('cloud'), 'warn', /proxy is at fault/, /set HTTPS_PROXY/);
  told((await through('socks://127.0.0.1:1')).of('proxy'), 'fail', /http: proxy/, /set HTTPS_PROXY/);
  told(
    (await through(`http://127.0.0.1:${refused}`)).of('cloud'),
    'warn',
    /status 403/,
    /CONNECT to cloud\.example:443/,
  );
  assert.is((await through(`http://127.0.0.1:${led}`)).of('cloud')?.level, 'ok');
  const mute = createServer((socket) => socket.destroy());
  told(
    (await through(`http://127.0.0.1:${await listening(mute)}`)).of('cloud'),
    'warn',
    /status none/,
    /CONNECT to cloud\.example:443/,
  );
  mute.close();
  assert.is((await examined('--set', `cloud=https://127.0.0.1:${led}`)).of('cloud')?.level, 'ok');
  refusing.close();
  leading.close();
});

test('a node that runs alone, without printers', async () => {
  await startNode();
  const { healthy, of } = await examined();
  assert.is(healthy, true);
  const well = ['configuration', 'identity', 'certificate', 'disk', 'service', 'ports', 'clock'] as const;
  for (const check of [...well, 'reachable'] as const) {
    assert.is(of(check)?.level, 'ok', check);
  }
  told(of('peers'), 'warn', /the only node/, /^inkmesh invite node/);
  told(of('printers'), 'warn', /has none/, /inkmesh printer add/);
});

test('a printer that this machine does not reach', async () => {
  const printer = await startTestPrinter({ dir: tempDir() });
  await ink(['printer', 'add', printer.uri, '--name', 'floor-1', '--site', 'a', '--dir', dir]);
  await printer.stop();
  const { of } = await examined();
  told(of('printers'), 'warn', /cannot connect to floor-1/, /^inkmesh printer status floor-1/);
});

test('who has not the key file is told nothing', async () => {
  const secrets = await readNode(dir);
  await rejects(askHealth(await readRun(dir), { ...secrets, sealKey: 'AGE-SECRET-KEY-1OTHER' }), /401/);
});

test('a node that does not answer, and one that has died', async () => {
  // Deno's child.kill does nothing the second time
  const pid = node?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  const { of } = await examined();
  told(of('service'), 'fail', /is not well: it does not answer/, /^end process \d+, then inkmesh node --dir/);
  process.kill(pid, 'SIGKILL');
  await node?.ended;
  const dead = await examined();
  told(dead.of('service'), 'fail', /has died/, /^inkmesh node --dir/);
  assert.is(dead.of('ports')?.level, 'ok');
});

test('what a node warns of itself', async () => {
  // it was enrolled 70 days ago, and is no registrar, which would renew its own certificate
  const [file, registrar] = [join(dir, 'node.json'), join(dir, 'registrar.json')];
  const whole = readFileSync(file, 'utf8');
  await lapse(70);
  renameSync(registrar, `${registrar}.away`);
  await startNode();
  const { findings } = await examined();
  told(
    findings.find(({ check, level }) => check === 'service' && level === 'warn'),
    'warn',
    /certificate of this node ends on/,
    /^inkmesh status --dir/,
  );
  if (node !== undefined) await stop(node);
  renameSync(`${registrar}.away`, registrar);
  writeFileSync(file, whole);
});

test('what only several machines show', async () => {
  const config = await readConfig({ file: join(dir, 'config.json') });
  const run = { pid: 1, peer: 'p', ports: { ...ports, http: null } };
  told(await openPorts(config, run), 'fail', /nobody answers at TCP .*mesh/, /restart the node/);
  const health = {
    alone: false,
    registrars: [],
    members: ['a2', 'a3'],
    probed: [],
    relays: [],
    clockOff_ms: 0,
    printers: [],
    warnings: [],
  };
  const probed = [{ name: 'a2', reachable: false }, { name: 'a3', reachable: null }];
  told(
    reachable({ ...health, probed }, run),
    'fail',
    /a2 cannot connect to TCP port/,
    /inkmesh install --firewall/,
  );
  const relayed = { ...health, relays: ['cloud'] };
  told(
    reachable({ ...relayed, probed }, run),
    'warn',
    /through cloud, as a2 cannot connect to TCP port/,
    /inkmesh install --firewall/,
  );
  const untried = reachable({ ...relayed, probed: [{ name: 'cloud', reachable: null }] }, run);
  assert.is(untried.level, 'ok');
  assert.match(untried.message, /through cloud; no other node of this site has tried TCP port/);
  told(
    reachable({ ...health, members: [] }, run),
    'warn',
    /no other node is connected/,
    /start another node/,
  );
  told(reachable(health, run), 'warn', /nobody knows yet/, /start another node/);
  told(peers({ ...health, members: ['a2'] }), 'warn', /only a2/, /`peers`/);
  told(peers({ ...health, members: [] }), 'fail', /no other node/, /start the other nodes/);
  assert.is(peers(health).level, 'ok');
  told(clock({ ...health, clockOff_ms: 30_000 }), 'warn', /30\.0 s ahead/, /timedatectl|w32tm|sntp/);
  told(clock({ ...health, clockOff_ms: -90_000 }), 'fail', /90\.0 s behind/, /timedatectl|w32tm|sntp/);
  assert.is(printers({ ...health, printers: [{ name: 'p', reached: true }] }).level, 'ok');
});

test.run();
