import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runInside } from '../../src/cli/run.ts';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { type Exit, type Kept, line, spawnKept, stop, waitFor } from '../fakes/processes.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import { submitSlowly } from '../fakes/slow-client.ts';
import {
  makePdf,
  type OrganisationNode,
  type Pdf,
  program,
  type Ran,
  startOrganisation,
} from './organisation.ts';
import { inState, jobsAt, nothingKept, storing } from './remains.ts';

const MiB = 1024 * 1024;
const large = makePdf(20 * MiB);
const small = makePdf(10_000);
const drain_s = 30;
const gone_ms = 5000;

const org = await startOrganisation({ nodes: 3 });
/** the one that is stopped again and again */
const node = org.node('a2');
const good = await startSink();
const slow = await startSink({ stallAfter: MiB });
const sinks = [good, slow];
await org.addPrinter(good.uri, 'good');
await org.addPrinter(slow.uri, 'slow');
let running: Kept | undefined;

test.after(async () => {
  if (running !== undefined) await stop(running);
  await org.stop();
  await Promise.all(sinks.map((sink) => sink.stop()));
});

/** Starts the node as a child of this process, so that its exit code is seen. */
async function start(options: { drain_s: number } = { drain_s }): Promise<Kept> {
  if (node.alive) await org.kill(node.name);
  const config = join(node.dir, 'config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), ...options }));
  const [command, ...first] = program();
  running = spawnKept(command, [...first, 'node', '--dir', node.dir, '--json']);
  const [ready] = await line(running, /^\{"ready".*\}$/, { deadline_ms: 20_000 });
  const { pid, ports } = JSON.parse(ready) as OrganisationNode;
  Object.assign(node, { pid, ports, alive: true });
  await org.connected();
  return running;
}

/** Waits until a node that got SIGTERM is gone, and checks that it went in order. */
async function expectStopped(kept: Kept, deadline_ms: number): Promise<number> {
  const start_ms = performance.now();
  const exit: Exit = await waitFor(() => kept.exit(), { deadline_ms, what: 'the node to be gone' });
  const took_ms = Math.round(performance.now() - start_ms);
  node.alive = false;
  assert.equal(exit, { code: 0, signal: null }, kept.stderr());
  assert.not.ok(existsSync(join(node.dir, 'run.json')), 'run.json is left');
  for (const port of Object.values(node.ports)) await expectFree(port);
  return took_ms;
}

/** @throws Error when somebody listens there */
async function expectFree(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
  });
}

const terminate = (kept: Kept) => process.kill(kept.pid as number, 'SIGTERM');

/** SIGTERM, and the node's word that it finishes what it does. */
async function terminateBusy(kept: Kept): Promise<void> {
  terminate(kept);
  await line(kept, /finishing what is in flight/, { deadline_ms: 30_000 });
}

const prints = (sink: Sink, { sha256 }: Pdf) =>
  sink.documents.filter((document) => document.sha256 === sha256).length;

/** A large job in release at the node, its document stuck half-way into the slow printer. */
async function stuckRelease(): Promise<{ id: string; ran: Promise<Ran<Released>> }> {
  const { id } = (await org.ink<{ id: string }>(['print', large.file, ...org.as('ada', 'a1')])).json;
  const { received } = slow;
  const release = ['release', id, '--printer', 'slow', ...org.as('ada', node.name)];
  const ran = org.ink<Released>(release, { expectCode: null });
  await waitFor(() => slow.received >= received + MiB ? true : undefined, {
    deadline_ms: 40_000,
    what: 'the printer to be stuck',
  });
  return { id, ran };
}

/** It takes nothing any more; the command line finds another node. */
async function expectRefused(): Promise<void> {
  const { id } = await runInside<{ id: string }>(['print', small.file, ...org.as('ada', node.name)]);
  const show = ['job', 'show', id, ...org.as('ada', 'a1')];
  const { trace } = await runInside<{ trace: { what: string }[] }>(show);
  assert.match(trace[0]?.what ?? '', /^accepted by a[13]$/);
  await runInside(['cancel', id, ...org.as('ada', 'a1')]);
  let said = '';
  try {
    const client = await submitSlowly(plainUri(), 'too late');
    await client.send(randomBytes(1024));
    said = `IPP status ${await client.finish()}`;
  } catch (error) {
    said = String(error);
  }
  assert.match(said, /ECONNREFUSED|Connection refused/i);
}

