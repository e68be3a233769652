/** What a cloud node cannot do, rogue or not, among real nodes; and what its port refuses whom. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cloudApp } from '../../cloud/app.ts';
import { CloudDb } from '../../cloud/db.ts';
import { createRequest, generateKeys } from '../../mesh/authority.ts';
import { verifyIdentity } from '../../mesh/certificate.ts';
import { directoryDoc } from '../../mesh/facts.ts';
import type { Credential } from '../../mesh/grant.ts';
import { generateHostKey, type Mesh, redeem } from '../../mesh/mod.ts';
import { signRequest } from '../../mesh/request.ts';
import { sourceMethod, type Standing } from '../../mesh/source.ts';
import { deviceOf, tokenHash, tokenKind } from '../../mesh/submit-token.ts';
import { parseToken } from '../../mesh/token.ts';
import { adminRoutes } from '../../src/api/admin.ts';
import { createApi } from '../../src/api/app.ts';
import { systemClock } from '../../src/clock.ts';
import { Directory } from '../../src/directory.ts';
import { callTimeout_ms, sourceAnswer_ms } from '../../mesh/limits.ts';
import { forwardLimits } from '../../src/limits.ts';
import {
  claim,
  type FakeMesh,
  type FakeNode,
  patience_ms,
  prints,
  startMesh,
  store,
  untilKnown,
  user,
} from '../fakes/mesh.ts';
import { fakeUser, refusalOf } from '../fakes/organisation.ts';
import { tempDir, waitFor } from '../fakes/processes.ts';
import { startRogue } from '../fakes/rogue.ts';

const hour_ms = 3600_000;

let mesh: FakeMesh;
let registrar: FakeNode;
let edge: FakeNode;
let cloud: FakeNode;
let db: CloudDb;
let boss: Credential;
let ada: Credential;

test.before(async () => {
  mesh = await startMesh(3);
  [registrar, edge] = mesh.nodes as [FakeNode, FakeNode];
  cloud = await mesh.add('cloud', { site: 'cloud', roles: ['cloud', 'relay'] });
  await mesh.connected();
  db = new CloudDb(tempDir());
  boss = await fakeUser(mesh.authority, 'boss', Date.now(), ['admin']);
  ada = await user(mesh, 'ada');
});

test.after(async () => {
  db.close();
  await mesh.stop();
});

const until = <T>(what: string, look: () => T | undefined): Promise<T> =>
  waitFor(look, { deadline_ms: patience_ms, what });

test('a cloud node gets neither share nor envelope, whatever a page has had signed for it', async () => {
  const job = await store(mesh, edge, { owner: ada });
  assert.match(await refusalOf(() => claim(cloud, job)), /a cloud node gets no document/);
  await prints(job, edge);
});

/** Sends a signed request to an API or to the cloud's port. */
async function send(
  fetch: (request: Request, env: unknown) => Promise<Response>,
  as: Credential,
  { method = 'GET', path, to, by = '' }: { method?: string; path: string; to: string; by?: string },
  signed?: string,
): Promise<Response> {
  const body = method === 'POST' ? '{}' : undefined;
  const bodyHash = body === undefined
    ? {}
    : { bodyHash: new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from(body))) };
  const header = signed ?? await signRequest(as, { method, path, audience: to, ...bodyHash }, Date.now());
  const headers = {
    authorization: `Inkmesh ${header}`,
    ...(body === undefined ? {} : { 'content-length': '2' }),
  };
  const init = { method, headers, ...(body === undefined ? {} : { body }) };
  const env = { incoming: { socket: { remoteAddress: '192.0.2.9' } } };
  return await fetch(new Request(`https://localhost${by}${path}`, init), env);
}

test('the link that leads to the cloud has a secret of its own, and makes a marked credential however it is redeemed', async () => {
  const { trust } = mesh.authority;
  const { state, peer } = registrar;
  const directory = new Directory(registrar.mesh);
  await directory.addUser('eve', undefined);
  const seen = Object.create(registrar.mesh, {
    addressesOf: { value: () => ['/ip4/192.0.2.1/tcp/443/tls/ws'] },
  }) as Mesh;
  const api = createApi({
    ...{ trust, audience: peer, now_ms: () => Date.now(), known: registrar.mesh.ledger, log: () => {} },
    ...{ audit: state.audit, site: 'a' },
  });
  adminRoutes(api, {
    ...{ mesh: seen, trust, directory, state, log: () => {}, link: (path) => `https://front${path}` },
    status: () => Promise.resolve({}),
  });
  const body = JSON.stringify({ life_ms: hour_ms, tokenLife_ms: hour_ms });
  const path = '/v1/users/eve/invite';
  const bodyHash = new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from(body)));
  const signed = await signRequest(boss, { method: 'POST', path, audience: peer, bodyHash }, Date.now());
  const headers = { authorization: `Inkmesh ${signed}`, 'content-length': String(body.length) };
  const response = await api.request(`https://localhost${path}`, { method: 'POST', headers, body });
  const { token, cloud_link } = await response.json() as { token: string; cloud_link: string };
  assert.is(response.status, 200);
  /** as a rogue cloud does that has seen the secret */
  const rolesBy = async (invite: string) => {
    const tokenHash = new Uint8Array(randomBytes(32));
    const enrolled = await redeem({
      ...{
        secret: parseToken(invite).secret,
        clock: systemClock,
        listen: [],
        addresses: [registrar.address],
      },
      hostKey: (await generateHostKey()).hostKey,
      rootFingerprint: Uint8Array.fromHex(trust.fingerprint),
      request: await createRequest(await generateKeys()),
      subject: { kind: 'user', device: crypto.randomUUID(), tokenHash },
    });
    const { roles } = await verifyIdentity(trust, enrolled.leaf, enrolled.issuers, Date.now());
    return [...roles, deviceOf(registrar.mesh.ledger, tokenHash)?.cloud];
  };
  const [, atCloud = ''] = cloud_link.split('#');
  assert.equal(await rolesBy(atCloud), ['cloud', true]);
  assert.equal(await rolesBy(token), [undefined]);
});

