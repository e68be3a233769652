import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import { check } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { startEvePrinter } from '../../src/cli/demo-printer.ts';
import { Deliverer } from '../../src/deliver/deliver.ts';
import { inquire } from '../../src/deliver/inquiry.ts';
import { enumeration, keyword } from '../../src/ipp/message.ts';
import { conditionLimits, trapLimits } from '../../src/limits.ts';
import type { Condition } from '../../src/printers/condition.ts';
import { conditionOfAttributes } from '../../src/printers/ipp-condition.ts';
import { snmpSettings } from '../../src/printers/snmp-settings.ts';
import { type AskIpp, Conditions } from '../../src/printers/status.ts';
import { hearTraps } from '../../src/printers/traps.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools, toolPath } from '../fakes/require.ts';
import { printerMib, snmpCommunity, snmpUser, startSnmpd } from '../fakes/snmpd.ts';

const run = promisify(execFile);
/** in which each state is to be seen */
const seen = { deadline_ms: 3_000 };
const never = new AbortController().signal;
const warnings: string[] = [];
const log = (_level: string, what: string) => void warnings.push(what);
const noIpp: AskIpp = () => Promise.reject(new InkmeshError('unavailable', 'it is off'));

async function untilSeen(conditions: Conditions, uri: string, expected: string): Promise<void> {
  const ask = conditions.conditionOf({ uri });
  let last = '';
  await waitFor(async () => {
    last = await ask(never).then(shown, (error: InkmeshError) => error.code);
    return last === expected || undefined;
  }, { ...seen, what: `${expected} to be seen` }).catch((error: Error) => {
    throw new Error(`${error.message}: ${last}`);
  });
}

const shown = ({ activity, reasons }: Condition) =>
  [activity, ...reasons.map((reason) => `${reason.severity} ${reason.keyword}`)].join(', ');

if (requireTools(['snmpd', 'awk'])) {
  for (const secrets of [{ community: snmpCommunity }, { ...snmpUser }]) {
    const version = 'user' in secrets ? 'v3' : 'v2c';
    test(`each state of a printer is seen within 3 s by SNMP ${version}, off and on again too`, async () => {
      let snmpd = await startSnmpd();
      const snmp = check(snmpSettings, { port: snmpd.port, ...secrets });
      const conditions = new Conditions({ snmp, askIpp: noIpp, log });
      const uri = 'socket://127.0.0.1:9';
      try {
        await untilSeen(conditions, uri, 'idle');
        snmpd.set(printerMib({ printer: 4 }));
        await untilSeen(conditions, uri, 'processing');
        snmpd.set(printerMib({ printer: 1, device: 5, error: 1 }));
        await untilSeen(conditions, uri, 'stopped, error media-empty');
        snmpd.set(printerMib({ printer: 1, device: 5, error: 5 }));
        await untilSeen(conditions, uri, 'stopped, error media-jam');
        snmpd.set(printerMib({ printer: 1, device: 5, error: 6 }));
        await untilSeen(conditions, uri, 'stopped, error offline');
        await snmpd.stop();
        await untilSeen(conditions, uri, 'unavailable');
        snmpd = await startSnmpd(printerMib({}), { port: snmpd.port });
        await untilSeen(conditions, uri, 'idle');
      } finally {
        await snmpd.stop();
      }
    });
  }

  test('what SNMP and IPP say is put together, the worse of both', async () => {
    const snmpd = await startSnmpd(printerMib({ alerts: [[3, 8, 808, 'Tray 2 empty']] }));
    const snmp = check(snmpSettings, { port: snmpd.port, community: snmpCommunity });
    const askIpp: AskIpp = () =>
      Promise.resolve([
        enumeration('printer-state', 5),
        keyword('printer-state-reasons', 'toner-low-warning', 'media-empty-report'),
      ]);
    try {
      const conditions = new Conditions({ snmp, askIpp, log });
      const condition = await conditions.conditionOf({ uri: 'ipp://127.0.0.1/ipp/print' })(never);
      assert.is(shown(condition), 'stopped, error media-empty, warning toner-low');
      assert.is(condition.reasons[0]?.text, 'Tray 2 empty');
      assert.is(condition.pages, 12345);
    } finally {
      await snmpd.stop();
    }
  });

  test('a printer that says by SNMP that it has stopped is believed at once, however slow it is by IPP', async () => {
    const snmpd = await startSnmpd(printerMib({ alerts: [[3, 8, 808, 'Tray 2 empty']] }));
    const snmp = check(snmpSettings, { port: snmpd.port, community: snmpCommunity });
    const askIpp: AskIpp = () => new Promise(() => {});
    const printer = { uri: 'socket://127.0.0.1', more: ['ipp://127.0.0.1/ipp/print'] };
    try {
      // a busy machine may be slow once
      const took_ms: number[] = [];
      for (let again = 0; again < 4; again++) {
        const conditions = new Conditions({ snmp, askIpp, log });
        assert.is(conditions.conditionOf(printer).heard, false);
        const start_ms = performance.now();
        assert.match(shown(await conditions.conditionOf(printer)(never)), 'error media-empty');
        took_ms.push(performance.now() - start_ms);
        assert.is(conditions.conditionOf(printer).heard, true);
      }
      assert.ok(Math.min(...took_ms) < conditionLimits.grace_ms, took_ms.join());
    } finally {
      await snmpd.stop();
    }
  });

  test('keys that a printer refuses are told of in the log, and IPP goes on', async () => {
    const snmpd = await startSnmpd();
    const snmp = check(snmpSettings, { port: snmpd.port, ...snmpUser, authKey: 'not-the-auth-key' });
    const askIpp: AskIpp = () => Promise.resolve([enumeration('printer-state', 3)]);
    try {
      const ask = new Conditions({ snmp, askIpp, log }).conditionOf({ uri: 'ipp://127.0.0.1/ipp/print' });
      assert.is(shown(await ask(never)), 'idle');
      assert.ok(warnings.includes('a printer cannot be asked by SNMP'));
    } finally {
      await snmpd.stop();
    }
  });
}

