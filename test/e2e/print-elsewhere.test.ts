/** `inkmesh print` where the node of this machine does not run, or there is none: it finds another one. */
import { copyFileSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Client } from '../../src/cli/client.ts';
import { endpointsOf, knownNodes } from '../../src/cli/nodes.ts';
import { readCredential } from '../../src/datadir.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';
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

test('when none answers the command fails, and names the first', async () => {
  const away = join(tempDir(), 'credential');
  copyFileSync(credential, away);
  copyFileSync(`${credential}.nodes`, `${away}.nodes`);
  for (const { name } of org.nodes) await org.kill(name);
  const { json } = await org.ink<Failure>([
    ...['print', pdf.file, '--dir', org.node('a2').dir, '--credential', away],
  ], { expectCode: 1 });
  assert.is(json.error.code, 'unavailable');
  assert.match(json.error.message, /a2 does not answer at 127\.0\.0\.1 on port \d+.*is it running\?/);
});

test.run();
