/** What the disks and logs of nodes tell whoever takes them: as much as the design says, and no more. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { combine } from 'shamir-secret-sharing';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chunkCount, chunkSpan, commits, headerBytes, keyBytes, opener } from '../../mesh/envelope.ts';
import { combineShares } from '../../mesh/shares.ts';
import type { Released } from '../../src/release/release.ts';
import { tempDir } from '../fakes/processes.ts';
import { startSink } from '../fakes/sink.ts';
import { makePdf, type OrganisationNode, startOrganisation } from './organisation.ts';
import { envelopes, nothingKept } from './remains.ts';

const windowBytes = 32;

interface Secret {
  what: string;
  octets: Uint8Array;
}

interface Stolen {
  name: string;
  share: Uint8Array;
  envelope: Uint8Array;
}

/** Where in the data directory of a node any of the secrets is, in the clear or as hexadecimal or base64. */
function found(node: OrganisationNode, secrets: readonly Secret[]): string[] {
  const files = readdirSync(node.dir, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile()
  );
  return files.flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    // a file may go while it is looked for
    const content = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    return secrets.filter((secret) => forms(secret).some((form) => content.includes(form)))
      .map(({ what }) => `${node.name}: ${what} in ${entry.name}`);
  });
}

function forms({ octets }: Secret): Buffer[] {
  const plain = Buffer.from(octets);
  const encoded = (['hex', 'base64', 'base64url'] as const).map((encoding) => plain.toString(encoding));
  return [plain, ...encoded.map((text) => Buffer.from(text.replace(/=+$/, '')))];
}

/** Distinct windows of a document, from its start to its end. */
function windows(document: Uint8Array): Secret[] {
  const count = 40;
  return Array.from({ length: count }, (_, i) => {
    const at = Math.floor((i * (document.length - windowBytes)) / (count - 1));
    return { what: `octets ${at} and on of the document`, octets: document.subarray(at, at + windowBytes) };
  });
}

const text = (what: string, content: string): Secret => ({ what, octets: Buffer.from(content) });

/** What a thief of a data directory has of a job: the files are copied, and opened as SQLite recovers them. */
function steal(node: OrganisationNode, job: string): Stolen {
  const dir = tempDir();
  const names = readdirSync(node.dir).filter((name) => name.startsWith('state.sqlite'));
  for (const name of names) copyFileSync(join(node.dir, name), join(dir, name));
  const db = new DatabaseSync(join(dir, 'state.sqlite'));
  const row = db.prepare('SELECT share FROM pieces WHERE job = ?').get(job);
  db.close();
  assert.instance(row?.['share'], Uint8Array);
  const share = row?.['share'] as Uint8Array;
  return { name: node.name, share, envelope: readFileSync(join(node.dir, 'envelopes', job)) };
}

/** Every key that somebody with one share may try. */
async function guesses(stolen: Stolen): Promise<Uint8Array[]> {
  const share = new Uint8Array(stolen.share);
  const slices = [0, 1, share.length - keyBytes].map((at) => share.subarray(at, at + keyBytes));
  const digest = new Uint8Array(createHash('sha256').update(share).digest());
  const others = Array.from({ length: 8 }, (_, i) => {
    const other = share.slice();
    other[other.length - 1] = ((other.at(-1) ?? 0) + i + 1) % 256;
    return other;
  });
  const combined = await Promise.all(
    [share, share.slice(), ...others, new Uint8Array(share.length)].map((other) =>
      combine([share, other]).catch(() => undefined)
    ),
  );
  const keys = [...slices, digest, ...combined.filter((key) => key !== undefined)];
  return keys.filter((key) => key.length === keyBytes);
}

/** @throws InkmeshError `corrupt` when the key is not the envelope's */
async function decrypted(key: Uint8Array, job: string, envelope: Uint8Array): Promise<Buffer> {
  const open = opener(key, job, envelope.subarray(0, headerBytes));
  const count = chunkCount(envelope.length);
  const chunks: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const { offset, length } = chunkSpan(envelope.length, i);
    chunks.push(await open.open(i, envelope.subarray(offset, offset + length), i === count - 1));
  }
  return Buffer.concat(chunks);
}

const org = await startOrganisation({ nodes: 4 });
const sink = await startSink();
await org.addPrinter(sink.uri, 'sink');
// under the eyes of this test, as the demo does not keep what its nodes say
for (const { name } of org.nodes) await org.restart(name);
await org.connected();

test.after(async () => {
  await org.stop();
  await sink.stop();
});

const token = org.user('ada').print_uri.split('/').at(-1) ?? '';
const pdf = makePdf(1_500_000);
const document = readFileSync(pdf.file);
const title = `secret-title-${crypto.randomUUID()}`;
const ofDocument = [...windows(document), text('the word on its page', pdf.marker)];
const ofJob = [...ofDocument, text('the title', title)];
const afterwards: Secret[] = [...ofJob];

