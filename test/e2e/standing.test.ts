/** Who belongs to an organisation, by real processes: sites, revocation, a second registrar, and its restoration. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import type { AuditView } from '../../src/audit.ts';
import { runInside } from '../../src/cli/run.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { type Kept, line, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';
import { ink, program, startOrganisation } from './organisation.ts';

/** from a fact's arrival on, and it arrives at once */
const cutOff_ms = 5000;

const org = await startOrganisation();
const [a1, a2, a3] = ['a1', 'a2', 'a3'].map((name) => org.node(name)) as [Node, Node, Node];
type Node = ReturnType<typeof org.node>;
const folder = tempDir();
const admin = join(folder, 'admin.credential');
writeFileSync(admin, readFileSync(join(a1.dir, 'admin.credential')), { mode: 0o600 });
const started: Kept[] = [];

test.after(async () => {
  await Promise.all(started.map((kept) => stop(kept)));
  await org.stop();
});

interface Failure {
  error: { code: string; message: string };
}

interface NodeView {
  name: string;
  peer: string;
  roles: string[];
  connected: boolean;
  revoked: string | null;
}

const at = (node: Node) => ['--dir', node.dir, '--credential', admin];

async function refused(args: readonly string[], code: string, says: RegExp): Promise<void> {
  const { json } = await ink<Failure>(args, { expectCode: code === 'usage' ? 2 : 1 });
  assert.is(json.error.code, code, json.error.message);
  assert.match(json.error.message, says);
}

/** Logs a new device of a user in. @returns its credential */
async function login(user: string, registrar: string[]): Promise<string> {
  const credential = join(folder, `${user}-${crypto.randomUUID()}`);
  const { json } = await ink<{ token: string }>(['user', 'invite', user, ...registrar]);
  await ink(['login', json.token, '--credential', credential]);
  return credential;
}

/** Resolves when a node refuses a credential, which has to be soon. */
async function untilShutOut(node: Node, credential: string): Promise<void> {
  const args = ['jobs', '--dir', node.dir, '--credential', credential];
  await waitFor(async () => {
    const said = await refusalOf(() => runInside(args));
    if (said === '') return undefined;
    assert.match(said, /^forbidden: .*revoked/);
    return true;
  }, { deadline_ms: cutOff_ms, what: `${node.name} to shut the device out` });
}

const nodesAt = (where: string[]) => runInside<NodeView[]>(['node', 'list', ...where]);

test('what is decided for a site is known everywhere, and what cannot be is refused', async () => {
  const set = ['site', 'set', 'a'];
  await refused([...set, 'retention', '10m', ...at(a1)], 'usage', /30m to 7d/);
  await refused([...set, 'relay', 'maybe', ...at(a1)], 'usage', /on or off/);
  await refused([...set, 'colour', 'red', ...at(a1)], 'usage', /relay, mesh/);
  await refused(['site', 'set', 'z', 'relay', 'on', ...at(a1)], 'not-found', /no site "z"/);
  await refused([...set, 'relay', 'on', ...at(a2)], 'forbidden', /a1/);
  const { json } = await ink<Record<string, unknown>>([...set, 'retention', '2h', ...at(a1)]);
  assert.is(json['retention_ms'], 2 * 3600_000);
  assert.is(json['by'], 'admin');
  assert.equal((json['before'] as Record<string, unknown>)['degraded'], json['degraded']);
  await ink([...set, 'degraded', 'accept', ...at(a1)]);
  for (const node of [a1, a2, a3]) {
    await waitFor(async () => {
      const [site] = await runInside<Record<string, unknown>[]>(['site', 'list', ...at(node)]);
      return site?.['degraded'] === 'accept' && site['retention_ms'] === 2 * 3600_000 || undefined;
    }, { deadline_ms: cutOff_ms, what: `${node.name} to know the policy` });
  }
});

