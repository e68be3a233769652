/** An office that is new, without a registrar, whose firewall lets TCP 443 out to a cloud node, and nothing else. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { files } from '../../src/datadir.ts';
import type { Printer } from '../../src/directory.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { Machine } from './hosts/machine.ts';
import { canIsolate } from './hosts/namespaces.ts';
import { Network } from './hosts/network.ts';
import { HostOrganisation, noise, untilPrinted } from './hosts/organisation.ts';

const deadline_ms = 60_000;
const port = 443;

if (canIsolate() && requireTools(['nft', 'tc'])) {
  const network = new Network();
  const [siteA, siteB, internet] = [network.site('a'), network.site('b'), network.site('cloud')];
  const cloud = new Machine(network.place('cloud', internet), 'cloud');
  const { address } = cloud.place;
  const url = `https://${address}`;
  const [, uplinkB] = [siteA, siteB].map((site) => network.uplink(site, internet, { address, port }));
  const org = await HostOrganisation.found(network.place('a1', siteA));
  const { registrar: a1 } = org;
  await org.joinAtRegistrar([cloud], 'cloud');
  const [a2, a3] = await org.join(['a2', 'a3'].map((name) => network.place(name, siteA))) as [
    Machine,
    Machine,
  ];
  const b1 = new Machine(network.place('b1', siteB));
  const printerB = new Machine(network.place('printer-b', siteB));
  await a1.stop();
  for (const machine of [a1, a2, a3]) machine.configure({ cloud: url });
  cloud.configure({ listen: `0.0.0.0:${port}` });
  await Promise.all([cloud, a1, a2, a3].map((machine) => machine.start()));
  const asBoss = ['--dir', b1.dir, '--credential', files.adminCredential(a1.dir)];

  test.after(async () => {
    await Promise.all([cloud, b1, printerB].map((machine) => machine.close()));
    await org.stop();
  });

  const invited = async (...how: string[]) =>
    (await org.admin<{ token: string }>('invite', 'node', '--site', 'b', ...how)).token;

  test('where neither a registrar nor the cloud answers, joining says so, and leaves no node', async () => {
    const token = await invited('--at', `${a1.place.address}:9264`, '--at', 'https://10.9.9.9');
    const failed = await b1.run('join', token, '--dir', b1.dir).then(
      () => '',
      ({ message }: Error) => message,
    );
    assert.match(failed, /no registrar answers at https:\/\/10\.9\.9\.9/);
    assert.not.ok(existsSync(join(b1.dir, 'node.json')));
  });

  test('the first node of a site joins through the cloud, and finds it again by itself', async () => {
    // nobody has told the token of the cloud: the registrar knows it
    await waitFor(async () => {
      const nodes = await org.admin<{ name: string; connected: boolean }[]>('node', 'list');
      return nodes.find(({ name }) => name === 'cloud')?.connected || undefined;
    }, { deadline_ms, what: 'the cloud to be connected to a1' });
    const joined = await b1.run<{ site: string; reachable: boolean | null; cloud: string }>(
      ...['join', await invited(), '--dir', b1.dir, '--node', 'b1'],
    );
    assert.equal([joined.site, joined.reachable, joined.cloud], ['b', null, url]);
    assert.ok((uplinkB?.refused().packets ?? 0) > 0, 'it has tried a1 first, to which there is no way');
    assert.equal(JSON.parse(readFileSync(files.config(b1.dir), 'utf8')), { cloud: url });
    await b1.start();
    await waitFor(async () => {
      const sites = await org.admin<{ site: string }[]>('site', 'list');
      return sites.some(({ site }) => site === 'b') || undefined;
    }, { deadline_ms, what: `a1 to hear of b; ${b1.log().slice(-2000)}` });
  });

  test('a doctor says that nobody reaches it, and when its relay is on that others do through the cloud', async () => {
    const told = async () => {
      const { findings } = await b1.run<{ findings: Finding[] }>('doctor', '--dir', b1.dir);
      const of = (check: string) => findings.find((finding) => finding.check === check);
      return { reachable: of('reachable'), cloud: of('cloud') };
    };
    const before = await told();
    assert.is(before.cloud?.level, 'ok', JSON.stringify(before.cloud));
    assert.is(before.reachable?.level, 'warn', JSON.stringify(before.reachable));
    for (const site of ['a', 'b']) await org.admin('site', 'set', site, 'relay', 'on');
    await waitFor(async () => {
      const { reachable } = await told();
      return reachable?.level === 'ok' && /through cloud/.test(reachable.message) || undefined;
    }, { deadline_ms, what: 'b1 to be reached through the cloud' });
  });

  test('an administrator adds the site’s printer there, and it prints what was printed elsewhere', async () => {
    const uri = await printerB.becomePrinter();
    const add = ['printer', 'add', uri, '--name', 'printer-b', '--site', 'b', ...asBoss];
    // the registrar is reached once the relay is
    const added = await waitFor(() => b1.run<Printer>(...add).catch(() => undefined), {
      ...{ deadline_ms, what: 'a registrar to state the printer' },
    });
    assert.equal([added.name, added.uri], ['printer-b', uri]);
    const document = await noise(500_000);
    const { id } = await org.print(document, a2);
    await org.inState(b1, id, 'held');
    await waitFor(async () => {
      const { outcome } = await org.release(id, printerB, b1);
      return outcome === 'sent' || undefined;
    }, { deadline_ms, what: `b1 to release; ${b1.log().slice(-2000)}` });
    await untilPrinted(printerB, document.sha256, 1);
  });

  test('and a user logs in there', async () => {
    const { token } = await org.admin<{ token: string }>('user', 'invite', 'ada');
    const credential = join(tempDir(), 'ada-at-b');
    const { user } = await b1.run<{ user: string }>(...['login', token, '--credential', credential]);
    assert.is(user, 'ada');
    assert.ok(Array.isArray(await b1.run('jobs', '--dir', b1.dir, '--credential', credential)));
  });
} else test.skip('hosts need network namespaces');

test.run();