if (requireTools(['ippeveprinter', 'dbus-daemon'])) {
  test('ippeveprinter says that it prints, is out of paper, and goes on', async () => {
    const dir = tempDir();
    const command = join(dir, 'print');
    const script = `echo "STATE: +media-empty" >&2
while [ ! -e ${dir}/paper ]; do sleep 0.1; done
echo "STATE: -media-empty" >&2
`;
    writeFileSync(command, `#!/bin/sh\n${script}`, { mode: 0o755 });
    const printer = await startEvePrinter({ dir, command });
    if (printer === undefined) throw new Error('ippeveprinter is gone');
    try {
      const conditions = new Conditions({ snmp: null, askIpp: inquire, log });
      await untilSeen(conditions, printer.uri, 'idle');
      const waiting: (string | null)[] = [];
      const deliverer = new Deliverer();
      const printed = deliverer.deliver({
        printer: { name: 'p', uri: printer.uri },
        ticket: { title: 'Figures', format: 'application/pdf', options: {} },
        user: 'ada',
        document: (async function* () {
          yield new TextEncoder().encode('%PDF-1.4\n');
        })(),
        bytes: 9,
        begin: () => Promise.resolve(),
        signal: never,
        onWaiting: (reason) => waiting.push(reason),
      });
      // it calls everything a warning
      await untilSeen(conditions, printer.uri, 'processing, warning media-empty');
      await waitFor(() => waiting.length === 1 ? true : undefined, {
        deadline_ms: 3000,
        what: 'who releases it to be told',
      });
      writeFileSync(join(dir, 'paper'), '');
      assert.is((await printed).outcome, 'printed');
      deliverer.close();
      assert.equal(waiting, ['tray empty: add paper', null]);
      await untilSeen(conditions, printer.uri, 'idle');
      await printer.stop();
      await untilSeen(conditions, printer.uri, 'unavailable');
    } finally {
      await printer.stop();
    }
  });
}

