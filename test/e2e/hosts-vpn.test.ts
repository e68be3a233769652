import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Released } from '../../src/release/release.ts';
import type { Machine } from './hosts/machine.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, prints, type SlowPrint, untilPrinted } from './hosts/organisation.ts';

const MiB = 1024 * 1024;
/** more than the buffers of two sockets take, so that a printer that does not read holds up the delivery */
const large = 20 * MiB;

if (canIsolate()) {
  const network = new Network();
  const [siteA, siteB] = [network.site('a', { lans: 2 }), network.site('b')];
  const vpn = network.vpn(siteA, siteB);
  const places = [
    network.place('a1', siteA),
    network.place('a2', siteA),
    network.place('a3', siteA, 2),
    network.place('b1', siteB),
    network.place('b2', siteB),
  ] as const;
  const org = await HostOrganisation.found(places[0]);
  const [a2, a3, b1, b2] = await org.join(places.slice(1)) as [Machine, Machine, Machine, Machine];
  const a1 = org.registrar;
  await Promise.all([a2, a3, b1, b2].map((machine) => machine.start()));
  await org.connected();
  const printer = await org.addPrinter(network.place('printer-b', siteB));
  const stuck = await org.addPrinter(network.place('stuck-b', siteB), { stallAfter: MiB });

  test.after(() => org.stop());

  /** What was accepted prints once; what was not leaves nothing that prints by itself. */
  const end = async (print: SlowPrint) => {
    const { connections } = await printer.printed();
    const accepted = await print.finish();
    vpn.mend();
    for (const place of places) place.plug();
    await org.connected();
    const open = (await org.agreed()).map(({ id }) => id);
    assert.is((await printer.printed()).connections, connections, 'it printed by itself');
    if (accepted !== undefined) assert.equal(open, [accepted.id]);
    for (const id of open) {
      assert.is((await org.release(id, printer, b1)).outcome, 'sent');
      await untilPrinted(printer, print.sha256, 1);
      await org.nothingKept(id);
    }
    assert.is(await prints(printer, print.sha256), open.length);
    assert.equal(await org.agreed(), []);
    return accepted;
  };

  test('what is submitted at one site prints at the other, over the VPN', async () => {
    const document = await noise(3 * MiB);
    const before = vpn.traffic();
    const { id, holders } = await org.print(document, a1);
    assert.equal([...holders].sort(), ['a1', 'a2', 'a3'], 'the accepting site keeps it');
    await org.inState(b1, id, 'held');
    const { outcome } = await org.release(id, printer, b1);
    assert.is(outcome, 'sent');
    await untilPrinted(printer, document.sha256, 1);
    assert.ok(vpn.traffic().bytes - before.bytes > 3 * MiB, 'it came by the VPN');
    await org.nothingKept(id);
    for (const machine of org.machines) await org.inState(machine, id, 'sent');
    assert.is(await prints(printer, document.sha256), 1);
  });

  test('a cable pulled in mid-store: another machine takes the place', async () => {
    const print = await org.printHalf(a1, 3);
    const lost = org.storing().find((name) => name !== 'a1');
    places.find(({ name }) => name === lost)?.unplug();
    const accepted = await end(print);
    assert.ok(accepted, 'accepted by the others');
    assert.not.ok(accepted.holders.includes(lost as string));
  });

  test('a VPN that dies in mid-store: accepted for good, or not at all', async () => {
    const print = await org.printHalf(b1, 3);
    vpn.block();
    for (const machine of [b1, b2]) {
      await machine.untilMembers(org.ada, [b1, b2].filter((m) => m !== machine).map(({ name }) => name));
    }
    await end(print);
  });

  /** A release at `b1` that is stuck half-way, of a document that is kept at the other site. */
  const stuckRelease = async () => {
    const document = await noise(large);
    const { id } = await org.print(document, a1);
    await org.inState(b1, id, 'held');
    const released = org.release(id, stuck, b1);
    await org.inState(a1, id, 'delivering');
    return { id, document, released };
  };

  /** What may have come out needs its owner's word to come out again. */
  const settleOnce = async (id: string, sha256: string, { outcome }: Released) => {
    const before = await prints(stuck, sha256);
    if (outcome !== 'sent') {
      assert.is(outcome, 'interrupted');
      const { claims } = await org.inState(a1, id, 'interrupted');
      const plain = await org.release(id, printer, a1);
      assert.is(plain.outcome, 'refused', plain.reason);
      assert.is((await org.release(id, printer, a1, claims)).outcome, 'sent');
      await untilPrinted(printer, sha256, 1);
    } else await untilPrinted(stuck, sha256, 1);
    await org.nothingKept(id);
    const total = await prints(stuck, sha256) + await prints(printer, sha256);
    assert.is(total, outcome === 'sent' ? 1 : before + 1);
    assert.equal(await org.agreed(), []);
  };

  test('a VPN that dies between the votes and begin: nothing comes out, and the job is free again', async () => {
    const document = await noise(MiB);
    const { id } = await org.print(document, a1);
    await org.inState(b1, id, 'held');
    stuck.place.unplug();
    const released = org.release(id, stuck, b1);
    await org.inState(a1, id, 'claimed');
    vpn.block();
    stuck.place.plug();
    assert.not.equal((await released).outcome, 'sent');
    vpn.mend();
    await org.connected();
    for (const machine of org.machines) await org.inState(machine, id, 'held');
    assert.is((await stuck.printed()).received, 0);
    assert.is((await org.release(id, printer, b1)).outcome, 'sent');
    await untilPrinted(printer, document.sha256, 1);
    await org.nothingKept(id);
  });

  test('a VPN that dies while a document prints: nothing is lost, nothing prints twice', async () => {
    const { id, document, released } = await stuckRelease();
    vpn.cut();
    await b1.untilMembers(org.ada, ['b2']);
    assert.is(
      (await org.release(id, printer, a2)).outcome,
      'refused',
      'the other side knows that it has begun',
    );
    await stuck.go();
    // what the claimant does without the holders ends when they are back
    const ended = await Promise.race([
      released,
      a1.untilMembers(org.ada, ['a2', 'a3']).then(() => undefined),
    ]);
    vpn.mend();
    await org.connected();
    await settleOnce(id, document.sha256, ended ?? await released);
  });

  test('a node that was off while jobs came and went catches up', async () => {
    await a3.stop();
    const kept: string[] = [];
    for (let i = 0; i < 12; i++) {
      const document = await noise(20_000);
      const { id } = await org.print(document, a1);
      if (i % 3 === 0) kept.push(id);
      else assert.is((await org.release(id, printer, i % 2 === 0 ? a1 : a2)).outcome, 'sent');
    }
    await a3.start();
    await org.connected();
    assert.equal((await org.agreed()).map(({ id }) => id).sort(), [...kept].sort());
    for (const id of kept) assert.is((await org.release(id, printer, a3)).outcome, 'sent');
    assert.equal(await org.agreed(), []);
  });
} else test.skip('hosts need network namespaces');

test.run();
