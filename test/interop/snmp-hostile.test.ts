import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { check } from '../../mesh/codec.ts';
import { snmpLimits } from '../../src/limits.ts';
import { readCondition } from '../../src/printers/printer-mib.ts';
import { SnmpSession, type Value } from '../../src/printers/snmp.ts';
import { snmpSettings, type Version } from '../../src/printers/snmp-settings.ts';
import {
  answerTo,
  integerTlv,
  octetsTlv,
  type Question,
  type Say,
  startSnmpAgent,
  unprotected,
} from '../fakes/snmp-agent.ts';
import { snmpUser } from '../fakes/snmpd.ts';

const column = '1.3.6.1.2.1.43.18.1.1.8';
const notInTimeWindows = '1.3.6.1.6.3.15.1.1.2.0';
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** How a question ends at an agent that answers so: `answered` or the error's code; and how often it was asked. */
async function ended<T>(
  answer: (question: Question, say: Say, other: Say) => void,
  question: (session: SnmpSession) => Promise<T>,
  version: Version = '2c',
): Promise<{ code: string; asked: number; value?: T }> {
  const agent = await startSnmpAgent(answer);
  const settings = check(snmpSettings, { port: agent.port, ...(version === '3' ? snmpUser : {}) });
  const session = await SnmpSession.open({ host: '127.0.0.1', settings, version, timeout_ms: 300 });
  try {
    const value = await question(session);
    return { code: 'answered', value, asked: agent.questions };
  } catch (thrown) {
    return { code: (thrown as { code?: string }).code ?? String(thrown), asked: agent.questions };
  } finally {
    session.close();
    await agent.stop();
  }
}

const rows = (session: SnmpSession) => session.rows([column], snmpLimits.maxAlerts);
const get = (session: SnmpSession): Promise<Value[]> => session.get([`${column}.1.1`]);

test('no answer is the end of it after one more question', async () => {
  assert.equal(await ended(() => {}, get), { code: 'timeout', asked: 2 });
});

test('an answer to another question, of another community, or from another port is none', async () => {
  const right: [string, Uint8Array][] = [[`${column}.1.1`, octetsTlv('jam')]];
  const wrongId = await ended(({ id }, say) => say(answerTo(id + 1, right)), get);
  assert.is(wrongId.code, 'timeout');
  const otherPort = await ended(({ id }, _, other) => other(answerTo(id, right)), get);
  assert.is(otherPort.code, 'timeout');
  const otherCommunity = await ended(({ id }, say) => say(answerTo(id, right, 'private')), get);
  assert.is(otherCommunity.code, 'corrupt');
  const good = await ended(({ id }, say) => say(answerTo(id, right)), get);
  assert.is(good.code, 'answered');
});

test('an answer with other objects than were asked for has no values', async () => {
  const other = await ended(
    ({ id }, say) => say(answerTo(id, [['1.3.6.1.2.1.1.1.0', octetsTlv('no')]])),
    get,
  );
  assert.is.not(other.code, 'timeout');
  assert.is(other.value?.[0], undefined);
  const none = await ended(({ id }, say) => say(answerTo(id, [])), get);
  assert.is(none.value?.[0], undefined);
});

test('truncated answers end as answers that cannot be read, wherever they are cut', async () => {
  const whole = (id: number) => answerTo(id, [[`${column}.1.1`, octetsTlv('a paper jam')]]);
  for (let cut = 1; cut < whole(1).length; cut += 5) {
    const { code } = await ended(({ id }, say) => say(whole(id).slice(0, cut)), (session) => {
      return get(session);
    });
    assert.ok(['corrupt', 'timeout', 'answered', 'unavailable'].includes(code), `${cut}: ${code}`);
  }
});

test(`octets at random break nothing (SEED=${seed})`, async () => {
  let state = seed;
  const random = (below: number) => (state = (state * 1103515245 + 12345) % 2147483648) % below;
  const said = await ended(({ id }, say) => {
    const octets = Uint8Array.from(answerTo(id, [[`${column}.1.1`, octetsTlv('a paper jam')]]));
    for (let i = 0; i < 20; i++) {
      const changed = octets.slice();
      for (let j = random(4); j >= 0; j--) changed[random(changed.length)] = random(256);
      say(changed);
    }
  }, get);
  assert.ok(['corrupt', 'timeout', 'answered', 'unavailable'].includes(said.code), said.code);
});

