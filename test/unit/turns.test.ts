import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Turns } from '../../src/deliver/turns.ts';
import { deliverLimits } from '../../src/limits.ts';

const never = new AbortController().signal;
const nothing = () => {};

/** What has had its turn so far, once everything that can has. */
async function settled(done: string[]): Promise<string[]> {
  await new Promise((resolve) => setImmediate(resolve));
  return [...done];
}

test('so many at a time, the others in order, each address for itself', async () => {
  const turns = new Turns(deliverLimits);
  const done: string[] = [];
  const inLine: string[] = [];
  const passes = new Map<string, () => void>();
  const take = (name: string, key: string) =>
    turns.take(key, 2, never, () => inLine.push(name)).then((pass) => {
      done.push(name);
      passes.set(name, pass);
    });
  const all = ['a', 'b', 'c', 'd'].map((name) => take(name, 'x'));
  all.push(take('other', 'y'));
  assert.equal(await settled(done), ['a', 'b', 'other']);
  assert.equal(inLine, ['c', 'd']);
  passes.get('b')?.();
  assert.equal(await settled(done), ['a', 'b', 'other', 'c']);
  passes.get('a')?.();
  await Promise.all(all);
  assert.equal(done, ['a', 'b', 'other', 'c', 'd']);
  for (const name of ['c', 'd']) passes.get(name)?.();
  await take('e', 'x');
  await take('f', 'x');
  assert.equal(inLine, ['c', 'd']);
});

test('who is stopped, or waits too long, leaves the line to the others', async () => {
  const turns = new Turns({ ...deliverLimits, line_ms: 50, maxLine: 2 });
  const pass = await turns.take('x', 1, never, nothing);
  const stop = new AbortController();
  const stopped = turns.take('x', 1, stop.signal, nothing);
  const late = turns.take('x', 1, never, nothing);
  const crowded = await turns.take('x', 1, never, nothing).catch((error: unknown) => error);
  assert.match(String(crowded), 'too many');
  stop.abort(new Error('stopped'));
  assert.match(String(await stopped.catch((error: unknown) => error)), 'stopped');
  assert.match(String(await late.catch((error: unknown) => error)), 'too many');
  pass();
  (await turns.take('x', 1, never, nothing))();
});

test.run();
