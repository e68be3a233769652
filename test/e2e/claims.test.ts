import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestPrinter } from '../../src/cli/demo-printer.ts';
import type { Released } from '../../src/release/release.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { type Sink, startSink } from '../fakes/sink.ts';
import { makePdf, type Organisation, type Pdf, type Ran, startOrganisation } from './organisation.ts';
import { inState, jobAt, kept, nothingKept } from './remains.ts';

const MiB = 1024 * 1024;
/** more than the buffers of two sockets take, so that a printer that does not read holds up the delivery */
const large = makePdf(20 * MiB);
const small = makePdf(64 * 1024);
const lease_ms = 10_000;

const sinks: Sink[] = [];
const org: Organisation = await startOrganisation({ nodes: 3 });
const good = await printer('good');

test.after(async () => {
  await org.stop();
  await Promise.all(sinks.map((sink) => sink.stop()));
});

async function printer(name: string, options: Parameters<typeof startSink>[0] = {}): Promise<Sink> {
  const sink = await startSink(options);
  sinks.push(sink);
  await org.addPrinter(sink.uri, name);
  return sink;
}

async function submit(pdf: Pdf): Promise<string> {
  return (await org.ink<{ id: string }>(['print', pdf.file, ...org.as('ada', 'a1')])).json.id;
}

function release(id: string, printer: string, node: string, ...more: string[]): Promise<Ran<Released>> {
  return org.ink<Released>(['release', id, '--printer', printer, ...org.as('ada', node), ...more], {
    expectCode: null,
  });
}

/** Another claim of the same node. */
const otherDigit = (digit: string) => digit === '0' ? '1' : '0';

/** How often a document came out whole. */
const prints = (sink: Sink, { sha256 }: Pdf) =>
  sink.documents.filter((document) => document.sha256 === sha256).length;

async function expectPrinted(ran: Ran<Released>, pdf: Pdf, before: number): Promise<void> {
  assert.is(ran.json.outcome, 'sent', ran.stdout);
  assert.is(ran.code, 0);
  await waitFor(() => prints(good, pdf) > before ? true : undefined, {
    deadline_ms: 30_000,
    what: 'the whole document',
  });
  assert.is(prints(good, pdf), before + 1);
}

/** A release at `node` whose document is stuck half-way into a printer of that name. */
async function stuckRelease(
  id: string,
  node: string,
  name: string,
): Promise<{ sink: Sink; ran: Promise<Ran<Released>> }> {
  const sink = await printer(name, { stallAfter: MiB });
  const ran = release(id, name, node);
  await waitFor(() => sink.received >= MiB ? true : undefined, {
    deadline_ms: 40_000,
    what: 'the printer to be stuck',
  });
  return { sink, ran };
}

test('of two releases at the same time on two nodes one prints, and the other says who has it', async () => {
  const nodes = ['a1', 'a2', 'a3'];
  for (let round = 0; round < 5; round++) {
    const pdf = makePdf(200 * 1024);
    const id = await submit(pdf);
    const pair = [nodes[round % 3], nodes[(round + 1) % 3]] as [string, string];
    const [one, two] = await Promise.all(pair.map((node) => release(id, 'good', node))) as [
      Ran<Released>,
      Ran<Released>,
    ];
    const [won, lost, winner] = one.code === 0 ? [one, two, pair[0]] : [two, one, pair[1]];
    await expectPrinted(won, pdf, 0);
    assert.is(lost.code, 1, lost.stdout);
    assert.is(lost.json.outcome, 'refused');
    const named = new RegExp(
      `^${winner} is (releasing|printing) this job|^this job was sent already at good$`,
    );
    assert.match(lost.json.reason ?? '', named);
  }
  await nothingKept(org);
});

test('while one node prints, the other is told which', async () => {
  const id = await submit(large);
  const { sink, ran } = await stuckRelease(id, 'a2', 'busy');
  const { code, json } = await release(id, 'good', 'a1');
  assert.is(code, 1);
  assert.match(json.reason ?? '', /^a2 is printing this job/);
  await inState(org, { node: 'a3', id, state: 'delivering' });
  sink.go();
  assert.is((await ran).json.outcome, 'sent');
  assert.is(prints(sink, large), 1);
  assert.is(prints(good, large), 0);
  await nothingKept(org);
});

