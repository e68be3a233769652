/** The demo as people start it: two sites, a cloud node, documents through it; it checks itself at each step. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { spawnKept, stop } from '../fakes/processes.ts';
import { program } from './organisation.ts';

/** seven nodes start on what may be two busy cores */
const done_ms = 300_000;

interface Played {
  printed: boolean;
  released: { outcome: string; printer: string };
  relay_off: string;
  offline: { outcome: string; printer: string };
}

test('what is printed at one site comes out at the other, not without the relay, and at home without the cloud', async () => {
  const [command, ...first] = program();
  const demo = spawnKept(command, [...first, 'demo', '--json']);
  const late = setTimeout(() => void stop(demo), done_ms);
  const { code } = await demo.ended;
  clearTimeout(late);
  assert.is(code, 0, demo.stdout() + demo.stderr());
  const played = JSON.parse(demo.stdout()) as Played;
  assert.is(played.printed, true);
  assert.equal([played.released.outcome, played.released.printer], ['printed', 'printer-b']);
  assert.match(played.relay_off, 'relay is off for site b: ask your operator');
  assert.equal([played.offline.outcome, played.offline.printer], ['printed', 'printer-a']);
});

test.run();
