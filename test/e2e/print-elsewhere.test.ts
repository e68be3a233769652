/** `inkmesh print` where the node of this machine does not run, or there is none: it finds another one. */
import { once } from 'node:events';
import { copyFileSync, createReadStream, readFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientNode } from '../../src/api/submissions.ts';
import { freePort } from '../../src/cli/children.ts';
import { Client } from '../../src/cli/client.ts';
import { endpointsOf, knownNodes } from '../../src/cli/nodes.ts';
import { Submission } from '../../src/cli/submission.ts';
import { readCredential, readNode, writePrivate } from '../../src/datadir.ts';
import { fakePeer, refusalOf } from '../fakes/organisation.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { makePdf, type Organisation, startOrganisation } from './organisation.ts';
import { inState } from './remains.ts';

interface Printed {
  id: string;
  holders: string[];
}

interface Failure {
  error: { code: string; message: string };
}

let org: Organisation;
let credential: string;
const pdf = makePdf(300_000);

test.before(async () => {
  org = await startOrganisation({ nodes: 4 });
  credential = org.user('ada').credential;
});

test.after(async () => await org.stop());

async function acceptedBy(id: string): Promise<string> {
  const show = ['job', 'show', id, ...org.as('ada', 'a1')];
  const { trace } = (await org.ink<{ trace: { what: string }[] }>(show)).json;
  return trace[0]?.what ?? '';
}

test('a device that knows of no node, and has none of its own, says what to do', async () => {
  const { json, stderr } = await org.ink<Failure>(['print', pdf.file, '--credential', credential], {
    expectCode: 1,
  });
  assert.is(json.error.code, 'unavailable');
  assert.match(json.error.message, /no node is known here.*--dir/);
  assert.match(stderr, /^inkmesh: no node is known here/);
});

test('a command takes note of the nodes beside the credential, and another one brings documents there', async () => {
  await org.ink(['print', pdf.file, ...org.as('ada', 'a2')]);
  const known = await knownNodes(credential);
  assert.equal(known.map(({ name }) => name).sort(), ['a1', 'a2', 'a3', 'a4']);
  for (const { name, at } of known) assert.ok(at.includes(`127.0.0.1:${org.node(name).ports.https}`), name);
  const { json } = await org.ink<Printed>(['print', pdf.file, '--credential', credential]);
  await inState(org, { node: 'a1', id: json.id, state: 'held' });
});

test('where this machine’s node does not run, the next one takes the document', async () => {
  await org.kill('a2');
  const { json, stderr } = await org.ink<Printed>(['print', pdf.file, ...org.as('ada', 'a2')]);
  assert.is(stderr, '', '--json is silent');
  assert.match(await acceptedBy(json.id), /^accepted by a[134]$/);
  await inState(org, { node: 'a1', id: json.id, state: 'held' });
  await org.restart('a2');
  await org.connected();
});

test('the submission port serves signed submissions and releases, and nothing else of the API', async () => {
  const known = await knownNodes(credential);
  const [node] = endpointsOf(known.filter(({ name }) => name === 'a3'));
  assert.ok(node);
  const client = new Client(await readCredential(credential), node);
  assert.is((await client.get<unknown[]>('/v1/submission-nodes')).length, 4);
  const under = (servername: string | null) => new Client(client.credential, { ...node, servername });
  assert.is((await under(null).get<unknown[]>('/v1/submission-nodes')).length, 4, 'by its address');
  const misnamed = () => under('a1.a.inkmesh.internal').get('/v1/submission-nodes');
  assert.match(await refusalOf(misnamed), /^(?:unavailable|unauthenticated): /, 'the certificate names it');
  for (const path of ['/v1/status', '/v1/nodes', '/v1/jobs']) {
    assert.match(
      await refusalOf(() => client.get(path)),
      /HTTP status 404|HTTP status 401|not-found|unauthenticated/,
    );
  }
  const job = `/v1/jobs/${crypto.randomUUID()}`;
  assert.match(await refusalOf(() => client.post(`${job}/release`, {})), /^bad-request: /, 'it is looked at');
  assert.match(await refusalOf(() => client.post(`${job}/cancel`, {})), /HTTP status 404|HTTP status 401/);
  assert.is(await unsigned(node.port), 401);
});

