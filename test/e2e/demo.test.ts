/** The demo as people start it: two sites, a cloud node, documents through it; it checks itself at each step. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ink } from './organisation.ts';

interface Played {
  printed: boolean;
  released: { outcome: string; printer: string };
  relay_off: string;
  offline: { outcome: string; printer: string };
}

test('what is printed at one site comes out at the other, not without the relay, and at home without the cloud', async () => {
  const { json, stderr } = await ink<Played>(['demo']);
  assert.is(json.printed, true, stderr);
  assert.equal([json.released.outcome, json.released.printer], ['printed', 'printer-b']);
  assert.match(json.relay_off, 'relay is off for site b: ask your operator');
  assert.equal([json.offline.outcome, json.offline.printer], ['printed', 'printer-a']);
});

test.run();