if (requireTools(['snmpd', 'awk', 'snmptrap'])) {
  test('a printer that is switched on and sends a trap is asked by SNMP at once', async () => {
    const port = await freePort();
    const snmp = check(snmpSettings, { port, community: snmpCommunity });
    const conditions = new Conditions({ snmp, askIpp: noIpp, log });
    const heard: string[] = [];
    const traps = await hearTraps(0, (address) => {
      heard.push(address);
      conditions.forget(address);
    }, log);
    const uri = 'socket://127.0.0.1:9';
    await untilSeen(conditions, uri, 'unknown');
    const snmpd = await startSnmpd(printerMib({}), { port });
    try {
      // it is not asked again for a while
      assert.is(shown(await conditions.conditionOf({ uri })(never)), 'unknown');
      const prtAlertTrap = '1.3.6.1.2.1.43.18.2.0.1';
      await run(toolPath('snmptrap') ?? 'snmptrap', [
        '-v',
        '2c',
        '-c',
        'any',
        `127.0.0.1:${traps.port}`,
        '',
        prtAlertTrap,
      ]);
      await untilSeen(conditions, uri, 'idle');
      assert.equal(heard, ['127.0.0.1']);
    } finally {
      traps.close();
      await snmpd.stop();
    }
  });
}

test('traps without end are heeded up to a bound, and a port that is taken is told of in the log', async () => {
  let heard = 0;
  const traps = await hearTraps(0, () => void heard++, log);
  const sender = createSocket('udp4');
  let sent = 0;
  await waitFor(() => {
    for (let i = 0; i < 20; i++) sender.send(Uint8Array.of(i), traps.port, '127.0.0.1', () => sent++);
    return sent >= 5 * trapLimits.perWindow && heard >= trapLimits.perWindow ? true : undefined;
  }, { deadline_ms: 30_000, what: 'the traps to be heard' });
  assert.ok(heard < sent, `${heard} of ${sent}`);
  const taken = await hearTraps(traps.port, () => {}, log);
  assert.is(taken.port, 0);
  assert.ok(warnings.includes('SNMP traps cannot be heard'));
  for (const each of [traps, taken]) each.close();
  sender.close();
});

test('reasons without a severity stop a printer only where that is what they mean', () => {
  const condition = (state: number, ...reasons: string[]) =>
    shown(
      conditionOfAttributes([
        enumeration('printer-state', state),
        keyword('printer-state-reasons', ...reasons),
      ]),
    );
  assert.is(condition(3, 'none'), 'idle');
  assert.is(condition(3, 'media-empty', 'toner-low'), 'idle, error media-empty, warning toner-low');
  assert.is(condition(3, 'com.example-odd'), 'idle, warning com.example-odd');
  assert.is(condition(5, 'com.example-odd'), 'stopped, error com.example-odd');
  assert.is(condition(4, 'media-low-report', 'media-low-error'), 'processing, error media-low');
});

test('many askers at once are one question, and who gives up does not spoil it for the others', async () => {
  let asked = 0;
  let answer: () => void = () => {};
  const askIpp: AskIpp = () => {
    asked += 1;
    return new Promise((resolve) => answer = () => resolve([enumeration('printer-state', 3)]));
  };
  const conditions = new Conditions({ snmp: null, askIpp, log });
  const ask = conditions.conditionOf({ uri: 'ipp://127.0.0.1/ipp/print' });
  const impatient = new AbortController();
  const [gone, ...others] = [impatient.signal, never, never].map((signal) => ask(signal));
  const ended = gone?.then(() => 'answered', (error: InkmeshError) => error.code);
  impatient.abort();
  assert.is(await ended, 'unavailable');
  answer();
  assert.equal((await Promise.all(others)).map(shown), ['idle', 'idle']);
  assert.is(asked, 1);
  await waitFor(() => {
    void ask(never).then(() => {}, () => {});
    return asked === 2 || undefined;
  }, { deadline_ms: conditionLimits.cache_ms * 10, what: 'the next question' });
  answer();
});

test('a printer that never answered SNMP says nothing by RAW, and one that hangs by IPP is not waited for', async () => {
  const snmp = check(snmpSettings, { port: await freePort() });
  const conditions = new Conditions({ snmp, askIpp: () => new Promise(() => {}), log });
  assert.is(shown(await conditions.conditionOf({ uri: 'socket://127.0.0.1:9' })(never)), 'unknown');
  assert.is(shown(await conditions.conditionOf({ uri: 'system:office' })(never)), 'unknown');
  const hanging = await conditions.conditionOf({ uri: 'ipp://127.0.0.1/' })(never).then(
    shown,
    (error) => error.code,
  );
  assert.is(hanging, 'unavailable');
});

test.run();
