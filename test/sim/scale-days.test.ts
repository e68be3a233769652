/** Days of jobs; `deno task sim:scale` does the same with a hundred thousand. */
import './crypto.ts';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { costOf, days } from './scale-days.ts';

const jobs = 2000;
const KiB = 1024;

test('a job costs less than 1 KB in memory and on disk, and nothing when its day is dropped', async () => {
  const samples = await days(7, jobs);
  const told = JSON.stringify(samples);
  assert.ok(samples.at(-1)!.live <= 2 * jobs, `past days are dropped: ${told}`);
  const cost = costOf(samples, jobs);
  assert.ok(cost.busy < KiB, `in memory, documents in use: ${cost.busy} in ${told}`);
  assert.ok(cost.calm < KiB, `in memory: ${cost.calm} in ${told}`);
  assert.ok(cost.disk < KiB, `on disk: ${cost.disk} in ${told}`);
  // what a process grows by while it runs comes to this for so few jobs
  assert.ok(cost.leftInMemory < 32, `left of a dropped job in memory: ${cost.leftInMemory} in ${told}`);
  assert.ok(cost.leftOnDisk < 8, `left of a dropped job on disk: ${cost.leftOnDisk} in ${told}`);
});

test.run();
