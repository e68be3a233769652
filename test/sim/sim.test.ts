/** A simulated cluster under faults is the same cluster whenever it has the same seed. */
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

test('one seed is one run, to the byte, in every process', () => {
  const run = () => {
    const runtime = process.versions['deno'] === undefined ? [] : ['run', '-A'];
    const file = fileURLToPath(new URL('./run.ts', import.meta.url));
    const { stdout } = spawnSync(process.execPath, [...runtime, file, '--seed', '7', '--steps', '200'], {
      encoding: 'utf8',
    });
    return stdout;
  };
  const first = run();
  assert.match(first, /^seed 7: [0-9a-f]{64} /);
  assert.is(run(), first);
});

test.run();
