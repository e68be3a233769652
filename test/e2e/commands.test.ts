/** The command line is a contract: exit codes, one JSON document, errors that say what to do; and who may do what. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort } from '../../src/cli/children.ts';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { line, spawnKept, stop, tempDir, waitFor } from '../fakes/processes.ts';
import { startSink } from '../fakes/sink.ts';
import { ink, makePdf, program, startOrganisation } from './organisation.ts';
import { jobAt, jobsAt, nothingKept } from './remains.ts';

interface Failure {
  error: { code: string; message: string };
}

interface Token {
  token: string;
  expires: string;
}

const org = await startOrganisation();
const sink = await startSink();
await org.addPrinter(sink.uri, 'sink');
const a1 = org.node('a1');
const pdf = makePdf(60_000);
const folder = tempDir();

test.after(async () => {
  await org.stop();
  await sink.stop();
});

/**
 * Runs a command that must fail.
 * @param says what the sentence for a person has in it
 */
async function refused(args: readonly string[], code: 1 | 2, says: RegExp): Promise<string> {
  const { json, stderr } = await ink<Failure>(args, { expectCode: code });
  assert.is(stderr, `inkmesh: ${json.error.message}\n`);
  assert.match(stderr, says);
  assert.not.match(stderr, /^\s+at /m, 'no stack');
  if (code === 2) assert.is(json.error.code, 'usage');
  return json.error.code;
}

/** A data directory with the configuration of a node on loopback. */
async function newDir(name: string, ports: Record<string, number> = {}): Promise<string> {
  const dir = join(folder, name);
  mkdirSync(dir, { recursive: true });
  const free = { mesh: await freePort(), https: await freePort(), release: await freePort() };
  const config = { address: '127.0.0.1', mdns: false, ports: { ...free, ...ports } };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}

async function invite(...options: string[]): Promise<Token> {
  return (await ink<Token>(['invite', 'node', '--site', org.site, '--dir', a1.dir, ...options])).json;
}

test('bad usage is exit 2, before anything is asked of a node', async () => {
  const ada = org.as('ada', 'a1');
  await refused(['frobnicate'], 2, /no command "frobnicate".*inkmesh --help/);
  await refused(['print'], 2, /inkmesh print FILE/);
  await refused(['jobs', '--dir', a1.dir, '--bogus'], 2, /--bogus/);
  await refused(['release', '00000000-0000-8000-8000-000000000000', ...ada], 2, /--printer/);
  await refused(['jobs'], 2, /--dir/);
  await refused(['invite', 'node', '--site', org.site, '--dir', a1.dir, '--uses', 'many'], 2, /--uses/);
  await refused(['invite', 'node', '--site', org.site, '--dir', a1.dir, '--ttl', 'soon'], 2, /--ttl.*30m/);
  await refused(['print', pdf.file, '--sides', 'three', ...ada], 2, /sides/);
  await refused(['print', pdf.file, '--copies', '0', ...ada], 2, /copies/);
  assert.equal(await jobsAt(org, 'a1'), []);
});

test('what works is exit 0 with one JSON document and nothing else on standard output', async () => {
  const ada = org.as('ada', 'a2');
  const commands = [
    ['version'],
    ['jobs', ...ada],
    ['printer', 'list', ...ada],
    ['status', ...ada],
    ['node', 'list', '--dir', a1.dir],
  ];
  for (const command of commands) {
    const { stdout, stderr } = await ink(command);
    assert.match(stdout, /^[^\n]+\n$/);
    assert.is(stderr, '');
  }
});

test('what is missing is named, with what to do about it', async () => {
  const { credential } = org.user('ada');
  const nowhere = join(folder, 'nowhere');
  await refused(['jobs', '--dir', nowhere, '--credential', credential], 1, /inkmesh node --dir/);
  await refused(['jobs', '--dir', a1.dir, '--credential', nowhere], 1, /inkmesh login/);
  await refused(['print', nowhere, ...org.as('ada', 'a1')], 1, /nowhere.* cannot be read/);
  await refused(['node', '--dir', nowhere], 1, /inkmesh join/);
  await refused(['user', 'invite', 'nobody', '--dir', a1.dir], 1, /inkmesh user add nobody/);
});

