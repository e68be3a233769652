/** A browser that becomes a user's device by way of a node that is no registrar, over HTTPS. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { json } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { createRequest, generateKeys } from '../../mesh/authority.ts';
import { verifyIdentity } from '../../mesh/certificate.ts';
import { enrolBrowserMethod } from '../../mesh/enrol.ts';
import { type Credential, signGrant, verifyGrant } from '../../mesh/grant.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { deviceOf } from '../../mesh/submit-token.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import { formatToken, hashSecret, type JoinToken, newSecret, parseToken } from '../../mesh/token.ts';
import { enrolApp } from '../../src/api/enrol.ts';
import { Directory } from '../../src/directory.ts';
import { enrolLimits, refusalLimits } from '../../src/limits.ts';
import { listen, type Listening } from '../../src/listen.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { type FakeMesh, type FakeNode, startMesh, untilKnown } from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { requireTools } from '../fakes/require.ts';

const hour_ms = 3600_000;

let mesh: FakeMesh;
let registrar: FakeNode;
let front: FakeNode;
const open: Listening[] = [];

test.before(async () => {
  mesh = await startMesh(2);
  [registrar, front] = mesh.nodes as [FakeNode, FakeNode];
});

test.after(async () => {
  for (const listening of open) listening.kill();
  await Promise.all(open.map((listening) => listening.close()));
  await mesh.stop();
});

const tls = requireTools(['openssl']) ? selfSigned() : undefined;

/** The routes of a node. @returns the port */
async function serve(node: FakeNode): Promise<number> {
  const { trust } = mesh.authority;
  const { fetch } = enrolApp({ mesh: node.mesh, trust, audit: node.state.audit, log: () => {} });
  const where = { address: '127.0.0.1', port: 0, what: 'a test' };
  const listening = await listen({ fetch, ...where, ...(tls === undefined ? {} : { tls }) });
  open.push(listening);
  return listening.port;
}

function invitation(changes: Partial<JoinToken> = {}): string {
  const secret = newSecret();
  registrar.state.invites.put({
    ...{ secretHash: hashSecret(secret), kind: 'user', site: 'a', user: 'ada', roles: [], usesLeft: 1 },
    ...{ expires_ms: Date.now() + hour_ms, tokenLife_ms: null },
  });
  const root = Uint8Array.fromHex(mesh.authority.trust.fingerprint);
  const common = { root, secret, site: 'a', expires: Date.now() + hour_ms, addresses: [] };
  return formatToken({ kind: 'user', ...common, user: 'ada', ...changes });
}

interface Answer {
  status: number;
  json: Record<string, unknown> & { error?: { code: string; message: string } };
}

async function post(port: number, body: string, headers: Record<string, string> = {}): Promise<Answer> {
  const call = request({
    ...{ host: '127.0.0.1', port, path: '/v1/enrol', method: 'POST', rejectUnauthorized: false },
    headers: { 'content-type': 'application/json', host: `localhost:${port}`, ...headers },
  });
  call.end(body);
  const [response] = await once(call, 'response') as [IncomingMessage];
  return { status: response.statusCode ?? 0, json: await json(response) as Answer['json'] };
}

async function browser(invite: string) {
  const keys = await generateKeys();
  const hash = new Uint8Array(randomBytes(32));
  const device = crypto.randomUUID();
  const pkcs10 = await createRequest(keys);
  const body = { invite, device, request: pkcs10.toBase64(), tokenHash: hash.toBase64() };
  return { keys, hash, device, body };
}

