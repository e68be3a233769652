import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { Slots } from '../../mesh/slots.ts';
import { systemClock } from '../../src/clock.ts';

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

test.run();