test('a join token counts once, for a time, and with its own organisation only', async () => {
  const [one, two] = [await newDir('one'), await newDir('two')];
  const join2 = (token: string, ...more: string[]) => ['join', token, '--dir', two, '--node', 'two', ...more];
  const once = await invite();
  await ink(['join', once.token, '--dir', one, '--node', 'one']);
  assert.is(await refused(join2(once.token), 1, /used up: ask for a new one/), 'unauthenticated');
  const short = await invite('--ttl', '1s');
  await waitFor(() => Date.now() > Date.parse(short.expires) + 100 ? true : undefined, {
    deadline_ms: 30_000,
    what: 'the token to expire',
  });
  assert.is(await refused(join2(short.token), 1, /expired: ask for a new one/), 'unauthenticated');

  const other = await newDir('other');
  await ink(['org', 'init', '--name', 'Another', '--site', 'b', '--node', 'b1', '--dir', other]);
  await refused(['org', 'init', '--name', 'Another', '--dir', other], 1, /another --dir/);
  const [command, ...first] = program();
  const running = spawnKept(command, [...first, 'node', '--dir', other, '--json']);
  const [ready] = await line(running, /^\{"ready".*\}$/, { deadline_ms: 20_000 });
  const at = `127.0.0.1:${(JSON.parse(ready) as { ports: { mesh: number } }).ports.mesh}`;
  const { token } = await invite();
  assert.is(await refused(join2(token, '--at', at), 1, /another organisation/), 'unauthenticated');
  await refused(['jobs', ...org.as('ada', 'a1'), '--dir', other], 1, /organisation.*--credential/);
  await stop(running);

  await refused(join2(token, '--at', 'nonsense'), 1, /HOST:PORT/);
  await refused(['join', token, '--dir', two, '--node', 'a2'], 1, /--node/);
  await refused(['login', token, '--credential', join(folder, 'credential')], 1, /inkmesh join/);
  assert.not.ok(existsSync(join(two, 'node.json')), 'nothing is written by what was refused');
  // none of that has spent it
  await ink(join2(token));
});

test('an invitation makes one device a user’s', async () => {
  const { token } = (await ink<Token>(['user', 'invite', 'eve', '--dir', a1.dir])).json;
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  await ink(['login', token, '--credential', first]);
  await refused(['login', token, '--credential', second], 1, /used up: ask for a new one/);
  assert.not.ok(existsSync(second));
  await refused(['join', token, '--dir', await newDir('three')], 1, /inkmesh login/);
});

test('an administrator gives badges and PINs, which are shown once and take nobody else’s place', async () => {
  const admin = ['--dir', a1.dir];
  const { json } = await ink<{ user: string; pin: string }>(['user', 'pin', 'eve', ...admin]);
  assert.is(json.user, 'eve');
  assert.match(json.pin, /^[2-9A-HJKMNP-Z]{6}$/);
  assert.is(
    (await ink<{ pin: string }>(['user', 'pin', 'eve', '--pin', 'kl4vier', ...admin])).json.pin,
    'kl4vier',
  );
  await ink(['user', 'badge', 'eve', '04:a2:2f', ...admin]);
  const shown = async () => {
    const { json } = await ink<{ name: string; pin: boolean; badge: boolean }[]>(['user', 'list', ...admin]);
    return json.filter(({ name }) => name === 'eve').map(({ pin, badge }) => [pin, badge]);
  };
  assert.equal(await shown(), [[true, true]]);
  await refused(['user', 'badge', 'ada', '04:A2:2F', ...admin], 1, /another user/);
  await refused(['user', 'badge', 'ada', '1234', ...admin], 1, /--short/);
  await ink(['user', 'badge', 'ada', '1234', '--short', ...admin]);
  await ink(['user', 'badge', 'ada', 'none', ...admin]);
  await refused(['user', 'pin', 'eve', '--pin', '12345', ...admin], 1, /at least 6/);
  await refused(['user', 'pin', 'nobody', ...admin], 1, /inkmesh user add nobody/);
  await refused(['user', 'pin', 'eve', '--pin', 'kl4vier', '--remove', ...admin], 2, /--remove/);
  await refused(['user', 'pin', 'eve', ...org.as('ada', 'a1')], 1, /administrator/);
  await ink(['user', 'pin', 'eve', '--remove', ...admin]);
  await ink(['user', 'badge', 'eve', 'none', ...admin]);
  assert.equal(await shown(), [[false, false]]);
  assert.is((await ink<{ warnings: string[] }>(['status', ...admin])).json.warnings.join(), '');
});

