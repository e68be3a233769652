import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { systemClock } from '../../src/clock.ts';
import { gather } from '../../mesh/gather.ts';

/** Questions that are answered when the test says so. */
function questions(names: string[]) {
  const open = new Map<string, { give(): void; fail(error: Error): void }>();
  const gathering = gather(
    systemClock,
    names,
    (name) => new Promise<string>((give, fail) => open.set(name, { give: () => give(name), fail })),
  );
  return { gathering, open };
}

const turn = () => new Promise((done) => setImmediate(done));

test('it goes on when enough have answered, and what comes later changes nothing', async () => {
  const { gathering, open } = questions(['a', 'b', 'c']);
  const enough = gathering.until(2, 0);
  open.get('b')?.give();
  open.get('c')?.give();
  const first = await enough;
  assert.equal(first, { got: ['b', 'c'], failed: [] });
  open.get('a')?.give();
  const all = await gathering.all;
  assert.equal(all.got.toSorted(), ['a', 'b', 'c']);
  assert.equal(first.got, ['b', 'c']);
});

test('within the grace a late answer counts, and the last one ends the wait', async () => {
  const { gathering, open } = questions(['a', 'b', 'c']);
  const graceful = gathering.until(2, 3600_000);
  for (const name of ['a', 'b', 'c']) open.get(name)?.give();
  assert.equal((await graceful).got.length, 3);
});

test('it goes on when enough can no longer be had', async () => {
  const { gathering, open } = questions(['a', 'b', 'c']);
  const enough = gathering.until(2, 0);
  open.get('a')?.give();
  open.get('b')?.fail(new InkmeshError('busy', 'taken'));
  await turn();
  open.get('c')?.fail(new Error('broken'));
  const { got, failed } = await enough;
  assert.equal(got, ['a']);
  assert.equal(failed.map(({ of, error }) => [of, error.code]), [['b', 'busy'], ['c', 'internal']]);
});

test('enough that is there already is given at once', async () => {
  const { gathering, open } = questions(['a', 'b']);
  open.get('a')?.give();
  await turn();
  assert.equal(await gathering.until(1, 0), { got: ['a'], failed: [] });
});

test.run();
