/**
 * The service of Linux under a real systemd: installed with a token, shut in as its unit says, printing, and there again
 * after all that a machine goes through, until it is removed.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding } from '../../src/doctor/finding.ts';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools, toolPath } from '../fakes/require.ts';
import { Booted } from './hosts/booted.ts';
import { canIsolate, inside } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { type Accepted, HostOrganisation, noise, prints, untilPrinted } from './hosts/organisation.ts';
import { filesOf } from './hosts/root.ts';

const binary = process.env['INKMESH_TEST_BINARY'] ?? '';
const patience_ms = 60_000;

interface InstalledView {
  changed: string[];
  healthy: boolean;
  findings: Finding[];
}

if (binary === '') {
  test.skip('these need the binary: deno task test:binary');
} else if (canIsolate() && requireTools(['systemd-nspawn', 'unshare', 'nft'])) {
  const network = new Network();
  const site = network.site('a');
  const org = await HostOrganisation.found(network.place('a1', site));
  const [a2] = await org.join([network.place('a2', site)]);
  await a2?.start();
  const printer = await org.addPrinter(network.place('floor-1', site));
  const pc = new Booted(network.place('pc', site), binary);
  await pc.boot();
  const before = filesOf(pc.root).filter(isOurs);
  const accounts = readFileSync(join(pc.root, 'etc/passwd'), 'utf8');
  copyFileSync(org.ada, join(pc.root, 'ada'));

  test.after(async () => {
    await pc.close();
    await org.stop();
  });

  /** A command of the installed program. @throws Error unless it ends with 0 */
  const ink = async <T>(...args: string[]): Promise<T> => {
    const ran = await pc.run<T>('inkmesh', ...args, '--json');
    assert.is(ran.code, 0, `${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
    return ran.json;
  };
  const asAda = ['--credential', '/ada', '--dir', '/var/lib/inkmesh'];
  const show = async (property: string) =>
    (await pc.run('systemctl', 'show', '--value', '--property', property, 'inkmesh')).stdout.trim();
  const nft = (rules: string) => {
    const [command, ...args] = inside(pc.place.namespace, toolPath('nft') ?? 'nft', '-f', '-');
    execFileSync(command, args, { input: rules });
  };

  /** Waits until the service's node is ready, as another process than that of this number. @returns its number */
  const ready = (than = '0') =>
    waitFor(async () => {
      const pid = await show('MainPID');
      if (pid === than || pid === '0') return undefined;
      const { json } = await pc.run<{ pid: number } | null>('cat', '/var/lib/inkmesh/run.json');
      return json?.pid === Number(pid) ? pid : undefined;
    }, { deadline_ms: patience_ms, what: 'the service to be there again' });

  /** Waits until the doctor finds nothing wrong with it. */
  const well = async () => {
    let wrong: Finding[] = [];
    const look = async () => {
      const { json } = await pc.run<InstalledView>('inkmesh', 'doctor', '--json');
      wrong = json.findings.filter(({ level }) => level === 'fail');
      return json.healthy ? true : undefined;
    };
    await waitFor(look, { deadline_ms: patience_ms, what: 'the node to be well' }).catch((cause) => {
      throw new Error(`${cause}: ${JSON.stringify(wrong)}`, { cause });
    });
  };

  /** A document that the machine holds with the two others. */
  const held = async () => {
    const document = await noise(200_000);
    copyFileSync(document.file, join(pc.root, 'document'));
    const { id, holders } = await ink<Accepted>('print', '/document', ...asAda);
    assert.equal([...holders].sort(), ['a1', 'a2', 'pc']);
    return { ...document, id };
  };
  const printed = async ({ id, sha256 }: { id: string; sha256: string }) => {
    await waitFor(async () => {
      const list = await ink<JobView[]>('jobs', ...asAda);
      return list.find((job) => job.id === id && job.state === 'held');
    }, { deadline_ms: patience_ms, what: 'the machine to list the job' });
    const { outcome, reason } = await ink<Released>('release', id, '--printer', 'floor-1', ...asAda);
    assert.is(outcome, 'sent', reason);
    await untilPrinted(printer, sha256, 1);
    assert.is(await prints(printer, sha256), 1);
  };

  test('behind a firewall it is installed and says with 1 that nobody reaches it; without, again with 0', async () => {
    nft(
      'table inet wall {\nchain in {\ntype filter hook input priority 0\niif lo accept\ntcp dport 9264 ct state new drop\n}\n}\n',
    );
    const { token } = await org.admin<{ token: string }>('invite', 'node', '--site', 'a');
    const install = ['install', '--token', token, '--node', 'pc', '--set', 'drain_s=20', '--json'];
    // a secret that is not for command lines
    const walled = await pc.run<InstalledView>(
      'env',
      'INKMESH_SET_SNMP_COMMUNITY=hush',
      '/inkmesh',
      ...install,
    );
    assert.is(walled.code, 1, walled.stderr);
    assert.equal(walled.json.changed, ['node', 'settings', 'program', 'account', 'definition', 'service']);
    const wrong = walled.json.findings.filter(({ level }) => level === 'fail');
    assert.equal(wrong.map(({ check }) => check), ['reachable'], JSON.stringify(wrong));
    nft('delete table inet wall');
    const again = await pc.run<InstalledView>('/inkmesh', ...install);
    assert.is(again.code, 0, again.stdout);
    assert.equal([again.json.changed, again.json.healthy], [[], true]);
    const other = await pc.run<InstalledView>('inkmesh', 'install', '--set', 'drain_s=10', '--json');
    assert.equal(other.json.changed, ['settings', 'service'], other.stderr);
    const config = (await pc.run('stat', '--format=%U %a', '/var/lib/inkmesh/config.json')).stdout;
    assert.is(config.trim(), 'inkmesh 600');
    const { json } = await pc.run<unknown>('cat', '/var/lib/inkmesh/config.json');
    assert.equal(json, { drain_s: 10, snmp: { community: 'hush' } });
  });

  test('the unit shuts it in as it says', async () => {
    const status = (await pc.run('cat', `/proc/${await show('MainPID')}/status`)).stdout;
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Seccomp:\t2$/m);
    // CAP_NET_BIND_SERVICE alone
    assert.match(status, /^CapEff:\t0000000000000400$/m);
    const [, uid] = /^Uid:\t(\d+)/m.exec(status) ?? [];
    assert.is((await pc.run('id', '-u', 'inkmesh')).stdout.trim(), uid);
    assert.is(await show('NRestarts'), '0');
    const { stdout } = await pc.run('systemd-analyze', 'security', '--no-pager', 'inkmesh.service');
    const [, exposure] = /exposure level for inkmesh\.service: ([\d.]+)/.exec(stdout) ?? [];
    assert.ok(Number(exposure) < 2, stdout);
  });

  test('it takes a document, and prints it', async () => {
    await printed(await held());
  });

  test('a document that it holds is printed after a restart of the service, and a kill of its process', async () => {
    const document = await held();
    const first = await show('MainPID');
    assert.is((await pc.run('systemctl', 'restart', 'inkmesh')).code, 0);
    const second = await ready(first);
    assert.is(await show('NRestarts'), '0');
    await pc.run('kill', '-KILL', second);
    await ready(second);
    assert.is(await show('NRestarts'), '1');
    await well();
    await printed(document);
  });

  test('after a reboot, and a power cut', async () => {
    const document = await held();
    await pc.reboot();
    await ready();
    await pc.cut();
    await pc.boot();
    await ready();
    await well();
    await printed(document);
  });

  test('uninstalled with --purge, nothing is left of it, also after a reboot', async () => {
    const { removed } = await ink<{ removed: string[] }>('uninstall', '--purge');
    assert.equal(removed, ['service', 'account', 'program', 'data']);
    const left = async () => {
      assert.is(await show('LoadState'), 'not-found');
      assert.equal(filesOf(pc.root).filter(isOurs), before);
      assert.is(readFileSync(join(pc.root, 'etc/passwd'), 'utf8'), accounts);
      assert.is((await pc.run('ss', '-lntuH')).stdout, '');
    };
    await left();
    await pc.reboot();
    await left();
  });
}

function isOurs(path: string): boolean {
  return path.includes('inkmesh');
}

test.run();