test('an invitation is a link to the site’s pages too', async () => {
  const { token, link } =
    (await ink<Token & { link: string }>(['user', 'invite', 'eve', '--dir', a1.dir])).json;
  assert.is(link, `https://${org.site}.inkmesh.internal:${a1.ports.release}/enrol#${token}`);
});

test('administrators’ commands need an administrator’s credential', async () => {
  const ada = org.as('ada', 'a1');
  const commands = [
    ['printer', 'add', sink.uri, '--name', 'mine', '--site', org.site],
    ['user', 'add', 'mallory'],
    ['user', 'invite', 'eve'],
    ['invite', 'node', '--site', org.site],
  ];
  for (const command of commands) {
    assert.is(await refused([...command, ...ada], 1, /administrator/), 'forbidden');
  }
  const elsewhere = ['--dir', org.node('a2').dir, '--credential', join(a1.dir, 'admin.credential')];
  await refused(['user', 'add', 'mallory', ...elsewhere], 1, /a1/);
  await refused(['user', 'invite', 'mallory', '--dir', a1.dir], 1, /no user/);
  assert.equal((await ink<unknown[]>(['printer', 'list', ...ada])).json.length, org.printers.length);
});

test('a job of somebody else is like one that is not there', async () => {
  const { id } = (await ink<JobView>(['print', pdf.file, ...org.as('ada', 'a1')])).json;
  const none = '00000000-0000-8000-8000-000000000000';
  for (const at of ['a1', 'a3']) {
    await waitFor(async () => (await jobsAt(org, at)).find((job) => job.id === id), {
      deadline_ms: 30_000,
      what: 'the job to be listed',
    });
    const eve = org.as('eve', at);
    assert.equal((await ink(['jobs', ...eve])).json, []);
    for (const command of ['job show ID', 'cancel ID', 'release ID --printer sink']) {
      const args = (job: string) => [...command.replace('ID', job).split(' '), ...eve];
      const answers = [await ink(args(id), { expectCode: 1 }), await ink(args(none), { expectCode: 1 })];
      assert.is(answers[0]?.stdout, answers[1]?.stdout);
      assert.is((answers[0]?.json as Failure).error.code, 'not-found');
    }
  }
  await refused(['release', id, '--printer', 'nowhere', ...org.as('ada', 'a1')], 1, /"nowhere".*sink/);
  assert.is((await jobAt(org, 'a1', id)).state, 'held');
  await ink(['cancel', id, ...org.as('ada', 'a2')]);
  await refused(['cancel', id, ...org.as('ada', 'a2')], 1, /cancelled already/);
  await nothingKept(org);
});

test('a node that cannot start says why, and is gone with exit 1', async () => {
  const dir = await newDir('four');
  await ink(['join', (await invite()).token, '--dir', dir, '--node', 'four']);
  const start = ['node', '--dir', dir];
  for (const name of ['mesh', 'https', 'release', 'http'] as const) {
    await newDir('four', { [name]: a1.ports[name] });
    await refused(start, 1, new RegExp(`${a1.ports[name]}.*configuration`));
  }
  const wrong: [string, RegExp][] = [
    ['{ nonsense', /config\.json.*JSON/],
    ['{ "prots": {} }', /config\.json.*prots/],
    ['{ "ports": { "mesh": 99999 } }', /config\.json.*ports\.mesh/],
  ];
  for (const [content, says] of wrong) {
    writeFileSync(join(dir, 'config.json'), content);
    await refused(start, 1, says);
  }
  await refused([...start, '--config', join(folder, 'nowhere')], 1, /nowhere cannot be read/);
  await refused(['node', '--dir', a1.dir], 1, /another node is running/);
  assert.is((await ink<{ node: string }>(['status', ...org.as('ada', 'a1')])).json.node, 'a1');
});

test('a held job outlives the restart of all its holders, and prints', async () => {
  const print = ['print', pdf.file, '--title', 'Before', ...org.as('ada', 'a1')];
  const { id } = (await ink<JobView>(print)).json;
  for (const { name } of org.nodes) await org.restart(name);
  await org.connected();
  const job = await jobAt(org, 'a2', id);
  assert.is(job.state, 'held');
  assert.is(job.title, 'Before');
  const release = ['release', id, '--printer', 'sink', ...org.as('ada', 'a2')];
  assert.is((await ink<Released>(release)).json.outcome, 'sent');
  assert.equal(sink.documents.at(-1), { bytes: pdf.bytes, sha256: pdf.sha256 });
  await nothingKept(org);
});

test.run();