/** The port of the cloud node, without its sockets. */
function app(isReady = () => true): (request: Request, env: unknown) => Promise<Response> {
  const { trust } = mesh.authority;
  const fetch = cloudApp({
    ...{
      mesh: cloud.mesh,
      trust,
      state: cloud.state,
      db,
      log: () => {},
      metricsToken: undefined,
      sealKey: '',
      measures: [],
    },
    ...{ relayed: () => new Map<string, number>(), isReady, status: () => ({ node: 'cloud' }) },
  });
  return async (request, env) => await fetch(request, env as never) as Response;
}

const codeOf = async (response: Response) =>
  ((await response.json()) as { error?: { code: string } }).error?.code ?? 'none';

test('how a cloud node is, is for administrators; that it stops, for whoever asks', async () => {
  let ready = true;
  const fetch = app(() => ready);
  const ask = async (path: string) => await fetch(new Request(`https://localhost${path}`), {});
  const status = { path: '/v1/status', to: cloud.peer };
  assert.is(await codeOf(await send(fetch, ada, status)), 'forbidden');
  assert.is((await send(fetch, boss, status)).status, 200);
  assert.is((await ask('/readyz')).status, 200);
  ready = false;
  assert.is((await ask('/readyz')).status, 503);
  assert.is((await ask('/metrics')).status, 404);
  const directory = await send(fetch, ada, { path: '/v1/directory/nodes', to: cloud.peer });
  assert.is(directory.status, 200);
  assert.ok(Array.isArray(await directory.json()));
  assert.is(
    await codeOf(await send(fetch, ada, { path: '/v1/directory/nodes', to: edge.peer })),
    'forbidden',
  );
});

test('what a node does not pass on it notes, and who is no administrator fills no trail', async () => {
  const fetch = app();
  const to = registrar.peer;
  const by = `/forward/${to}`;
  const sites = { method: 'POST', path: '/v1/sites/b', to, by };
  const asked: string[] = [];
  registrar.mesh.passOn.answerBy(({ path }, from) => {
    asked.push(`${path} ${from}`);
    return Promise.resolve({ status: 200, type: 'application/json', body: none() });
  });
  for (let i = 0; i < 3; i++) assert.is(await codeOf(await send(fetch, ada, sites)), 'forbidden');
  assert.equal([asked, db.trail(10).filter(({ what }) => what === 'asked')], [[], []]);
  assert.is(await codeOf(await send(fetch, ada, { path: '/v1/status', to, by })), 'forbidden');
  assert.is(await codeOf(await send(fetch, ada, sites, 'xxxx')), 'bad-request');
  const refused = cloud.state.audit.list(20).filter(({ detail }) => detail.includes('/forward/'));
  assert.is(refused.filter(({ who, from }) => who === 'ada' && from === '192.0.2.9').length, 3);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from('{}')));
  const signed = await signRequest(boss, { ...sites, audience: to, bodyHash: digest }, Date.now());
  assert.is((await send(fetch, boss, sites, signed)).status, 200);
  assert.is(await codeOf(await send(fetch, boss, sites, signed)), 'unauthenticated', 'a replay');
  assert.equal(asked, [`/v1/sites/b ${cloud.peer}`]);
  assert.equal(
    db.trail(10).filter(({ what }) => what === 'asked').map(({ who, detail }) => `${who}: ${detail}`),
    ['boss: POST /v1/sites/b: done', 'boss: POST /v1/sites/b: passed on'],
  );
});

async function* none(): AsyncGenerator<Uint8Array> {}