test('while a job is held: one disk has nothing of the document, and one without a piece nothing of the job', async () => {
  const print = ['print', pdf.file, '--title', title, ...org.as('ada', 'a1')];
  const { id, holders } = (await org.ink<{ id: string; holders: string[] }>(print)).json;
  assert.is(holders.length, 3);
  const [stranger, ...rest] = org.nodes.filter(({ name }) => !holders.includes(name));
  assert.equal(rest, []);
  assert.equal(found(stranger as OrganisationNode, ofJob), []);
  for (const name of holders) {
    assert.equal(found(org.node(name), ofDocument), []);
    assert.ok(found(org.node(name), [text('the title', title)]).length > 0, `${name} keeps the ticket`);
  }

  const stolen = holders.map((name) => steal(org.node(name), id));
  for (const one of stolen) {
    const share = [{ what: `the share of ${one.name}`, octets: one.share }];
    for (const node of org.nodes) assert.is(found(node, share).length > 0, node.name === one.name);
    for (const key of await guesses(one)) {
      assert.not.ok(commits(key, id, one.envelope.subarray(0, headerBytes)), `${one.name} alone has the key`);
      const thrown = await decrypted(key, id, one.envelope).catch((error: unknown) => error);
      assert.is((thrown as { code?: string }).code, 'corrupt');
    }
    afterwards.push(...share);
  }

  const [first, second] = stolen as [Stolen, Stolen, Stolen];
  const shares = [first, second].map(({ name, share }) => ({ holder: name, share }));
  const fits = (key: Uint8Array) => commits(key, id, first.envelope.subarray(0, headerBytes));
  const { key } = await combineShares(shares, fits);
  assert.ok(document.equals(await decrypted(key, id, first.envelope)), 'two of them have the document');
  const ofKey = [{ what: 'the key', octets: key }];
  for (const node of org.nodes) assert.equal(found(node, ofKey), []);
  afterwards.push(...ofKey);

  // through the node that holds nothing: it fetches envelope and shares
  const release = ['release', id, '--printer', 'sink', ...org.as('ada', stranger?.name ?? '')];
  assert.is((await org.ink<Released>(release)).json.outcome, 'sent');
  assert.equal(sink.documents.at(-1), { bytes: pdf.bytes, sha256: pdf.sha256 });
});

test('after its release no envelope, share, ticket or key is in any file of any node', async () => {
  await nothingKept(org);
  for (const node of org.nodes) {
    assert.equal(envelopes(node), []);
    assert.equal(found(node, afterwards), []);
  }
});

test('no token is in any file of a node', async () => {
  const { json } = await org.ink<{ token: string }>(['user', 'invite', 'eve', '--dir', org.node('a1').dir]);
  afterwards.push(text('an invitation', json.token), text('a submit token', token));
  for (const node of org.nodes) assert.equal(found(node, afterwards), []);
});

test('no badge or PIN is in any file of a node', async () => {
  const [pin, badge] = [`PIN-${crypto.randomUUID()}`, `BADGE-${crypto.randomUUID()}`];
  const admin = ['--dir', org.node('a1').dir];
  await org.ink(['user', 'pin', 'ada', '--pin', pin, ...admin]);
  await org.ink(['user', 'badge', 'ada', badge, ...admin]);
  for (const secret of [pin, badge]) {
    afterwards.push(text('a badge or PIN', secret), text('one as it is compared', secret.toUpperCase()));
  }
  for (const node of org.nodes) assert.equal(found(node, afterwards), []);
});

test('what nodes say has no token, key or title in it, also when something goes wrong', async () => {
  const { print_uri_plain: uri } = org.user('ada');
  for (const address of [uri, uri.slice(0, -1), `${uri}/1`]) {
    const url = address.replace(/^ipp:/, 'http:');
    await fetch(url, { method: 'POST', headers: { 'content-type': 'application/ipp' }, body: 'no IPP' })
      .then((response) => response.arrayBuffer());
  }
  const off = await startSink();
  await org.addPrinter(off.uri, 'off');
  await off.stop();
  const print = ['print', pdf.file, '--title', title, ...org.as('ada', 'a2')];
  const { id, holders } = (await org.ink<{ id: string; holders: string[] }>(print)).json;
  const release = ['release', id, '--printer', 'off', ...org.as('ada', 'a3')];
  assert.is((await org.ink<Released>(release, { expectCode: 1 })).json.outcome, 'failed');
  const [lost = ''] = holders.filter((name) => name !== 'a1');
  await org.kill(lost);
  await org.ink(['release', id, '--printer', 'sink', ...org.as('ada', 'a1')]);
  await org.restart(lost);
  await org.connected();
  await nothingKept(org);
  for (const { name } of org.nodes) {
    const said = org.log(name);
    assert.match(said, '"ready":true');
    const told = [...afterwards, text('half of a submit token', token.slice(0, 14))];
    const leaks = told.filter((secret) =>
      forms(secret).some((form) => said.includes(form.toString('latin1')))
    );
    assert.equal(leaks.map(({ what }) => `${name}: ${what}`), []);
  }
});

test.run();
