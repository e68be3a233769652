import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { waitFor } from '../fakes/processes.ts';
import type { Machine } from './hosts/machine.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, untilPrinted } from './hosts/organisation.ts';

const MiB = 1024 * 1024;
const closed_ms = 5000;

if (canIsolate()) {
  const network = new Network();
  const [head, north, south] = [network.site('h'), network.site('n'), network.site('s')];
  // each branch reaches the head office only
  const links = [network.vpn(head, north), network.vpn(head, south)];
  const org = await HostOrganisation.found(network.place('h1', head));
  const [relay] = await org.join([network.place('h2', head)], { role: 'relay' }) as [Machine];
  await relay.start();
  const [n1, n2, n3, s1] = await org.join([
    ...['n1', 'n2', 'n3'].map((name) => network.place(name, north)),
    network.place('s1', south),
  ]) as [Machine, Machine, Machine, Machine];
  await Promise.all([n1, n2, n3, s1].map((machine) => machine.start()));
  const printer = await org.addPrinter(network.place('printer-s', south));

  test.after(() => org.stop());

  const decide = async (relayed: 'on' | 'off') => {
    for (const site of [north, south]) await org.admin('site', 'set', site.name, 'relay', relayed);
  };

  /** Releases at the other branch, again while the relay that was just turned on is not in use yet. */
  const releaseRelayed = async (id: string) => {
    const { outcome, reason } = await waitFor(async () => {
      const released = await org.release(id, printer, s1);
      return released.outcome === 'refused' ? undefined : released;
    }, { deadline_ms: 60_000, what: 's1 to reach two holders through the relay' });
    assert.is(outcome, 'sent', reason);
  };

  test('a branch prints what another branch keeps, through the relay of the head office', async () => {
    await decide('on');
    const document = await noise(3 * MiB);
    const { id, holders } = await org.print(document, n1);
    assert.equal([...holders].sort(), ['n1', 'n2', 'n3'], 'the accepting site keeps it');
    await org.inState(s1, id, 'held');
    const before = links.map((link) => link.traffic().bytes);
    await releaseRelayed(id);
    await untilPrinted(printer, document.sha256, 1);
    await org.nothingKept(id);
    for (const machine of [n1, s1]) await org.inState(machine, id, 'sent');
    for (const [i, link] of links.entries()) {
      assert.ok(link.traffic().bytes - (before[i] ?? 0) > 3 * MiB, 'it came by both links');
    }
  });

  test('with the relay off the branches part within 5 s, and a release says so', async () => {
    const { id } = await org.print(await noise(200_000), n1);
    await org.inState(s1, id, 'held');
    await decide('off');
    const names = async () => (await s1.status(org.ada)).members.map(({ name }) => name);
    await waitFor(async () => (await names()).some((name) => name.startsWith('n')) ? undefined : true, {
      deadline_ms: closed_ms,
      what: 's1 to reach the head office only',
    });
    const refused = await org.release(id, printer, s1);
    assert.is(refused.outcome, 'refused');
    await decide('on');
    await releaseRelayed(id);
    await org.nothingKept(id);
  });
} else test.skip('hosts need network namespaces');

test.run();