test('a claimant killed after begin: interrupted, and only its owner’s confirmation prints', async () => {
  const id = await submit(large);
  const { sink, ran } = await stuckRelease(id, 'a2', 'stuck-1');
  await org.kill('a2');
  assert.is((await ran).code, 1);
  for (const node of ['a1', 'a3']) await inState(org, { node, id, state: 'interrupted' });
  const [claim] = (await jobAt(org, 'a1', id)).claims as [string];

  const plain = await release(id, 'good', 'a1');
  assert.is(plain.json.outcome, 'refused');
  assert.ok(plain.json.reason?.includes(claim), plain.json.reason);
  const eve = ['release', id, '--printer', 'good', ...org.as('eve', 'a1'), '--confirm-reprint', claim];
  assert.is(
    (await org.ink<{ error: { code: string } }>(eve, { expectCode: 1 })).json.error.code,
    'not-found',
  );
  assert.is((await release(id, 'good', 'a1', '--confirm-reprint', `${claim.slice(0, -1)}x`)).code, 1);
  assert.is((await release(id, 'good', 'a1', '--confirm-reprint', claim.replace(/.$/, otherDigit))).code, 1);
  assert.is(prints(good, large), 0);

  await expectPrinted(await release(id, 'good', 'a3', '--confirm-reprint', claim), large, 0);
  // the old claimant comes back to a job that is over
  const connections = good.connections + sink.connections;
  await org.restart('a2');
  await org.connected();
  await nothingKept(org);
  for (const node of ['a1', 'a2', 'a3']) await inState(org, { node, id, state: 'sent' });
  assert.is(good.connections + sink.connections, connections);
  assert.is(prints(sink, large), 0);
});

test('a claimant that is killed after begin and comes back says so, and prints nothing by itself', async () => {
  const before = prints(good, large);
  const id = await submit(large);
  const { sink, ran } = await stuckRelease(id, 'a3', 'stuck-2');
  await org.kill('a3');
  assert.is((await ran).code, 1);
  const connections = good.connections + sink.connections;
  await org.restart('a3');
  await org.connected();
  for (const node of ['a1', 'a2', 'a3']) {
    const { reason } = await waitFor(async () => {
      const job = await inState(org, { node, id, state: 'interrupted' });
      return job.reason === undefined ? undefined : job;
    }, { deadline_ms: 40_000, what: `${node} to know why` });
    assert.match(reason ?? '', /stopped while it was printing/);
  }
  const [claim] = (await jobAt(org, 'a1', id)).claims as [string];
  assert.is((await release(id, 'good', 'a3')).json.outcome, 'refused');
  assert.is(good.connections + sink.connections, connections);
  assert.is((await kept(org)).length, 3);
  await expectPrinted(await release(id, 'good', 'a3', '--confirm-reprint', claim), large, before);
  await nothingKept(org);
});

test('a claimant killed before begin: the job is free again after the lease', async () => {
  // an IPP printer that takes the connection and never answers Get-Printer-Attributes
  const answering = await startTestPrinter({ dir: tempDir() });
  await org.addPrinter(answering.uri, 'mute');
  await answering.stop();
  const mute = await startSink({ stallAfter: 0, port: Number(new URL(answering.uri).port) });
  sinks.push(mute);
  const id = await submit(small);
  const before = prints(good, small);
  const ran = release(id, 'mute', 'a2');
  await inState(org, { node: 'a1', id, state: 'claimed' });
  const claimed_ms = performance.now();
  await org.kill('a2');
  assert.is((await ran).code, 1);
  let last = await release(id, 'good', 'a1');
  const took_ms = performance.now() - claimed_ms;
  // on a machine that is slower than the lease is long the job is free by then
  if (last.json.outcome === 'refused' || took_ms < lease_ms - 2000) {
    assert.is(last.json.outcome, 'refused');
    assert.match(last.json.reason ?? '', /^a2 is releasing this job/);
    await inState(org, { node: 'a1', id, state: 'held' });
    assert.ok(performance.now() - claimed_ms > lease_ms - 2000, 'not before the lease');
    last = await release(id, 'good', 'a1');
  }
  await expectPrinted(last, small, before);
  await org.restart('a2');
  await org.connected();
  await nothingKept(org);
});

test('a printer that is off: failed, and the job is free at once', async () => {
  await (await printer('off')).stop();
  const id = await submit(small);
  const before = prints(good, small);
  const off = await release(id, 'off', 'a2');
  assert.is(off.code, 1);
  assert.is(off.json.outcome, 'failed');
  assert.match(off.json.reason ?? '', /cannot be reached/);
  await inState(org, { node: 'a3', id, state: 'held' });
  await expectPrinted(await release(id, 'good', 'a3'), small, before);
  await nothingKept(org);
});

test('a printer that resets the connection in mid-document: interrupted, until its owner confirms', async () => {
  const before = prints(good, large);
  const reset = await printer('reset', { resetAfter: MiB });
  const { connections } = reset;
  const id = await submit(large);
  const broken = await release(id, 'reset', 'a2');
  assert.is(broken.code, 1);
  assert.is(broken.json.outcome, 'interrupted');
  const { claims, reason, printer: where } = await inState(org, { node: 'a1', id, state: 'interrupted' });
  assert.is(claims.length, 1);
  assert.is(where, 'reset');
  assert.ok(reason);
  const plain = await release(id, 'good', 'a2');
  assert.is(plain.json.outcome, 'refused');
  assert.ok(plain.json.reason?.includes(claims[0] as string), plain.json.reason);
  await expectPrinted(
    await release(id, 'good', 'a2', '--confirm-reprint', claims[0] as string),
    large,
    before,
  );
  assert.is(reset.connections, connections + 1);
  await nothingKept(org);
});

test.run();