/** The status of a submission that nobody has signed. */
function unsigned(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const ca = (JSON.parse(readFileSync(credential, 'utf8')) as { root: string }).root;
    const path = `/v1/jobs?submission=${crypto.randomUUID()}`;
    const options = { host: '127.0.0.1', port, servername: 'localhost', ca, method: 'POST', path };
    request(options, (response) => resolve(response.resume().statusCode)).on('error', reject).end('octets');
  });
}

/** A cloud node for devices: what it was asked, and an answer where there is one. */
async function fakeCloud(answer?: unknown) {
  const { tls } = await readNode(org.node('a1').dir);
  const state = { asked: [] as string[], given: 0 };
  const server = createServer(tls, (request, response) => {
    state.asked.push(request.url ?? '');
    request.on('close', () => state.given++);
    if (answer !== undefined) response.end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = [`127.0.0.1:${(server.address() as AddressInfo).port}`];
  return {
    ...{ state, node: { name: 'cloud', site: 'cloud', peer: fakePeer('C'), at, cloud: true as const } },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * Prints as a device does that knows of these nodes.
 * @param sending called when the document is about to go to a node
 * @returns the job, why nodes did not take it, and the names of those that were sent it
 */
async function printedBy(nodes: readonly ClientNode[], sending = () => {}) {
  const path = join(tempDir(), 'credential');
  copyFileSync(credential, path);
  await writePrivate(`${path}.nodes`, nodes);
  const failures: string[] = [];
  const tried: string[] = [];
  const { id } = await Submission.send({
    ...{ path, credential: await readCredential(path), local: null },
    ticket: { title: 'by the cloud', format: 'application/pdf', options: {} },
    document: (node) => {
      tried.push(node.name);
      sending();
      return createReadStream(pdf.file);
    },
    onFailure: (reason) => failures.push(reason),
  });
  return { id, failures, tried };
}

/** Nothing listens there. */
const away = async (name: string): Promise<ClientNode> => ({
  ...{ name, site: 'a', peer: fakePeer('A'), at: [`127.0.0.1:${await freePort()}`] },
});

test('where no known node answers a cloud node is asked which ones are there, and where one does it is not', async () => {
  const [a3] = (await knownNodes(credential)).filter(({ name }) => name === 'a3');
  assert.ok(a3);
  const cloud = await fakeCloud([a3]);
  try {
    const direct = await printedBy([a3, cloud.node]);
    assert.equal([direct.failures, direct.tried, cloud.state.asked], [[], ['a3'], []]);
    const { failures, tried } = await printedBy([await away('gone'), cloud.node]);
    assert.match(failures.join(), /^gone does not answer at [^,]*$/);
    assert.equal(tried, ['a3']);
    assert.is(cloud.state.asked.length, 1);
    assert.match(cloud.state.asked[0] ?? '', /^\/v1\/directory\/nodes\?site=a&address=/);
  } finally {
    cloud.stop();
  }
});

test('a cloud node that is away, or accepts and never answers, keeps nobody from the next node', async () => {
  const [a3] = (await knownNodes(credential)).filter(({ name }) => name === 'a3');
  assert.ok(a3);
  const cloud = await fakeCloud();
  try {
    const gone = { ...await away('cloud'), cloud: true as const };
    const { failures, tried } = await printedBy([gone, cloud.node, a3]);
    assert.match(
      failures.join(),
      /^cloud does not answer at [^,]*$/,
      'of the other one nothing is known yet',
    );
    assert.equal([tried, cloud.state.asked.length, cloud.state.given], [['a3'], 1, 0]);
    await waitFor(() => cloud.state.given || undefined, {
      ...{ deadline_ms: 30_000, what: 'the question to be taken back' },
    });
  } finally {
    cloud.stop();
  }
});

test('when none answers the command fails, and names the first', async () => {
  const path = join(tempDir(), 'credential');
  copyFileSync(credential, path);
  copyFileSync(`${credential}.nodes`, `${path}.nodes`);
  for (const { name } of org.nodes) await org.kill(name);
  const { json } = await org.ink<Failure>([
    ...['print', pdf.file, '--dir', org.node('a2').dir, '--credential', path],
  ], { expectCode: 1 });
  assert.is(json.error.code, 'unavailable');
  assert.match(json.error.message, /a2 does not answer at 127\.0\.0\.1 on port \d+.*is it running\?/);
});

test.run();
