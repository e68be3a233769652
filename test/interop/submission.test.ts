/** What ends a submission of the command line, and what has it go on at the next node, by what scripted nodes answer. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Authority,
  exportKey,
  generateHostKey,
  generateKeys,
  issueTls,
  issueUser,
  tlsSubject,
  toPem,
} from '../../mesh/mod.ts';
import type { ClientNode } from '../../src/api/submissions.ts';
import { keepNodes } from '../../src/cli/nodes.ts';
import { Submission } from '../../src/cli/submission.ts';
import { readCredential, type StoredCredential, writeCredential } from '../../src/datadir.ts';
import { fakeAuthority, refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';

type Answer = (response: ServerResponse) => void;

interface Script {
  list?: Answer;
  resume?: Answer;
  upload: Answer;
}

const json = (status: number, value: unknown): Answer => (response) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const refused = (status: number, code: string) =>
  json(status, { error: { code, message: 'so it is said', details: {} } });
const accepts = (id: string) => json(200, { id, bytes: 6, holders: [] });
/** an answer of which nobody can tell what it was */
const breaksOff: Answer = (response) => void response.end('{');

let authority: Authority;
let path: string;
let credential: StoredCredential;
const servers: Server[] = [];

test.before(async () => {
  authority = await fakeAuthority('Test works', Date.now());
  path = join(tempDir(), 'credential');
  const keys = await generateKeys();
  const subject = { user: 'ada', device: crypto.randomUUID(), roles: [], publicKey: keys.publicKey };
  await writeCredential(path, {
    ...{ user: 'ada', site: 'a', keys, leaf: await issueUser(authority, subject, Date.now()), token: null },
    ...{ issuers: [authority.meshIssuer.der], root: authority.trust.root },
  });
  credential = await readCredential(path);
});

test.after(() => servers.forEach((server) => server.close()));

/** A node that answers as it is told, and what it was asked for. */
async function scripted(name: string, script: Script): Promise<{ node: ClientNode; asked: string[] }> {
  const { publicKey, privateKey } = await generateKeys();
  const leaf = await issueTls(authority, tlsSubject(publicKey, name, 'a', []), Date.now());
  const asked: string[] = [];
  const server = createServer({
    key: await exportKey(privateKey),
    cert: toPem('CERTIFICATE', leaf) + toPem('CERTIFICATE', authority.tlsIssuer.der),
  }, (request, response) => {
    const [what] = ['nodes', 'resume'].filter((one) => request.url?.endsWith(one));
    asked.push(what ?? 'upload');
    const { list = json(200, []), resume = json(200, { job: null }), upload } = script;
    const answer = what === 'nodes' ? list : what === 'resume' ? resume : upload;
    request.resume().once('end', () => answer(response));
  });
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { peerId: peer } = await generateHostKey();
  const at = [`127.0.0.1:${(server.address() as AddressInfo).port}`];
  return { node: { name, site: 'a', peer, at }, asked };
}

/** Sends a document while these nodes are known, in this order. @returns the job, or the refusal */
async function sent(nodes: readonly ClientNode[]): Promise<string> {
  await keepNodes(path, nodes);
  let id = '';
  const refusal = await refusalOf(async () => {
    const accepted = await Submission.send({
      ...{ credential, path, local: null },
      ticket: { title: 'a', format: 'application/pdf', options: {} },
      document: async function* () {
        yield new TextEncoder().encode('octets');
      },
      onFailure: () => {},
    });
    id = accepted.id;
  });
  return refusal === '' ? id : refusal;
}

test('a list of nodes that cannot be read is none, and the document is taken all the same', async () => {
  const lists = [
    refused(404, 'not-found'),
    json(200, [{ name: 'pc-9', site: 'a', peer: 'x', at: [], more: true }]),
    json(200, 'nodes'),
  ];
  for (const [i, list] of lists.entries()) {
    const { node, asked } = await scripted('pc-1', { list, upload: accepts(`job ${i}`) });
    assert.is(await sent([node]), `job ${i}`);
    assert.equal(asked, ['nodes', 'upload']);
  }
});

test('what a node says when it is asked what became of the document is not the last word', async () => {
  const gone = await scripted('pc-1', { upload: breaksOff });
  const odd = await scripted('pc-2', { resume: refused(400, 'bad-request'), upload: accepts('second') });
  const good = await scripted('pc-3', { upload: accepts('third') });
  assert.is(await sent([gone.node, odd.node, good.node]), 'third');
  assert.equal(odd.asked, ['nodes', 'resume']);
});

test('a node that does not know yet what becomes of the document is asked after like one that is silent', async () => {
  const undecided = json(503, {
    error: { code: 'unavailable', message: 'not known yet', details: { unanswered: 'pc-1' } },
  });
  const open = await scripted('pc-1', { upload: undecided });
  const job = { id: 'first', bytes: 6, holders: [] };
  const next = await scripted('pc-2', { resume: json(200, { job }), upload: accepts('second') });
  assert.is(await sent([open.node, next.node]), 'first');
  assert.equal(next.asked, ['nodes', 'resume']);
});

test('what the upload is told of the document ends the submission', async () => {
  for (const [status, code] of [[400, 'bad-request'], [413, 'too-large'], [404, 'not-found']] as const) {
    const first = await scripted('pc-1', { upload: refused(status, code) });
    const next = await scripted('pc-2', { upload: accepts('second') });
    assert.is(await sent([first.node, next.node]), `${code}: so it is said`);
    assert.equal(next.asked, []);
  }
});

test.run();
