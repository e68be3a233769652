/**
 * The one file, copied to machines that have nothing else: three of them print, and on one with the tools of an
 * administrator it installs itself as a service and leaves nothing behind.
 */
import { copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { line, spawnKept, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { Machine } from './hosts/machine.ts';
import { canIsolate, removeNamespaces } from './hosts/namespaces.ts';
import { Network, type Place } from './hosts/network.ts';
import { untilPrinted } from './hosts/organisation.ts';
import { emptyRoot, filesOf, runWithin, systemRoot, within } from './hosts/root.ts';
import { makePdf } from './organisation.ts';

const binary = process.env['INKMESH_TEST_BINARY'] ?? '';
const ready_ms = 60_000;
const dir = '/var/lib/inkmesh';
const unit = '/etc/systemd/system/inkmesh.service';

if (binary === '') {
  test.skip('these need the binary: deno task test:binary');
} else if (canIsolate() && requireTools(['unshare', 'mount', 'setpriv', 'systemd-analyze'])) {
  const network = new Network();
  const site = network.site('a');
  const roots = new Map<Place, string>();
  const place = (name: string, root: string) => {
    const made = network.place(name, site);
    roots.set(made, root);
    return made;
  };
  const clean = ['pc-1', 'pc-2', 'pc-3'].map((name) => place(name, emptyRoot(binary)));
  const [pc1, pc2, pc3] = clean as [Place, Place, Place];
  const rootOf = (at: Place) => roots.get(at) ?? '';

  /** A command of the binary, with `--json`. @throws Error unless it ends with 0 */
  const ink = async <T = unknown>(at: Place, ...args: string[]): Promise<T> => {
    const ran = await runWithin<T>(at, rootOf(at), '/inkmesh', ...args, '--json');
    assert.is(ran.code, 0, `${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
    return ran.json;
  };
  const start = async (at: Place) => {
    const [command, ...args] = within(at, rootOf(at), '/inkmesh', 'node', '--dir', dir, '--json');
    await line(spawnKept(command, args), /^\{"ready".*\}$/, { deadline_ms: ready_ms });
  };
  const served = place('pc-4', systemRoot(binary));
  const printer = new Machine(network.place('printer', site));

  test.after(async () => {
    await printer.close();
    removeNamespaces();
  });

  test('on three machines without anything: an organisation, a PDF in and out', async () => {
    await ink(pc1, 'org', 'init', '--name', 'Clean', '--site', 'a', '--node', 'pc-1', '--dir', dir);
    await start(pc1);
    for (const [at, name] of [[pc2, 'pc-2'], [pc3, 'pc-3']] as const) {
      const { token } = await ink<{ token: string }>(pc1, 'invite', 'node', '--site', 'a', '--dir', dir);
      await ink(at, 'join', token, '--node', name, '--dir', dir);
      await start(at);
    }
    const uri = await printer.becomePrinter();
    await ink(pc1, 'printer', 'add', uri, '--name', 'floor-1', '--site', 'a', '--dir', dir);
    await ink(pc1, 'user', 'add', 'ada', '--dir', dir);
    const { token } = await ink<{ token: string }>(pc1, 'user', 'invite', 'ada', '--dir', dir);
    await ink(pc2, 'login', token, '--credential', '/ada', '--dir', dir);
    const pdf = makePdf(300_000);
    copyFileSync(pdf.file, join(rootOf(pc2), 'report.pdf'));
    const as = ['--credential', '/ada', '--dir', dir];
    const { id, holders } = await ink<{ id: string; holders: string[] }>(pc2, 'print', '/report.pdf', ...as);
    assert.equal(holders.sort(), ['pc-1', 'pc-2', 'pc-3']);
    copyFileSync(join(rootOf(pc2), 'ada'), join(rootOf(pc3), 'ada'));
    const release = ['release', id, '--printer', 'floor-1', ...as];
    await waitFor(async () => {
      const list = await ink<JobView[]>(pc3, 'jobs', ...as);
      return list.find((job) => job.id === id && job.state === 'held');
    }, { deadline_ms: ready_ms, what: 'the third machine to list the job' });
    assert.is((await ink<Released>(pc3, ...release)).outcome, 'sent');
    await untilPrinted(printer, pdf.sha256, 1);
  });

  interface InstalledView {
    changed: string[];
    healthy: boolean;
    findings: unknown[];
  }

  const before = filesOf(rootOf(served));

  test('one command makes a machine a node that starts with it, silently, and again changes nothing', async () => {
    const { token } = await ink<{ token: string }>(pc1, 'invite', 'node', '--site', 'a', '--dir', dir);
    const first = await ink<InstalledView>(served, 'install', '--token', token, '--node', 'pc-4');
    assert.equal(first.changed, ['node', 'program', 'account', 'definition', 'service']);
    assert.is(first.healthy, true, JSON.stringify(first.findings));
    const second = await ink<InstalledView>(served, 'install', '--token', token);
    assert.equal(second.changed, []);
    const { code, stderr } = await runWithin(
      served,
      rootOf(served),
      'systemd-analyze',
      'verify',
      '--man=no',
      unit,
    );
    assert.is(code, 0, stderr);
    assert.is(stderr, '');
  });

  test('its files are its account’s, and after a stop and a start it is there again', async () => {
    const owner = statSync(join(rootOf(served), dir, 'node.json')).uid;
    assert.is.not(owner, 0);
    for (const action of ['stop', 'start']) {
      assert.is((await runWithin(served, rootOf(served), 'systemctl', action)).code, 0);
    }
    await waitFor(async () => {
      const { json } = await runWithin<{ healthy: boolean }>(
        ...[served, rootOf(served), 'inkmesh', 'doctor', '--json'] as const,
      );
      return json?.healthy ? true : undefined;
    }, { deadline_ms: ready_ms, what: 'the node to be well again' });
  });

  test('uninstall keeps the data, with --purge nothing is left, and again there is nothing to do', async () => {
    const kept = await ink<{ removed: string[] }>(served, 'uninstall');
    assert.equal(kept.removed, ['service', 'account', 'program']);
    assert.ok(filesOf(rootOf(served)).includes(join(dir, 'node.json')));
    const purged = await ink<{ removed: string[] }>(served, 'uninstall', '--purge');
    assert.equal(purged.removed, ['data']);
    assert.equal((await ink<{ removed: string[] }>(served, 'uninstall', '--purge')).removed, []);
    assert.equal(filesOf(rootOf(served)), before);
  });

  test('the first of all is well by itself, though it is alone', async () => {
    await ink(served, 'org', 'init', '--name', 'Other', '--site', 'b', '--node', 'pc-4', '--dir', dir);
    const founder = await ink<InstalledView>(served, 'install');
    assert.equal([founder.changed, founder.healthy], [['program', 'account', 'definition', 'service'], true]);
    await ink(served, 'uninstall', '--purge');
  });

  test('what cannot be done is said, with an exit code', async () => {
    const { code, stderr } = await runWithin(served, rootOf(served), '/inkmesh', 'install');
    assert.is(code, 1);
    assert.match(stderr, /give --token/);
    const usage = await runWithin(served, rootOf(served), '/inkmesh', 'install', '--tokn', 'x');
    assert.is(usage.code, 2);
  });
}

test.run();
