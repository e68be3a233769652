/** The doctor on machines of a LAN, of which one has a firewall that lets nobody in. */
import { execFileSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Check, Finding } from '../../src/doctor/finding.ts';
import { requireTools, toolPath } from '../fakes/require.ts';
import { line, spawnKept, waitFor } from '../fakes/processes.ts';
import type { Machine } from './hosts/machine.ts';
import { canIsolate, inside } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation } from './hosts/organisation.ts';

const patience_ms = 60_000;

if (canIsolate() && requireTools(['nft', 'python3'])) {
  const network = new Network();
  const site = network.site('a');
  const org = await HostOrganisation.found(network.place('a1', site));
  const [a2, a3] = await org.join(['a2', 'a3'].map((name) => network.place(name, site))) as [
    Machine,
    Machine,
  ];
  for (const machine of [a2, a3]) await machine.start();
  await org.connected();

  test.after(() => org.stop());

  const examined = async (machine: Machine) => {
    const { findings } = await machine.run<{ findings: Finding[] }>('doctor', '--dir', machine.dir);
    return (check: Check) => findings.find((finding) => finding.check === check);
  };

  const nft = (machine: Machine, rules: string) => {
    const [command, ...args] = inside(machine.place.namespace, toolPath('nft') ?? 'nft', '-f', '-');
    execFileSync(command, args, { input: rules });
  };

  test('a machine that others reach is well', async () => {
    await waitFor(async () => {
      const of = await examined(a2);
      return of('reachable')?.level === 'ok' ? true : undefined;
    }, { deadline_ms: patience_ms, what: 'others to know where a2 is' });
    const of = await examined(a2);
    for (const check of ['service', 'ports', 'reachable', 'peers', 'clock', 'mdns'] as const) {
      assert.is(of(check)?.level, 'ok', JSON.stringify(of(check)));
    }
    assert.match(of('reachable')?.message ?? '', /a1|a3/);
  });

  test('one whose firewall lets nobody in is not, though it is connected', async () => {
    nft(
      a3,
      'table inet wall {\nchain in {\ntype filter hook input priority 0\n' +
        'ct state established,related accept\niif lo accept\n' +
        `ip saddr ${a3.place.address} accept\ndrop\n}\n}\n`,
    );
    const of = await waitFor(async () => {
      const of = await examined(a3);
      return of('reachable')?.level === 'fail' ? of : undefined;
    }, { deadline_ms: patience_ms, what: 'others to fail to connect' });
    assert.is(of('peers')?.level, 'ok', JSON.stringify(of('peers')));
    assert.match(of('reachable')?.message ?? '', /cannot connect to TCP port 9264/);
    assert.match(of('reachable')?.fix ?? '', /^inkmesh install --firewall/);
    assert.is(of('mdns')?.level, 'warn', JSON.stringify(of('mdns')));
    assert.match(of('mdns')?.fix ?? '', /`peers` of the configuration/);
  });

  test('one whose own mDNS is not heard either', async () => {
    nft(
      a3,
      'table inet silence {\nchain out {\ntype filter hook output priority 0\nudp dport 5353 drop\n}\n}\n',
    );
    const of = await examined(a3);
    assert.is(of('mdns')?.level, 'fail', JSON.stringify(of('mdns')));
    assert.match(of('mdns')?.fix ?? '', /UDP port 5353/);
  });

  test('one where another program has the port of mDNS', async () => {
    const [a4] = await org.join([network.place('a4', site)]) as [Machine];
    const hog = 'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5353)); ' +
      'print("bound", flush=True); import signal; signal.pause()';
    const [command, ...args] = inside(a4.place.namespace, 'python3', '-c', hog);
    await line(spawnKept(command, args), /^bound$/, { deadline_ms: patience_ms });
    const of = await examined(a4);
    assert.is(of('mdns')?.level, 'fail', JSON.stringify(of('mdns')));
    assert.match(of('mdns')?.message ?? '', /5353 is taken/);
    assert.match(of('mdns')?.fix ?? '', /ss -lnup sport = :5353/);
  });

  test('one that has no network', async () => {
    execFileSync(...(([command, ...args]) => [command, args] as const)(
      inside(a3.place.namespace, 'ip', 'address', 'flush', 'dev', 'eth0'),
    ));
    const of = await examined(a3);
    assert.is(of('mdns')?.level, 'fail', JSON.stringify(of('mdns')));
    assert.match(of('mdns')?.message ?? '', /in no network/);
  });
} else test.skip('hosts need network namespaces');

test.run();
