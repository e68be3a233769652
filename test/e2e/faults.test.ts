import { createHash, randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { waitFor } from '../fakes/processes.ts';
import { startSink } from '../fakes/sink.ts';
import { type SlowClient, submitSlowly } from '../fakes/slow-client.ts';
import { makePdf, type Organisation, type OrganisationNode, startOrganisation } from './organisation.ts';
import { inState, jobAt, jobsAt, nothingKept, storing } from './remains.ts';

const MiB = 1024 * 1024;
const successful = 0x0000;
const orgs: Organisation[] = [];
const sink = await startSink();

test.after(async () => {
  await Promise.all(orgs.map((org) => org.stop()));
  await sink.stop();
});

async function organisation(nodes: number): Promise<Organisation> {
  const org = await startOrganisation({ nodes });
  orgs.push(org);
  await org.addPrinter(sink.uri, 'raw');
  return org;
}

/** The plain printer address of a user at any node, not just the first. */
function plainUri(org: Organisation, node: OrganisationNode): string {
  const uri = new URL(org.user('ada').print_uri_plain);
  uri.port = String(node.ports.http);
  return uri.href;
}

interface Upload {
  client: SlowClient;
  document: Uint8Array;
  /** Sends octets up to this one, a little at a time. */
  sendTo(end: number): Promise<void>;
}

/** A submission at `node` whose first half is sent, and on its way into three nodes. */
async function halfSubmitted(org: Organisation, node: OrganisationNode): Promise<Upload> {
  const document = randomBytes(4 * MiB);
  const client = await submitSlowly(plainUri(org, node), 'a document that takes its time');
  let sent = 0;
  const sendTo = async (end: number) => {
    for (; sent < end; sent += 64 * 1024) {
      await client.send(document.subarray(sent, Math.min(end, sent + 64 * 1024)));
    }
  };
  await sendTo(document.length / 2);
  await waitFor(() => storing(org).length === 3 ? true : undefined, {
    deadline_ms: 30_000,
    what: 'three nodes to write the envelope',
  });
  return { client, document, sendTo };
}

/** Releases a job and checks that it came out of the sink as it went in. */
async function expectPrinted(org: Organisation, node: string, id: string, sha256: string): Promise<void> {
  const before = sink.documents.length;
  const { json } = await org.ink<Released>(['release', id, '--printer', 'raw', ...org.as('ada', node)]);
  assert.is(json.outcome, 'sent', json.reason);
  await waitFor(() => sink.documents[before], {
    deadline_ms: 30_000,
    what: 'the printer to have the document',
  });
  assert.is(sink.documents[before]?.sha256, sha256);
}

async function expectNothing(org: Organisation): Promise<void> {
  await nothingKept(org);
  for (const { name } of org.nodes.filter(({ alive }) => alive)) {
    assert.equal(await jobsAt(org, name), [], name);
  }
}

/** The three cases differ in which of the three machines is lost for ever right after "accepted". */
async function loseOne(org: Organisation, accepting: string, lost: string): Promise<void> {
  const pdf = makePdf(3 * MiB);
  const { json } = await org.ink<{ id: string; holders: string[] }>([
    'print',
    pdf.file,
    ...org.as('ada', accepting),
  ]);
  await org.kill(lost);
  org.wipe(lost);
  assert.equal([...json.holders].sort(), org.nodes.map(({ name }) => name));
  const survivor = org.nodes.find(({ alive }) => alive) as OrganisationNode;
  await expectPrinted(org, survivor.name, json.id, pdf.sha256);
  await nothingKept(org);
}

test('a client that breaks off leaves nothing; the accepting machine is lost after "accepted"', async () => {
  const org = await organisation(3);
  const [, second] = org.nodes as [OrganisationNode, OrganisationNode];
  const { client } = await halfSubmitted(org, second);
  client.breakOff();
  await expectNothing(org);

  await loseOne(org, second.name, second.name);
});

test('the accepting machine dies in mid-store; another holder is lost after "accepted"', async () => {
  const org = await organisation(3);
  const { client } = await halfSubmitted(org, org.node('a2'));
  await org.kill('a2');
  assert.match(await failure(client.answer), 'the connection broke');
  await expectNothing(org);
  await org.restart('a2');
  await org.connected();
  await expectNothing(org);

  await loseOne(org, 'a2', 'a1');
});

test('with three machines, one that dies in mid-store gets its share when it is back; the third is lost', async () => {
  const org = await organisation(3);
  const { client, document, sendTo } = await halfSubmitted(org, org.node('a2'));
  await org.kill('a3');
  await sendTo(document.length);
  assert.is(await client.finish(), successful);
  const [{ id, degraded }] = await jobsAt(org, 'a2') as [JobView];
  assert.is(degraded, 'waiting for a3');
  await org.restart('a3');
  await waitFor(async () => (await jobAt(org, 'a2', id)).degraded === undefined ? true : undefined, {
    deadline_ms: 20_000,
    what: 'a3 to have what was kept for it',
  });
  await org.kill('a2');
  org.wipe('a2');
  await expectPrinted(org, 'a1', id, createHash('sha256').update(document).digest('hex'));
  await nothingKept(org);
});

test('with four machines, one that dies in mid-store is replaced before the answer', async () => {
  const org = await organisation(4);
  const { client, document, sendTo } = await halfSubmitted(org, org.node('a2'));
  const dead = storing(org).find((name) => name !== 'a2') as string;
  await org.kill(dead);
  await sendTo(document.length);
  assert.is(await client.finish(), successful);
  const [job] = await jobsAt(org, 'a2') as [JobView];
  const { holders } = await inState(org, { node: 'a2', id: job.id, state: 'held' });
  assert.is(holders.length, 3);
  assert.not.ok(holders.includes(dead), `${dead} is none of ${holders.join(', ')}`);
  for (const { name } of org.nodes.filter(({ alive }) => alive)) {
    const seen = await inState(org, { node: name, id: job.id, state: 'held' });
    assert.equal(seen.holders, holders, name);
  }
  // what the dead one has of the job is gone when it is back
  await org.restart(dead);
  await org.connected();
  const back = await jobAt(org, dead, job.id);
  assert.is(back.state, 'held');

  await org.kill('a2');
  org.wipe('a2');
  await expectPrinted(org, dead, job.id, createHash('sha256').update(document).digest('hex'));
  await nothingKept(org);
});

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test.run();