test('a revoked device is shut out at every node, its user is not', async () => {
  const credential = await login('ada', at(a1));
  const devices =
    (await ink<{ id: string; user: string }[]>(['device', 'list', '--user', 'ada', ...at(a1)])).json;
  assert.ok(devices.length >= 2 && devices.every(({ user }) => user === 'ada'));
  const newest = devices.at(-1)?.id ?? '';
  await refused(['device', 'revoke', crypto.randomUUID(), ...at(a1)], 'not-found', /inkmesh device list/);
  await ink(['device', 'revoke', newest, ...at(a1)]);
  await Promise.all([a1, a2, a3].map((node) => untilShutOut(node, credential)));
  await ink(['jobs', ...org.as('ada', 'a2')]);
  const after = (await ink<{ id: string; revoked: string | null }[]>(['device', 'list', ...at(a2)])).json;
  assert.equal(after.filter(({ revoked }) => revoked !== null).map(({ id }) => id), [newest]);
});

test('a revoked user is shut out with every device, for good', async () => {
  await ink(['user', 'add', 'mallory', ...at(a1)]);
  const credential = await login('mallory', at(a1));
  await ink(['user', 'revoke', 'mallory', ...at(a1)]);
  await Promise.all([a1, a2, a3].map((node) => untilShutOut(node, credential)));
  await refused(['user', 'add', 'mallory', ...at(a1)], 'conflict', /another name/);
  await refused(['user', 'invite', 'mallory', ...at(a1)], 'conflict', /revoked/);
  await refused(['user', 'pin', 'mallory', ...at(a1)], 'conflict', /revoked/);
  await ink(['user', 'badge', 'mallory', 'none', ...at(a1)]);
  await refused(['user', 'revoke', 'admin', ...at(a1)], 'conflict', /this is you/);
  const users = (await ink<{ name: string; revoked: string | null }[]>(['user', 'list', ...at(a1)])).json;
  assert.equal(users.filter(({ revoked }) => revoked !== null).map(({ name }) => name), ['mallory']);
});

