import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { check } from '../../mesh/codec.ts';
import { adviceOf, stateWord } from '../../src/printers/advice.ts';
import type { Condition } from '../../src/printers/condition.ts';
import { readCondition, readIdentity } from '../../src/printers/printer-mib.ts';
import { SnmpSession } from '../../src/printers/snmp.ts';
import { snmpSettings, type Version } from '../../src/printers/snmp-settings.ts';
import { requireTools } from '../fakes/require.ts';
import { printerMib, snmpCommunity, type Snmpd, snmpUser, startSnmpd, type Told } from '../fakes/snmpd.ts';

const versions: readonly Version[] = ['1', '2c', '3'];

async function ask<T>(
  snmpd: Snmpd,
  version: Version,
  question: (session: SnmpSession) => Promise<T>,
): Promise<T> {
  const secrets = version === '3' ? snmpUser : { community: snmpCommunity };
  const settings = check(snmpSettings, { port: snmpd.port, ...secrets });
  const session = await SnmpSession.open({ host: '127.0.0.1', settings, version });
  try {
    return await question(session);
  } finally {
    session.close();
  }
}

async function code(asked: Promise<unknown>): Promise<string> {
  return await asked.then(() => 'answered', (error: { code?: string }) => error.code ?? String(error));
}

/** What the printer says, and what becomes of it: its state, and the reasons with their severity. */
const states: readonly [Told, Condition['activity'], string][] = [
  [{ printer: 3, device: 2 }, 'idle', 'ready'],
  [{ printer: 4, device: 2 }, 'processing', 'printing'],
  [{ printer: 5, device: 5 }, 'idle', 'ready'],
  [{ printer: 1, device: 2 }, 'idle', 'ready'],
  [{ printer: 1, device: 5, error: 1 }, 'stopped', 'error media-empty'],
  [{ printer: 1, device: 5, error: 5 }, 'stopped', 'error media-jam'],
  [{ printer: 1, device: 5, error: 6 }, 'stopped', 'error offline'],
  [{ printer: 1, device: 5, error: 4 }, 'stopped', 'error door-open'],
  [{ printer: 1, device: 5, error: 8 }, 'stopped', 'error input-tray-missing'],
  [{ printer: 3, device: 3, error: 0 }, 'idle', 'warning media-low'],
  [{ printer: 4, device: 3, error: 2 }, 'processing', 'warning toner-low'],
  [{ printer: 3, device: 3, error: 13 }, 'idle', 'warning media-empty'],
  [{ printer: 3, device: 3, error: 12 }, 'idle', 'warning output-area-full'],
  [
    { printer: 1, device: 5, alerts: [[3, 8, 808, 'Tray 2 empty']] },
    'stopped',
    'error media-empty Tray 2 empty',
  ],
  [{ printer: 1, device: 5, alerts: [[3, 13, 8, 'Jam 13.2']] }, 'stopped', 'error media-jam Jam 13.2'],
  [{ printer: 1, device: 5, alerts: [[3, 5, 99, 'Call us']] }, 'stopped', 'error other Call us'],
  [{ printer: 3, device: 3, alerts: [[4, 11, 1104, 'Black low']] }, 'idle', 'warning toner-low Black low'],
  [{ printer: 3, device: 2, alerts: [[4, 6, 502, 'Door closed']] }, 'idle', 'ready'],
];

function reasonsOf(condition: Condition): string {
  const words = condition.reasons.map(({ severity, keyword, text }) =>
    [severity, keyword, text].join(' ').trim()
  );
  return words.length === 0 ? stateWord(condition) : words.join(', ');
}

if (requireTools(['snmpd', 'awk'])) {
  for (const version of versions) {
    test(`a printer says by SNMP version ${version} how it is`, async () => {
      const snmpd = await startSnmpd();
      try {
        for (const [told, activity, expected] of states) {
          snmpd.set(printerMib(told));
          const condition = await ask(snmpd, version, readCondition);
          assert.is(condition?.activity, activity, JSON.stringify(told));
          assert.is(condition && reasonsOf(condition), expected);
        }
        const condition = await ask(snmpd, version, readCondition);
        assert.is(condition?.pages, 12345);
        assert.equal(condition?.supplies, [
          { name: 'Black Cartridge', isWaste: false, percent: 25 },
          { name: 'Waste Box', isWaste: true, percent: null },
        ]);
        const identity = await ask(snmpd, version, readIdentity);
        assert.equal(identity, { model: 'Example LaserPrinter 9', serial: 'SN-4711' });
      } finally {
        await snmpd.stop();
      }
    });
  }

  test('many alerts are cut off, and an agent that is no printer says so', async () => {
    const alerts = Array.from({ length: 100 }, (_, i) => [4, 11, 1104, `Toner ${i}`] as const);
    const snmpd = await startSnmpd(printerMib({ alerts }));
    try {
      const descriptions = '1.3.6.1.2.1.43.18.1.1.8';
      const rows = await ask(snmpd, '2c', (session) => session.rows([descriptions], 32));
      assert.is(rows.size, 32);
      assert.equal([...rows.keys()].slice(0, 2), ['1.1', '1.2']);
      snmpd.set({});
      for (const version of versions) assert.is(await ask(snmpd, version, readCondition), undefined);
    } finally {
      await snmpd.stop();
    }
  });

  test('wrong keys are refused, and neither they nor the user are in the error', async () => {
    const snmpd = await startSnmpd();
    try {
      for (
        const wrong of [{ authKey: 'not-the-auth-key' }, { privKey: 'not-the-priv-key' }, { user: 'nobody' }]
      ) {
        const settings = check(snmpSettings, { port: snmpd.port, ...snmpUser, ...wrong });
        const session = await SnmpSession.open({ host: '127.0.0.1', settings, version: '3' });
        const error = await readCondition(session).then(() => undefined, (thrown: Error) => thrown);
        session.close();
        assert.ok(error);
        // who encrypts for another key is not even answered
        assert.ok(['forbidden', 'timeout'].includes((error as { code?: string }).code ?? ''), error.message);
        const shown = `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
        for (const secret of [...Object.values(snmpUser), ...Object.values(wrong)]) {
          assert.not.ok(secret !== 'inkmesh' && shown.includes(secret), `${secret} is in: ${shown}`);
        }
      }
      const settings = check(snmpSettings, { port: snmpd.port, community: 'not-the-community' });
      const session = await SnmpSession.open({ host: '127.0.0.1', settings, version: '2c' });
      assert.is(await code(readCondition(session)), 'timeout');
      session.close();
    } finally {
      await snmpd.stop();
    }
  });
}

test('reasons are sentences that say what to do', () => {
  assert.is(adviceOf({ keyword: 'media-empty', severity: 'error' }), 'tray empty: add paper');
  const said = adviceOf({ keyword: 'media-empty', severity: 'error', text: 'Tray 2' });
  assert.is(said, 'tray empty (“Tray 2”): add paper');
  assert.is(adviceOf({ keyword: 'com.example-odd', severity: 'error' }), 'com.example odd: see its panel');
});

test.run();
