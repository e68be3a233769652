/** Two offices whose firewalls let TCP 443 out to a cloud node, and nothing else; with a VPN between them later on. */
import { copyFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { inFiles, inMemory } from '../fakes/traces.ts';
import { Machine } from './hosts/machine.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, prints, untilPrinted } from './hosts/organisation.ts';

const MiB = 1024 * 1024;
const port = 443;
/** a document takes a while by an uplink that is so slow */
const slowBytes = 2 * MiB;
const transferBytes = 16 * MiB;
const relayed_ms = 60_000;
const patient_ms = 8000;

if (canIsolate() && requireTools(['nft', 'ss', 'tc'])) {
  const network = new Network();
  const [siteA, siteB, internet] = [network.site('a'), network.site('b'), network.site('cloud')];
  const cloud = new Machine(network.place('cloud', internet), 'cloud');
  const { address } = cloud.place;
  const uplinks = [siteA, siteB].map((site) => network.uplink(site, internet, { address, port }));
  const org = await HostOrganisation.found(network.place('a1', siteA));
  const { registrar: a1 } = org;
  await org.joinAtRegistrar([cloud], 'cloud');
  const [a2, a3, b1] = [['a2', siteA], ['a3', siteA], ['b1', siteB]].map(([name, site]) =>
    new Machine(network.place(name as string, site as typeof siteA))
  ) as [Machine, Machine, Machine];
  await org.joinAtRegistrar([a2, a3, b1]);
  const edges = [a1, a2, a3, b1];
  await a1.stop();
  for (const machine of edges) machine.configure({ cloud: `https://${address}` });
  cloud.configure({ listen: `0.0.0.0:${port}` });
  await Promise.all([cloud, ...edges].map((machine) => machine.start()));
  const decide = async (setting: 'relay' | 'mesh', value: string) => {
    for (const site of [siteB, siteA]) await org.admin('site', 'set', site.name, setting, value);
  };
  await waitFor(async () => {
    const sites = await org.admin<{ site: string }[]>('site', 'list');
    return sites.length >= 3 || undefined;
  }, { deadline_ms: relayed_ms, what: `the sites to know of each other; ${b1.log().slice(-2000)}` });
  await decide('relay', 'on');
  await decide('mesh', 'site');
  const vpn = network.vpn(siteA, siteB);
  const printerA = await org.addPrinter(network.place('printer-a', siteA));
  const printerB = await org.addPrinter(network.place('printer-b', siteB));

  test.after(async () => {
    await cloud.close();
    await org.stop();
  });

  /** Releases at B, again while the relay is not in use yet. */
  const releaseAtB = async (id: string) => {
    let last: string | undefined;
    const look = async () => {
      const { outcome, reason } = await org.release(id, printerB, b1);
      last = reason;
      return outcome === 'refused' ? undefined : outcome;
    };
    const outcome = await waitFor(look, { deadline_ms: relayed_ms, what: 'b1 to reach two holders' })
      .catch((error: Error) => {
        throw new Error(`${error.message}: ${last}\n${b1.log().slice(-3000)}`);
      });
    assert.is(outcome, 'sent', last);
  };

  const sentByA = () => uplinks[0]?.sent().bytes ?? 0;

  /** Prints at A and releases at B. @returns the document, and octets that left A for the cloud meanwhile */
  const acrossSites = async (bytes: number) => {
    const document = await noise(bytes);
    const before = sentByA();
    const { id } = await org.print(document, a2);
    await org.inState(b1, id, 'held');
    const shares = [a1, a2, a3].flatMap(({ dir }) => shareOf(dir, id));
    await releaseAtB(id);
    await untilPrinted(printerB, document.sha256, 1);
    await org.nothingKept(id);
    return { document, shares, sent: sentByA() - before };
  };

  test('with the VPN open and sites that keep to themselves, all goes by the cloud, and nothing by the VPN', async () => {
    const before = vpn.traffic().packets;
    const { sent } = await acrossSites(3 * MiB);
    assert.ok(sent > 3 * MiB, `${sent} octets left A for the cloud`);
    assert.is(vpn.traffic().packets, before);
  });

  test('with no route between the sites, and TCP 443 open to the cloud only, B prints what A keeps', async () => {
    vpn.block();
    await decide('mesh', 'organisation');
    const before = vpn.traffic().packets;
    const { sent, document, shares } = await acrossSites(3 * MiB);
    assert.ok(sent > 3 * MiB, `${sent} octets left A for the cloud`);
    assert.is(vpn.traffic().packets, before);
    const octets = await readFile(document.file);
    const blocks = Array.from({ length: 16 }, (_, i) => octets.subarray(i * 190_000, i * 190_000 + 24));
    const needles = [...blocks, ...shares];
    assert.is(needles.length, 19);
    assert.equal(inMemory(cloud.pid, needles), [], 'the cloud has none of it in its memory');
    assert.equal(inFiles(cloud.dir, needles), [], 'nor on its disk');
    const peer = Buffer.from(
      (JSON.parse(await readFile(join(cloud.dir, 'run.json'), 'utf8')) as { peer: string }).peer,
    );
    assert.equal(
      [inMemory(cloud.pid, [peer]), inFiles(cloud.dir, [peer])],
      [[0], [0]],
      'what it has is found',
    );
  });

  /** A document of A's on its slow way to B's printer. */
  const transfer = async () => {
    const document = await noise(transferBytes);
    const { id } = await org.print(document, a2);
    await org.inState(b1, id, 'held');
    uplinks[1]?.slow(slowBytes);
    const before = sentByA();
    const releasing = org.release(id, printerB, b1);
    await waitFor(() => sentByA() - before > MiB || undefined, {
      deadline_ms: relayed_ms,
      what: 'a transfer',
    });
    return { document, id, releasing, sent: () => sentByA() - before };
  };

  test('a transfer ends with the reason when its site’s relay is turned off, and prints when it is on again', async () => {
    const { document, id, releasing, sent } = await transfer();
    await org.admin('site', 'set', 'b', 'relay', 'off');
    const { outcome, reason = '' } = await releasing;
    assert.is(outcome, 'refused');
    assert.match(reason, /relay is off for site b: ask your operator/);
    assert.ok(sent() < transferBytes, `it went on: ${sent()} octets`);
    assert.match(
      (await org.release(id, printerB, b1)).reason ?? '',
      /relay is off for site b: ask your operator/,
    );
    uplinks[1]?.fast();
    await org.inState(a2, id, 'held');
    await org.admin('site', 'set', 'b', 'relay', 'on');
    await releaseAtB(id);
    await untilPrinted(printerB, document.sha256, 1);
  });

  test('kill -9 of the cloud in mid-relay: printed once after it is back, and each site goes on meanwhile', async () => {
    const { document, id, releasing } = await transfer();
    await cloud.kill();
    const printedAtA = async () => {
      const own = await noise(200_000);
      const accepted = await org.print(own, a3);
      assert.is((await org.release(accepted.id, printerA, a2)).outcome, 'sent');
      await untilPrinted(printerA, own.sha256, 1);
    };
    await printedAtA();
    assert.is((await releasing).outcome, 'refused');
    uplinks[1]?.fast();
    await org.inState(a3, id, 'held');
    await printedAtA();
    await cloud.start();
    await releaseAtB(id);
    await untilPrinted(printerB, document.sha256, 1);
    await org.nothingKept(id);
    assert.is(await prints(printerB, document.sha256), 1);
  });

  test('a cloud that does not answer holds nobody up', async () => {
    process.kill(cloud.pid, 'SIGSTOP');
    try {
      const own = await noise(200_000);
      const start_ms = performance.now();
      const { id } = await org.print(own, a3);
      const accepted_ms = performance.now() - start_ms;
      assert.is((await org.release(id, printerA, a2)).outcome, 'sent');
      const released_ms = performance.now() - start_ms - accepted_ms;
      await untilPrinted(printerA, own.sha256, 1);
      assert.ok(Math.max(accepted_ms, released_ms) < patient_ms, `${accepted_ms} ms, ${released_ms} ms`);
    } finally {
      process.kill(cloud.pid, 'SIGCONT');
    }
  });

  test('sites that reach each other directly use no relay', async () => {
    vpn.mend();
    const before = vpn.traffic().bytes;
    // it is minutes since the last attempts that failed, and the next may be as long in coming
    await b1.stop();
    await b1.start();
    const isDirect = ({ place }: Machine) => b1.place.connectedTo().includes(place.address);
    await waitFor(() => [a1, a2, a3].every(isDirect) || undefined, {
      ...{ deadline_ms: relayed_ms, what: 'b1 to reach all of A by the VPN' },
    });
    const { sent } = await acrossSites(3 * MiB);
    const direct = vpn.traffic().bytes - before;
    assert.ok(sent < MiB / 2, `${sent} octets left A for the cloud`);
    assert.ok(direct > 3 * MiB, `${direct} octets went by the VPN`);
  });
} else test.skip('hosts need network namespaces');

/** The share that a node keeps of a job, out of a copy of its tables, which it lets nobody else open. */
function shareOf(dir: string, job: string): Uint8Array[] {
  const copy = tempDir();
  for (const file of ['state.sqlite', 'state.sqlite-wal']) copyFileSync(join(dir, file), join(copy, file));
  const database = new DatabaseSync(join(copy, 'state.sqlite'));
  try {
    return database.prepare('SELECT share FROM pieces WHERE job = ?').all(job).map(({ share }) =>
      share as Uint8Array
    );
  } finally {
    database.close();
  }
}

test.run();
