/** What a node lacks: who is asked for it, and when the next. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { maxWantedPerTeller, nextSource_ms } from '../../mesh/limits.ts';
import { Turns } from '../../mesh/turns.ts';
import { Wanted } from '../../mesh/wanted.ts';
import { stillClock } from '../fakes/still-clock.ts';

/** A node that asks others; each question is answered when `answer` is called with it. */
function asker() {
  const clock = stillClock();
  const [here, missed] = [new Set<number>(), [] as string[]];
  const asked: { from: string; keys: readonly number[]; answer(...keys: number[]): Promise<void> }[] = [];
  const wanted = new Wanted<number>({
    clock,
    lacks: (_doc, key) => !here.has(key),
    ask: (_doc, keys, from, answered) =>
      new Promise((resolve) =>
        asked.push({
          ...{ from, keys },
          answer: async (...keys) => {
            answered();
            for (const key of keys) here.add(key);
            resolve(undefined);
            await new Promise((next) => setImmediate(next));
          },
        })
      ),
    missed: (_doc, from) => void missed.push(from),
  });
  const tell = (from: string, ...keys: number[]) =>
    wanted.told('doc', keys.map((key) => [key, 1] as const), from);
  const questions = () => asked.map(({ from, keys }) => `${from} ${keys}`);
  return { clock, wanted, tell, asked, questions, missed };
}

test('who does not give what it told of is asked no more, the next is, and at the end it is said to be missed', async () => {
  const { tell, asked, questions, missed } = asker();
  tell('a', 1, 2);
  tell('b', 1, 2);
  tell('c', 1);
  assert.equal(questions(), ['a 1,2']);
  await asked[0]!.answer(2);
  assert.equal(questions(), ['a 1,2', 'b 1']);
  await asked[1]!.answer();
  await asked[2]!.answer();
  assert.equal(questions().slice(2), ['c 1']);
  assert.equal(missed, ['c']);
});

test('who does not answer keeps nobody waiting: after a while the next is asked, also one that tells later', async () => {
  const { clock, tell, asked, questions, missed } = asker();
  tell('a', 1, 2);
  tell('b', 1);
  clock.pass(nextSource_ms - 1);
  assert.equal(questions(), ['a 1,2']);
  clock.pass(1);
  assert.equal(questions(), ['a 1,2', 'b 1']);
  tell('c', 2);
  assert.equal(questions().slice(2), ['c 2']);
  await asked[1]!.answer(1);
  await asked[2]!.answer(2);
  await asked[0]!.answer();
  assert.equal(missed, []);
  assert.is(asked.length, 3);
});

test('who tells of more than it gives takes nobody else’s room', async () => {
  const { tell, asked, questions, missed } = asker();
  tell('a', ...Array.from({ length: maxWantedPerTeller }, (_, i) => 1000 + i));
  tell('a', 1);
  assert.is(asked.length, 1);
  assert.equal(missed, ['a']);
  tell('b', 1);
  assert.equal(questions()[1], 'b 1');
  await asked[0]!.answer();
  tell('a', 2);
  assert.equal(questions()[2], 'a 2', 'there is room again');
});

test('of one name so many run at a time, in turn, those that fail too', async () => {
  const turns = new Turns(2);
  const done: (() => void)[] = [];
  const run = (name: string, fails = false) =>
    turns.take(name, async () => {
      await new Promise<void>((resolve) => done.push(resolve));
      if (fails) throw new Error('as told');
    });
  const failing = run('a', true).then(() => '', String);
  const rest = [run('a'), run('a'), run('b')];
  assert.is(done.length, 3);
  done[0]!();
  assert.match(await failing, /as told/);
  assert.is(done.length, 4);
  for (const end of done) end();
  await Promise.all(rest);
});

test.run();