test('too much at once, and too much altogether, end the session', async () => {
  const large = octetsTlv('x'.repeat(snmpLimits.maxDatagramBytes));
  const atOnce = await ended(({ id }, say) => say(answerTo(id, [[`${column}.1.1`, large]])), get);
  assert.is(atOnce.code, 'unavailable');
  const flood = await ended(({ id }, say) => {
    for (let i = 0; i <= snmpLimits.maxDatagrams; i++) say(answerTo(id + 1 + i, []));
  }, get);
  assert.is(flood.code, 'unavailable');
});

test('a table that never ends is cut off, and one that goes back or round ends', async () => {
  let row = 0;
  const endless = await ended(
    ({ id }, say) => say(answerTo(id, [[`${column}.1.${++row}`, integerTlv(1)]])),
    rows,
  );
  assert.is(endless.code, 'answered');
  assert.is(endless.value?.size, snmpLimits.maxAlerts);
  assert.ok(endless.asked <= snmpLimits.maxAlerts + 2, `asked ${endless.asked} times`);
  const round = await ended(({ id }, say) => say(answerTo(id, [[`${column}.1.1`, integerTlv(1)]])), rows);
  assert.equal([round.value?.size, round.asked], [1, 2]);
  let down = 1000;
  const back = await ended(
    ({ id }, say) => say(answerTo(id, [[`${column}.1.${--down}`, integerTlv(1)]])),
    rows,
  );
  assert.equal([back.value?.size, back.asked], [1, 2]);
  const elsewhere = await ended(({ id }, say) => say(answerTo(id, [['1.3.7', integerTlv(1)]])), rows);
  assert.equal([elsewhere.value?.size, elsewhere.asked], [0, 1]);
});

test('an agent that is slow with each answer does not hold anybody for longer than a session', async () => {
  let row = 0;
  const slow = await ended(({ id }, say) => {
    setTimeout(() => say(answerTo(id, [[`${column}.1.${++row}`, integerTlv(1)]])), 250);
  }, rows);
  assert.is(slow.code, 'timeout');
  assert.ok(slow.asked <= 12, `asked ${slow.asked} times`);
});

test('in SNMPv3 nothing is believed that nobody has signed', async () => {
  let asked = 0;
  const forged = await ended(
    ({ id }, say) => {
      asked += 1;
      if (asked === 1) say(unprotected(id, [['1.3.6.1.6.3.15.1.1.4.0', integerTlv(1)]], 'report'));
      else say(unprotected(id, [[`${column}.1.1`, octetsTlv('all is well')]], 'answer'));
    },
    get,
    '3',
  );
  assert.is(forged.code, 'forbidden');
  assert.is(forged.asked, 2);
});

test('an agent that answers SNMPv3 with reports only is not asked for ever', async () => {
  const reports = await ended(
    ({ id }, say) => say(unprotected(id, [[notInTimeWindows, integerTlv(1)]], 'report')),
    get,
    '3',
  );
  assert.is(reports.code, 'forbidden');
  assert.ok(reports.asked <= 4, `asked ${reports.asked} times`);
});

test('a host name that means nothing is said', async () => {
  const settings = check(snmpSettings, {});
  const opened = SnmpSession.open({ host: 'no-such-printer.invalid', settings, version: '2c' });
  const code = await opened.then(() => 'opened', (error: { code?: string }) => error.code);
  assert.is(code, 'unavailable');
});

test('every agent that is asked for a condition gives an end', async () => {
  const said = await ended(({ id, oids }, say) => {
    say(answerTo(id, oids.map((oid) => [`${oid}.1`, octetsTlv('nonsense')] as const)));
  }, readCondition);
  assert.is(said.code, 'answered');
  assert.is(said.value?.activity, 'unknown');
});

test.run();
