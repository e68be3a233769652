import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { hurried } from '../../mesh/growing.ts';
import { slowBytes, slowLook_ms } from '../../mesh/limits.ts';
import { Slots } from '../../mesh/slots.ts';
import { systemClock } from '../../src/clock.ts';
import { stillClock } from '../fakes/still-clock.ts';

const never = new AbortController().signal;
const make = (limits: { line?: number; patience_ms?: number } = {}) =>
  new Slots({ slots: 2, line: 8, patience_ms: 60_000, ...limits }, systemClock);

const codeOf = (thrown: unknown) => thrown instanceof InkmeshError ? thrown.code : String(thrown);

test('so many at once, the others in their order', async () => {
  const slots = make();
  const order: number[] = [];
  const [first, second] = [await slots.take(never), await slots.take(never)];
  const waiting = [3, 4, 5].map(async (n) => {
    const leave = await slots.take(never);
    order.push(n);
    return leave;
  });
  await Promise.resolve();
  assert.equal(order, []);
  first();
  const third = await waiting[0];
  assert.equal(order, [3]);
  second();
  third?.();
  await Promise.all(waiting);
  assert.equal(order, [3, 4, 5]);
});

test('a line that is full, or takes too long, refuses as busy, and gives no slot away', async () => {
  const slots = make({ line: 1, patience_ms: 20 });
  const leave = await slots.take(never);
  await slots.take(never);
  const waits = slots.take(never).catch(codeOf);
  assert.is(await slots.take(never).catch(codeOf), 'busy');
  assert.is(await waits, 'busy');
  leave();
  assert.type(await slots.take(never), 'function');
});

test('who gives up leaves the line', async () => {
  const slots = make({ line: 1 });
  const leave = await slots.take(never);
  await slots.take(never);
  const stop = new AbortController();
  const waits = slots.take(stop.signal).catch((reason: unknown) => reason);
  stop.abort('gone');
  assert.is(await waits, 'gone');
  assert.is(await slots.take(stop.signal).catch((reason: unknown) => reason), 'gone');
  const next = slots.take(never);
  leave();
  assert.type(await next, 'function');
});

test('a document of which hardly anything comes is given up when others wait, and not before', async () => {
  const clock = stillClock();
  const places = { isWaitedFor: false };
  async function* steps(octets: number, minutes: number): AsyncGenerator<Uint8Array> {
    for (let minute = 0; minute < minutes; minute++) {
      yield new Uint8Array(octets);
      await Promise.resolve();
      clock.pass(slowLook_ms);
    }
  }
  const read = async (octets: number) => {
    const stop = new AbortController();
    const parts = hurried(steps(octets, 5), places, clock, stop);
    let count = 0;
    while (!stop.signal.aborted && !(await parts.next()).done) count++;
    await parts.return(undefined);
    return [count, stop.signal.aborted ? codeOf(stop.signal.reason) : 'whole'];
  };
  assert.equal(await read(1), [5, 'whole']);
  places.isWaitedFor = true;
  assert.is((await read(1))[1], 'busy');
  assert.equal(await read(slowBytes), [5, 'whole']);
});

test.run();
