import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { check } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { enumeration, text, uri } from '../../src/ipp/message.ts';
import type { Discovered } from '../../src/printers/discover.ts';
import { identify } from '../../src/printers/identity.ts';
import { snmpSettings } from '../../src/printers/snmp-settings.ts';
import { scan } from '../../src/printers/subnet.ts';
import { systemQueues } from '../../src/printers/system-queues.ts';
import { canIsolate, inside } from '../e2e/hosts/namespaces.ts';
import { Network } from '../e2e/hosts/network.ts';
import { avahiTools, startAvahi } from '../fakes/avahi.ts';
import { startCups } from '../fakes/cups.ts';
import { type Kept, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools, toolPath } from '../fakes/require.ts';
import { printerMib, snmpCommunity, startSnmpd } from '../fakes/snmpd.ts';

const off = () => Promise.reject(new InkmeshError('unavailable', 'it is off'));

if (requireTools(['snmpd', 'awk'])) {
  test('a subnet is asked by SNMP, and who is no printer is left out', async () => {
    const snmpd = await startSnmpd(printerMib({ serial: 'SN-1' }));
    const snmp = check(snmpSettings, { port: snmpd.port, community: snmpCommunity });
    try {
      const found = await scan(['127.0.0.1', '127.0.0.2'], { snmp, askIpp: off });
      const model = 'Example LaserPrinter 9';
      assert.equal(found.map(({ uris: _, ...printer }) => printer), [{
        host: '127.0.0.1',
        serial: 'SN-1',
        model,
      }]);
      const uuid = randomUUID();
      const askIpp = () =>
        Promise.resolve([
          uri('printer-uuid', `urn:uuid:${uuid}`),
          text('printer-make-and-model', 'Example 9 IPP'),
          text('printer-device-id', 'MFG:Example;MDL:9;SN:SN-2;'),
          enumeration('printer-state', 3),
        ]);
      const both = await identify({ uri: 'ipp://127.0.0.1/ipp/print' }, { snmp, askIpp });
      assert.equal(both, { uuid, serial: 'SN-2', model: 'Example 9 IPP' });
      const raw = await identify({ uri: 'socket://127.0.0.1' }, { snmp, askIpp });
      assert.equal(raw, { serial: 'SN-1', model });
      snmpd.set({});
      assert.equal(await scan(['127.0.0.1'], { snmp, askIpp: off }), []);
      assert.equal(await identify({ uri: 'ipp://127.0.0.1/ipp/print' }, { snmp, askIpp: off }), {});
    } finally {
      await snmpd.stop();
    }
  });
}

if (requireTools(['cupsd', 'lpadmin', 'lpstat'])) {
  test('queues of a real CUPS are found', async () => {
    const cups = await startCups();
    const before = process.env['CUPS_SERVER'];
    process.env['CUPS_SERVER'] = `127.0.0.1:${cups.port}`;
    try {
      await cups.client('lpadmin', '-p', 'office', '-E', '-v', 'socket://10.1.2.3:9100');
      await cups.client('lpadmin', '-p', 'inkmesh', '-E', '-v', 'ipp://127.0.0.1:9/ipp/print/token');
      assert.equal(await systemQueues('linux'), [{ name: 'office', uri: 'socket://10.1.2.3:9100' }]);
    } finally {
      if (before === undefined) delete process.env['CUPS_SERVER'];
      else process.env['CUPS_SERVER'] = before;
      await cups.stop();
    }
  });
}

if (canIsolate() && requireTools([...avahiTools, 'avahi-publish', 'ippeveprinter', 'snmpd', 'awk'])) {
  test('in a LAN each printer is found once, by mDNS and by SNMP', async () => {
    const network = new Network();
    const site = network.site('a');
    const [place, laptop] = [network.place('printer', site), network.place('laptop', site)];
    const there = (...command: string[]) => inside(place.namespace, ...command);
    const avahi = await startAvahi(there, 'printer-1');
    const kept: Kept[] = [];
    const run = (command: string, ...args: string[]) => {
      const [program, ...all] = there(toolPath(command) ?? command, ...args);
      kept.push(spawnKept(program, all, { env: { DBUS_SYSTEM_BUS_ADDRESS: avahi.address } }));
    };
    const folder = tempDir();
    const snmpd = await startSnmpd(printerMib({ serial: 'SN-9' }), {
      port: 161,
      address: place.address,
      inside: there,
    });
    try {
      run('ippeveprinter', '-p', '631', '-d', folder, '-K', join(folder), 'Floor 1');
      run('avahi-publish', '-s', 'Old one', '_pdl-datastream._tcp', '9100', 'ty=Old Laser', 'usb_SN=OLD-1');
      const [program, ...args] = inside(
        laptop.namespace,
        process.execPath,
        ...runtime,
        script,
        snmpCommunity,
        `${place.address}/31`,
      );
      let last = '';
      const found = await waitFor(async () => {
        const looking = spawnKept(program, args, { env: { CUPS_SERVER: '127.0.0.1:1' } });
        await looking.ended;
        last = looking.stdout() + looking.stderr();
        const printers = JSON.parse(looking.stdout() || '[]') as Discovered[];
        return printers.length >= 2 && printers.some(({ by }) => by.length > 1) ? printers : undefined;
      }, { deadline_ms: 30_000, what: 'both printers to be found' }).catch((error: Error) => {
        throw new Error(`${error.message}: ${last} ${kept.map((each) => each.stderr()).join('\n')}`);
      });
      assert.is(found.length, 2, JSON.stringify(found));
      const floor = found.find(({ name }) => name === 'Floor 1');
      assert.match(floor?.uuid ?? '', /^[0-9a-f-]{36}$/);
      assert.is(floor?.serial, 'SN-9');
      assert.ok(floor?.uris.includes(`ipp://${place.address}:631/ipp/print`), JSON.stringify(floor));
      const old = found.find(({ name }) => name === 'Old one');
      assert.equal(old?.uris, [`socket://${place.address}:9100`]);
      assert.is(old?.serial, 'OLD-1');
    } finally {
      for (const each of kept) await stop(each);
      await snmpd.stop();
      await avahi.stop();
    }
  });
}

const script = fileURLToPath(new URL('../fakes/discover.ts', import.meta.url));
const runtime = process.versions['deno'] === undefined ? [] : ['run', '--allow-all'];

test.run();