test('what was asked of a node, and whom it refused, is in its audit trail', async () => {
  const token = org.user('ada').print_uri.split('/').at(-1) ?? '';
  const printing = async (password: string) =>
    (await fetch(`http://127.0.0.1:${a2.ports.http}/print?title=Confidential`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`ada:${password}`)}`, 'content-type': 'application/pdf' },
      body: 'a document',
    })).status;
  assert.equal([await printing(token), await printing('a guess')], [201, 401]);
  await refused(['audit', ...org.as('ada', 'a2')], 'forbidden', /administrator/);
  const trail = async (node: Node) => (await ink<AuditView[]>(['audit', ...at(node)])).json;
  const here = await trail(a2);
  const rows = here.slice(0, 3).map(({ what, who, from }) => [what, who, from]);
  assert.equal(rows, [
    ['refused', 'ada', '127.0.0.1'],
    ['refused', null, '127.0.0.1'],
    ['submitted', 'ada', '127.0.0.1'],
  ]);
  const revoking = (await trail(a1)).find(({ detail }) => detail === 'POST /v1/users/mallory/revoke');
  assert.equal([revoking?.what, revoking?.who, revoking?.from], ['asked', 'admin', '127.0.0.1']);
  for (const secret of [token, 'a guess', 'Confidential']) assert.not.match(JSON.stringify(here), secret);
});

test('a machine that has joined and was never seen gives its name back when it is revoked', async () => {
  const { json } = await ink<{ token: string }>(['invite', 'node', '--site', 'a', '--uses', '2', ...at(a1)]);
  const joining = async (dir: string) => ['join', json.token, '--dir', await newDir(dir), '--node', 'ghost'];
  await ink(await joining('ghost-1'));
  await refused(await joining('ghost-2'), 'conflict', /another node is called "ghost".*revoke that one/);
  await ink(['node', 'revoke', 'ghost', ...at(a1)]);
  await ink(await joining('ghost-3'));
});

test('the last registrar stays, and a second one does all that the first does', async () => {
  await refused(['node', 'revoke', 'a1', ...at(a1)], 'conflict', /only registrar.*registrar add/);
  await refused(['registrar', 'add', 'nobody', ...at(a1)], 'not-found', /node list/);
  await ink(['registrar', 'add', 'a2', ...at(a1)]);
  assert.is((statSync(join(a2.dir, 'registrar.json')).mode & 0o777).toString(8), '600');
  await refused(['node', 'revoke', 'a1', ...at(a1)], 'conflict', /another one: run the command on a2/);
  await ink(['user', 'add', 'bob', ...at(a2)]);
  await org.restart('a2');
  await org.kill('a1');
  const credential = await login('bob', at(a2));
  await ink(['jobs', '--dir', a3.dir, '--credential', credential]);
  const roles = (await nodesAt(at(a3))).find(({ name }) => name === 'a2')?.roles;
  assert.equal(roles, ['registrar']);
  await org.restart('a1');
  await org.connected();
});

/** A data directory with the configuration of a node on loopback that is told no address. */
async function newDir(name: string): Promise<string> {
  const dir = join(folder, name);
  mkdirSync(dir, { recursive: true });
  const ports = { mesh: await freePort(), https: await freePort(), release: await freePort() };
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ address: '127.0.0.1', mdns: false, ports }));
  return dir;
}

async function start(dir: string): Promise<void> {
  const [command, ...first] = program();
  const kept = spawnKept(command, [...first, 'node', '--dir', dir, '--json']);
  started.push(kept);
  await line(kept, /^\{"ready".*\}$/, { deadline_ms: 20_000 });
}

test('an organisation whose registrars are lost is restored from its export, and goes on', async () => {
  const file = join(folder, 'organisation.age');
  const { json: made } = await ink<{ passphrase: string }>(['org', 'export', file, ...at(a1)]);
  assert.is((statSync(file).mode & 0o777).toString(8), '600');
  assert.match(readFileSync(file, 'latin1'), /^age-encryption\.org\/v1/);
  await refused(['org', 'export', file, ...at(a1)], 'conflict', /another FILE/);
  await refused(['org', 'export', join(folder, 'x'), ...at(a3)], 'forbidden', /no registrar/);
  for (const name of ['a1', 'a2']) {
    await org.kill(name);
    org.wipe(name);
  }
  const dir = await newDir('restored');
  const restore = ['org', 'restore', file, '--dir', dir, '--site', 'a', '--node'];
  try {
    process.env['INKMESH_PASSPHRASE'] = 'wrong-wrong-wrong';
    await refused([...restore, 'r1'], 'unauthenticated', /passphrase/);
    process.env['INKMESH_PASSPHRASE'] = made.passphrase;
    await refused([...restore, 'a2'], 'conflict', /called "a2" already/);
    await ink([...restore, 'r1']);
  } finally {
    delete process.env['INKMESH_PASSPHRASE'];
  }
  await start(dir);
  const here = ['--dir', dir];
  await waitFor(async () => (await nodesAt(here)).find(({ name, connected }) => name === 'a3' && connected), {
    deadline_ms: 20_000,
    what: 'the restored registrar to find the node that is left',
  });
  const users = (await ink<{ name: string }[]>(['user', 'list', ...here])).json.map(({ name }) => name);
  assert.ok(['ada', 'bob', 'mallory'].every((name) => users.includes(name)), users.join());
  for (const name of ['a1', 'a2']) await ink(['node', 'revoke', name, ...here]);
  const list = await nodesAt(here);
  assert.equal(list.filter(({ revoked }) => revoked !== null).map(({ name }) => name).sort(), ['a1', 'a2']);
  // the machine that takes the lost one's place may have its name
  const again = await newDir('a1-again');
  const { json: invite } = await ink<{ token: string }>(['invite', 'node', '--site', 'a', ...here]);
  await ink(['join', invite.token, '--dir', again, '--node', 'a1']);
  await start(again);
  await waitFor(async () => {
    const nodes = await nodesAt(['--dir', a3.dir, '--credential', join(dir, 'admin.credential')]);
    return nodes.find(({ name, connected, revoked }) => name === 'a1' && connected && revoked === null);
  }, { deadline_ms: 20_000, what: 'the node that was left to reach the new one' });
});

test('a revoked node is dropped by the others', async () => {
  const dir = join(folder, 'restored');
  await ink(['node', 'revoke', 'a3', '--dir', dir]);
  await waitFor(async () => {
    const a3seen = (await nodesAt(['--dir', dir])).find(({ name }) => name === 'a3');
    return a3seen?.revoked !== null && a3seen?.connected === false || undefined;
  }, { deadline_ms: cutOff_ms, what: 'a3 to be cut off' });
});

test.run();
