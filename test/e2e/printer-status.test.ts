/** How printers are, as the command line of a real node tells it, and who may look for printers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PrinterState } from '../../src/api/printers.ts';
import { runInside } from '../../src/cli/run.ts';
import type { Discovered } from '../../src/printers/discover.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startSink } from '../fakes/sink.ts';
import { printerMib, snmpUser, startSnmpd, type Told } from '../fakes/snmpd.ts';
import { ink, startOrganisation } from './organisation.ts';

/** in which a state is to be seen; most of them, as this machine may be busy with other things now and then */
const seen_ms = 3_000;
const patience_ms = 60_000;

if (requireTools(['snmpd', 'awk'])) {
  const org = await startOrganisation();
  const sink = await startSink();
  const snmpd = await startSnmpd(printerMib({}), { address: '127.0.0.1' });
  const a2 = org.node('a2');
  const ada = org.as('ada', 'a2');

  test.before(async () => {
    const file = join(a2.dir, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...config, snmp: { ...snmpUser, port: snmpd.port } }));
    await org.restart('a2');
    await org.connected();
    await org.addPrinter(sink.uri, 'sink');
  });

  test.after(async () => {
    await org.stop();
    await sink.stop();
    await snmpd.stop();
  });

  const status = async (name: string): Promise<PrinterState | undefined> => {
    return (await runInside<PrinterState[]>(['printer', 'status', name, ...ada]))[0];
  };

  const took: number[] = [];

  const untilSeen = async (told: Told | undefined, state: string, advice: RegExp): Promise<void> => {
    if (told === undefined) await snmpd.stop();
    else snmpd.set(printerMib(told));
    const start_ms = performance.now();
    let last: PrinterState | undefined;
    await waitFor(async () => {
      last = await status('sink');
      return last?.state === state && advice.test(last.advice.join('; ')) ? true : undefined;
    }, { deadline_ms: patience_ms, what: `${state} to be seen` }).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(last)}`);
    });
    took.push(performance.now() - start_ms);
  };

  test('each state of a printer is seen by the command line within 3 s, with what to do about it', async () => {
    await untilSeen({ printer: 3 }, 'ready', /^$/);
    await untilSeen({ printer: 4 }, 'printing', /^$/);
    await untilSeen({ printer: 1, device: 5, error: 1 }, 'needs help', /^tray empty: add paper$/);
    const jam: Told = { printer: 1, device: 5, error: 5, alerts: [[3, 13, 8, 'Jam in area 2']] };
    await untilSeen(jam, 'needs help', /^paper is jammed \(“Jam in area 2”\): open the printer/);
    await untilSeen({ printer: 1, device: 5, error: 6 }, 'needs help', /^it is off-line: press/);
    await untilSeen({ printer: 3, device: 3, error: 2 }, 'ready', /^toner is low: have a cartridge ready$/);
    await untilSeen(undefined, 'not reached', /is it switched on/);
    assert.ok(took.filter((took_ms) => took_ms <= seen_ms).length >= took.length / 2, `it took ${took} ms`);
  });

  test('all printers are listed, as a table and as JSON', async () => {
    const { json } = await ink<PrinterState[]>(['printer', 'status', ...ada]);
    assert.equal(json.map(({ name }) => name).sort(), org.printers.map(({ name }) => name).sort());
    const other = json.find(({ name }) => name !== 'sink');
    assert.is(other?.state, 'ready');
    assert.match(await refusalOf(() => status('no-such-printer')), /^not-found: .*no-such-printer/);
  });

  test('only administrators look for printers, and in small subnets only', async () => {
    const registrar = ['--dir', org.node('a1').dir];
    const discover = ['printer', 'discover'];
    assert.match(await refusalOf(() => runInside([...discover, ...ada])), /^forbidden: .*administrator/);
    const large = [...discover, ...registrar, '--subnet', '10.0.0.0/8'];
    assert.match(await refusalOf(() => runInside(large)), /^bad-request: .*too large/);
    const { json } = await ink<Discovered[]>([...discover, ...registrar, '--subnet', '127.0.0.1/32']);
    assert.ok(Array.isArray(json));
  });

  test('secrets of SNMP are in the configuration of the node only', () => {
    for (const secret of [snmpUser.authKey, snmpUser.privKey]) {
      assert.not.ok(org.log('a2').includes(secret));
      for (const file of ['state.sqlite', 'state.sqlite-wal', 'run.json', 'node.json']) {
        assert.not.ok(contentOf(join(a2.dir, file)).includes(secret), file);
      }
    }
  });
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    return Buffer.alloc(0);
  }
}

test.run();