if (tls !== undefined) {
  test('an invitation makes a browser its user’s, marked with the name that it was enrolled at', async () => {
    const port = await serve(front);
    const { keys, hash, device, body } = await browser(invitation());
    const { status, json } = await post(port, JSON.stringify(body), { origin: `https://localhost:${port}` });
    assert.is(status, 200, JSON.stringify(json));
    assert.is(json['user'], 'ada');
    assert.is(json['site'], 'a');
    const { trust } = mesh.authority;
    const credential: Credential = {
      ...{ user: 'ada', key: keys.privateKey, trust },
      certificate: Uint8Array.fromBase64(String(json['certificate'])),
      issuers: (json['issuers'] as string[]).map((der) => Uint8Array.fromBase64(der)),
    };
    const identity = await verifyIdentity(trust, credential.certificate, credential.issuers, Date.now());
    assert.is(identity.kind === 'user' && identity.device, device);
    const grant = {
      ...{ job: newJobId(front.peer), claimant: front.peer, action: 'release', target: 'printer-a' } as const,
      ...{ options: new Uint8Array(0), confirm: [] },
    };
    const signed = await signGrant(credential, grant, Date.now());
    assert.is((await verifyGrant(trust, signed, Date.now())).by.user, 'ada');
    await untilKnown([front], 'token', hash.toHex());
    assert.is(deviceOf(front.mesh.ledger, hash)?.origin, 'localhost');
    const [listed] = new Directory(front.mesh).devices().filter(({ id }) => id === device);
    assert.is(listed?.origin, 'localhost');
    const asked = front.state.audit.list(10).filter(({ what }) => what === 'asked');
    assert.equal(asked.map(({ who, from }) => [who, from]), [['ada', '127.0.0.1']]);
    assert.ok(registrar.logged.some((line) => line.includes(front.peer) && line.includes('browser')));
  });

  test('it counts once, and only for this organisation, in time, of a person', async () => {
    const port = await serve(front);
    const used = invitation();
    const send = async (invite: string) => {
      const { json } = await post(port, JSON.stringify((await browser(invite)).body));
      return json.error?.code ?? 'enrolled';
    };
    assert.is(await send(used), 'enrolled');
    assert.is(await send(used), 'unauthenticated');
    assert.is(await send(invitation({ secret: newSecret() })), 'unauthenticated');
    assert.is(await send(invitation({ root: randomBytes(32) })), 'unauthenticated');
    const { root, secret } = {
      root: Uint8Array.fromHex(mesh.authority.trust.fingerprint),
      secret: newSecret(),
    };
    const node = formatToken({ kind: 'node', root, secret, site: 'a', expires: 1, addresses: [] });
    assert.is(await send(node), 'unauthenticated');
    assert.is(await send('ink1u'), 'bad-request');
  });

  test('a registrar does it itself; without one the invitation is not spent', async () => {
    const port = await serve(front);
    const invite = invitation();
    await registrar.stop();
    const { json } = await post(port, JSON.stringify((await browser(invite)).body));
    assert.is(json.error?.code, 'unavailable');
    await registrar.start();
    await mesh.connected();
    const own = await serve(registrar);
    const { status } = await post(own, JSON.stringify((await browser(invite)).body));
    assert.is(status, 200);
  });

  test('that one registrar does not know it says nothing while another is away', async () => {
    const port = await serve(front);
    const invite = invitation();
    const second = await mesh.add('r2', { roles: ['registrar'], authority: mesh.authority });
    const own = await serve(second);
    const send = async (to: number) => {
      const { json } = await post(to, JSON.stringify((await browser(invite)).body));
      return json.error?.code ?? 'enrolled';
    };
    await registrar.stop();
    assert.is(await send(port), 'unavailable');
    assert.is(await send(own), 'unavailable');
    assert.ok(front.state.audit.list(1).every(({ detail }) => !detail.includes('not known here')));
    await registrar.start();
    await mesh.connected();
    assert.is(await send(own), 'enrolled');
    assert.is(await send(own), 'unauthenticated', 'both have been asked');
    const revoked = revocationOf('node', second.peer);
    await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, revoked, {});
    await untilKnown([front], revokedKind.name, revoked);
    await mesh.drop(second);
  });

  test('one at a time of an address, and few in all', async () => {
    const port = await serve(front);
    const bodies = await Promise.all(
      Array.from({ length: 12 }, async () => JSON.stringify((await browser(invitation())).body)),
    );
    const answers = await Promise.all(bodies.map((body) => post(port, body)));
    const codes = answers.map(({ json }) => json.error?.code ?? 'enrolled');
    assert.ok(codes.includes('enrolled'), codes.join());
    assert.ok(codes.includes('busy'), codes.join());
    assert.is(codes.filter((code) => code !== 'busy' && code !== 'enrolled').length, 0, codes.join());
  });

  test('a registrar looks at what a browser brings to it, and at what a member says of one', async () => {
    const { device, hash, body } = await browser(invitation());
    const asked = {
      ...{ secret: parseToken(body.invite).secret, device, origin: 'localhost' },
      ...{ request: Uint8Array.fromBase64(body.request), tokenHash: hash },
    };
    const wrong = [
      ...[0, 31].map((length) => ({ ...asked, tokenHash: hash.slice(0, length) })),
      ...['', 'a'.repeat(254), 'a\u009b31m', 'a b', '\u202egro'].map((origin) => ({ ...asked, origin })),
    ];
    for (const each of wrong) {
      const refusal = await refusalOf(() => registrar.mesh.membership.enrolBrowser(each));
      assert.match(refusal, /^bad-request/, each.origin);
    }
    for (const each of wrong.slice(2)) assert.not(v.is(enrolBrowserMethod.request, each));
    const given = await registrar.mesh.membership.enrolBrowser({ ...asked, origin: '[2001:db8::7]' });
    assert.is(given.user, 'ada', 'the invitation was not spent');
  });

  test('pages of others, what is malformed and what is too long are refused', async () => {
    const port = await serve(front);
    const { body } = await browser(invitation());
    const good = JSON.stringify(body);
    for (const origin of ['https://evil.example', 'null', `https://localhost:${port + 1}`]) {
      assert.is((await post(port, good, { origin })).status, 403, origin);
    }
    assert.is((await post(port, good, { 'content-type': 'text/plain' })).status, 403);
    const wrong = [
      ...['', '{', '[]', '{}', '"x"'],
      ...[{ ...body, more: 1 }, { ...body, device: 'x' }, { ...body, request: '***' }].map((one) =>
        JSON.stringify(one)
      ),
      JSON.stringify({ ...body, request: randomBytes(200).toString('base64') }),
    ];
    for (const each of wrong) assert.is((await post(port, each)).status, 400, each);
    const long = JSON.stringify({ ...body, invite: 'x'.repeat(enrolLimits.maxBodyBytes) });
    assert.is((await post(port, long)).status, 413);
    assert.is((await post(port, long, { 'transfer-encoding': 'chunked' })).status, 413);
    assert.is((await post(port, good)).status, 200, 'the invitation was not spent');
  });

  test('who tries invitations has to wait, and is noted', async () => {
    const port = await serve(front);
    const guess = async () => {
      const { json } = await post(
        port,
        JSON.stringify((await browser(invitation({ secret: newSecret() }))).body),
      );
      return json.error?.code;
    };
    for (let i = 0; i < refusalLimits.maxFailures; i++) assert.is(await guess(), 'unauthenticated');
    assert.is(await guess(), 'busy');
    const noted = front.state.audit.list(100).filter(({ what }) => what === 'refused');
    assert.ok(noted.length >= refusalLimits.maxFailures);
    assert.ok(noted.every(({ detail }) => detail.startsWith('POST /v1/enrol: ')));
  });
}

test.run();