function plainUri(): string {
  const uri = new URL(org.user('ada').print_uri_plain);
  uri.port = String(node.ports.http);
  return uri.href;
}

test('an idle node is gone at once', async () => {
  const kept = await start();
  terminate(kept);
  const took_ms = await expectStopped(kept, gone_ms);
  console.log(`an idle node stops in ${took_ms} ms`);
  assert.ok(took_ms < gone_ms);
});

test('a node that releases finishes first, and takes nothing new meanwhile', async () => {
  const kept = await start();
  const { id, ran } = await stuckRelease();
  await terminateBusy(kept);
  await expectRefused();
  assert.is(kept.exit(), undefined, 'it still delivers');
  slow.go();
  assert.is((await ran).json.outcome, 'sent');
  await expectStopped(kept, gone_ms);
  await waitFor(() => prints(slow, large) > 0 ? true : undefined, {
    deadline_ms: 30_000,
    what: 'the whole document',
  });
  assert.is(prints(slow, large), 1);
  for (const name of ['a1', 'a3']) await inState(org, { node: name, id, state: 'sent' });
  await nothingKept(org);
});

test('a delivery that outlasts the drain is interrupted, and not lost', async () => {
  slow.stall();
  const kept = await start({ drain_s: 1 });
  const { id, ran } = await stuckRelease();
  await terminateBusy(kept);
  await expectStopped(kept, 1000 + gone_ms);
  const { code, json } = await ran;
  assert.is(code, 1);
  assert.is(json.outcome, 'interrupted');
  const { claims, reason } = await inState(org, { node: 'a1', id, state: 'interrupted' });
  assert.is(claims.length, 1);
  assert.ok(reason);
  const confirm = ['--confirm-reprint', claims[0] as string];
  const reprint = ['release', id, '--printer', 'good', ...org.as('ada', 'a3'), ...confirm];
  assert.is((await org.ink<Released>(reprint)).json.outcome, 'sent');
  await waitFor(() => prints(good, large) > 0 ? true : undefined, {
    deadline_ms: 30_000,
    what: 'the whole document',
  });
  assert.is(prints(good, large), 1);
});

test('a node that accepts a job finishes first; one whose client never ends leaves nothing', async () => {
  const kept = await start();
  await nothingKept(org);
  const document = randomBytes(2 * MiB);
  const client = await submitSlowly(plainUri(), 'slow');
  await client.send(document.subarray(0, MiB));
  await waitFor(() => storing(org).length === 3 ? true : undefined, {
    deadline_ms: 30_000,
    what: 'three to store',
  });
  await terminateBusy(kept);
  await expectRefused();
  await client.send(document.subarray(MiB));
  assert.is(await client.finish(), 0);
  await expectStopped(kept, gone_ms);
  const [job] = (await jobsAt(org, 'a1')).filter(({ state }) => state === 'held') as [JobView];
  assert.is(job.bytes, document.length);
  await org.ink(['cancel', job.id, ...org.as('ada', 'a3')]);

  const impatient = await start({ drain_s: 1 });
  await nothingKept(org);
  const never = await submitSlowly(plainUri(), 'never ends');
  await never.send(document.subarray(0, MiB));
  await waitFor(() => storing(org).length === 3 ? true : undefined, {
    deadline_ms: 30_000,
    what: 'three to store',
  });
  const before = await jobsAt(org, 'a1');
  await terminateBusy(impatient);
  await expectStopped(impatient, 1000 + gone_ms);
  assert.match(await never.answer.then(String, String), /connection broke|no IPP/);
  await nothingKept(org);
  assert.equal(await jobsAt(org, 'a1'), before);
  await start();
  await nothingKept(org);
});

test.run();