test('a user has few requests under way by another node, and one that is given up ends where it is answered', async () => {
  const fetch = app();
  const to = registrar.peer;
  const job = crypto.randomUUID();
  const release = { method: 'POST', path: `/v1/jobs/${job}/release`, to, by: `/forward/${to}` };
  let open = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    open++;
    try {
      for (;;) {
        yield new Uint8Array(16_000);
        await new Promise((later) => setTimeout(later, 5));
      }
    } finally {
      open--;
    }
  }
  registrar.mesh.passOn.answerBy(() =>
    Promise.resolve({ status: 200, type: 'application/x-ndjson', body: endless() })
  );
  const answers: Response[] = [];
  for (let i = 0; i < forwardLimits.maxPerUser; i++) answers.push(await send(fetch, ada, release));
  assert.equal(answers.map(({ status }) => status), [200, 200, 200, 200]);
  assert.is(await codeOf(await send(fetch, ada, release)), 'busy');
  const other = await send(fetch, boss, release);
  assert.is(other.status, 200);
  // of none of them an octet has been read
  for (const { body } of [...answers, other]) await body?.cancel();
  await until('the answers to end', () => open === 0 || undefined);
  const again = await send(fetch, ada, release);
  assert.is(again.status, 200);
  await again.body?.cancel();
});

test('what a cloud node says of a source counts where it is what is known, and nowhere else', async () => {
  const device = crypto.randomUUID();
  const token = tokenHash('a-token-of-ada');
  const body = { user: 'ada', device, expires_ms: Date.now() + hour_ms };
  await registrar.mesh.ledger.state(tokenKind, () => directoryDoc, token.toHex(), body);
  await untilKnown([edge, cloud], 'token', token.toHex());
  const unknown = tokenHash('of-nobody');
  await mesh.drop(cloud);
  await registrar.stop();
  const rogue = await startRogue({ hostKey: cloud.keys.hostKey, listen: true });
  let said: Standing = { standing: 'unknown', owner: null, since_ms: null };
  let asked = 0;
  await rogue.rpc.handle(sourceMethod, () => {
    asked++;
    return Promise.resolve({ reply: said });
  });
  const owner = { user: 'ada', device };
  /** What the edge node takes from it, while it is connected. */
  const ask = async (source: Uint8Array, lie: Standing): Promise<string> => {
    said = lie;
    return await waitFor(async () => {
      await rogue.hello(edge, cloud.keys).catch(() => {});
      const before = asked;
      const got = await edge.mesh.membership.standingOf({ token: source }).then(
        ({ standing, owner }) => `${standing} ${owner?.user}`,
        (thrown: { code: string }) => thrown.code,
      );
      return asked > before ? got : undefined;
    }, { deadline_ms: patience_ms, what: `the cloud node to be asked, that says ${lie.standing}` });
  };
  try {
    assert.is(
      await ask(token, { standing: 'revoked', owner, since_ms: 1 }),
      'unavailable',
      'withdraws nothing',
    );
    assert.is(
      await ask(token, { standing: 'expired', owner, since_ms: 1 }),
      'unavailable',
      'refuses nothing',
    );
    assert.is(await ask(token, { standing: 'unknown', owner: null, since_ms: null }), 'unavailable');
    assert.is(
      await ask(unknown, { standing: 'valid', owner, since_ms: null }),
      'unavailable',
      'gives it no owner',
    );
    const eve = { user: 'eve', device };
    assert.is(
      await ask(token, { standing: 'valid', owner: eve, since_ms: null }),
      'unavailable',
      'another owner',
    );
    assert.is(await ask(token, { standing: 'valid', owner, since_ms: null }), 'valid ada', 'confirms');
  } finally {
    await rogue.stop();
  }
});

test('a cloud node that never answers is waited for so long and no longer, and one that is away not at all', async () => {
  const rogue = await startRogue({ hostKey: cloud.keys.hostKey, listen: true });
  const token = tokenHash('a-token-of-ada');
  let asked = 0;
  await rogue.rpc.handle(sourceMethod, () => {
    asked++;
    return new Promise(() => {});
  });
  const ask = () => {
    const state = { said: '' };
    edge.mesh.membership.standingOf({ token }).then(
      () => state.said = 'an answer',
      ({ code }: { code: string }) => state.said = code,
    );
    return state;
  };
  try {
    const asking = await waitFor(async () => {
      await rogue.hello(edge, cloud.keys).catch(() => {});
      const [before, waiting] = [asked, ask()];
      await until('an end, or the question', () => asked > before || waiting.said !== '' || undefined);
      return waiting.said === '' ? waiting : undefined;
    }, { deadline_ms: patience_ms, what: 'the cloud node to be asked in time' });
    const hurried_ms = performance.now();
    edge.clock.hurry(sourceAnswer_ms);
    assert.is(await until('an end', () => asking.said || undefined), 'unavailable');
    assert.ok(performance.now() - hurried_ms < callTimeout_ms, 'nothing else is waited for');
  } finally {
    await rogue.stop();
  }
  await until(
    'it to be gone',
    () => edge.mesh.members().every(({ identity }) => identity.peerId !== cloud.peer) || undefined,
  );
  const before = asked;
  const asking = ask();
  assert.is(await until('an end', () => asking.said || undefined), 'unavailable');
  assert.is(asked, before);
});

test.run();
