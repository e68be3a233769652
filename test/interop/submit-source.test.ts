/** Who submits, over real sockets and a real mesh: what is shut out, guessed or another’s is refused, and written down. */
import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { directoryDoc } from '../../mesh/facts.ts';
import { policyOf, siteKind } from '../../mesh/policy.ts';
import { revocationOf, revokedKind } from '../../mesh/revocation.ts';
import type { SourceId } from '../../mesh/source.ts';
import { cancelProof, tokenHash, tokenKind } from '../../mesh/submit-token.ts';
import { encodeMessage } from '../../src/ipp/codec.ts';
import { charset, mimeMediaType, nameAttribute, naturalLanguage, uri } from '../../src/ipp/message.ts';
import { groups, operations, statuses, type StatusName } from '../../src/ipp/registry.ts';
import type { JobView } from '../../src/job.ts';
import { refusalLimits } from '../../src/limits.ts';
import { verifiersOf } from '../../src/panel/lock.ts';
import { pinKind, Verifiers } from '../../src/panel/verifier.ts';
import { type OpenFront, openFront } from '../fakes/front.ts';
import {
  type FakeMesh,
  type FakeNode,
  patience_ms,
  startMesh,
  untilErased,
  untilKnown,
} from '../fakes/mesh.ts';
import { refusalOf } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';

const day_ms = 24 * 3600_000;
const document = new Uint8Array(randomBytes(50_000));

let mesh: FakeMesh;
let registrar: FakeNode;
let node: FakeNode;
let front: OpenFront;

test.before(async () => {
  mesh = await startMesh(3);
  [registrar, node] = mesh.nodes as [FakeNode, FakeNode];
});

// a front each: refusals are counted by address
test.before.each(async () => {
  front = await openFront(mesh, node);
});

test.after.each(async () => {
  await front.close();
});

test.after(async () => await mesh.stop());

const newToken = () => randomBytes(20).toString('base64url');

interface Given {
  token: string;
  device: string;
}

/** A submit token that the registrar has given out, and every node knows of. */
async function given(user: string, life_ms = day_ms, about: { cloud?: boolean } = {}): Promise<Given> {
  const [token, device] = [newToken(), crypto.randomUUID()];
  const subject = tokenHash(token).toHex();
  const body = { user, device, expires_ms: Date.now() + life_ms, ...about };
  await registrar.mesh.ledger.state(tokenKind, () => directoryDoc, subject, body);
  await untilKnown(mesh.nodes, 'token', subject);
  return { token, device };
}

/** Decides for the site whether it takes what was made at a cloud node. */
async function decide(cloud: 'accept' | 'refuse'): Promise<void> {
  const body = { ...policyOf(registrar.mesh.ledger, 'a'), cloud };
  await registrar.mesh.ledger.state(siteKind, () => directoryDoc, 'a', body);
  await waitFor(
    () => mesh.nodes.every(({ mesh }) => policyOf(mesh.ledger, 'a').cloud === cloud) || undefined,
    {
      ...{ deadline_ms: patience_ms, what: `every node to ${cloud}` },
    },
  );
}

async function revoke(what: 'device' | 'user', id: string): Promise<void> {
  await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, revocationOf(what, id), {});
  await untilKnown(mesh.nodes, 'revoked', revocationOf(what, id));
}

const basic = (user: string, password: string) => `Basic ${btoa(`${user}:${password}`)}`;

/** One IPP request with a document. @returns the IPP status, or the HTTP status when that is not 200 */
async function ipp(
  path: string,
  authorization = '',
  operation: 'Print-Job' | 'Get-Printer-Attributes' = 'Print-Job',
): Promise<{ status: StatusName | number; text: string; challenge: string | null }> {
  const message = encodeMessage({
    version: 0x0200,
    code: operations[operation],
    requestId: 7,
    groups: [{
      tag: groups['operation-attributes-tag'],
      attributes: [
        charset('attributes-charset', 'utf-8'),
        naturalLanguage('attributes-natural-language', 'en'),
        uri('printer-uri', `ipp://127.0.0.1:${front.port}${path}`),
        nameAttribute('requesting-user-name', 'mallory'),
        ...(operation === 'Print-Job' ? [mimeMediaType('document-format', 'application/pdf')] : []),
      ],
    }],
  });
  const response = await fetch(`http://127.0.0.1:${front.port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/ipp', ...(authorization === '' ? {} : { authorization }) },
    body: operation === 'Print-Job' ? Buffer.concat([message, document]) : Buffer.from(message),
  });
  const octets = Buffer.from(await response.arrayBuffer());
  const challenge = response.headers.get('www-authenticate');
  const text = octets.toString('latin1');
  if (response.status !== 200) return { status: response.status, text, challenge };
  assert.is(octets.readUInt32BE(4), 7, 'the request-id');
  const code = octets.readUInt16BE(2);
  const name = Object.entries(statuses).find(([, value]) => value === code)?.[0] as StatusName;
  return { status: name, text, challenge };
}

interface Answer {
  status: number;
  json: { id?: string; error?: { message: string } } & JobView[];
  retry: string | null;
}

async function http(method: string, path: string, authorization: string): Promise<Answer> {
  const headers = { authorization, 'content-type': 'application/pdf' };
  const body = method === 'POST' ? { body: document } : {};
  const response = await fetch(`http://127.0.0.1:${front.port}${path}`, { method, headers, ...body });
  return {
    status: response.status,
    json: await response.json() as Answer['json'],
    retry: response.headers.get('retry-after'),
  };
}

const jobsOf = (user: string) =>
  node.mesh.ledger.all('job').filter(({ body }) => (body as { owner: string }).owner === user);

test('a site that refuses what was made at a cloud node takes no token of it, and cancels by none', async () => {
  const user = `ada-${crypto.randomUUID()}`;
  const [marked, own] = [await given(user, day_ms, { cloud: true }), await given(user)];
  const bearer = `Bearer ${marked.token}`;
  const { status, json: { id } } = await http('POST', '/print', bearer);
  assert.is(status, 201);
  await decide('refuse');
  try {
    const refused = await http('POST', '/print', bearer);
    assert.is(refused.status, 403);
    assert.match(
      refused.json.error?.message ?? '',
      /site a takes no printer addresses that were made on the cloud/,
    );
    assert.is((await ipp(`/ipp/print/${marked.token}`)).status, 'client-error-forbidden');
    assert.is((await http('GET', '/jobs', bearer)).status, 403);
    // a node that does not ask is refused by the holders
    const proof = cancelProof(marked.token, id ?? '');
    assert.match(
      await refusalOf(() => node.mesh.claimant.claim(id ?? '', { proof }, '-')),
      /^forbidden: .*cloud/,
    );
    const last = node.state.audit.list(9).filter(({ what }) => what === 'refused');
    assert.ok(
      last.some(({ detail }) => detail === `the cloud’s token of device ${marked.device}`),
      JSON.stringify(last),
    );
    assert.is((await http('POST', '/print', `Bearer ${own.token}`)).status, 201);
    assert.is(jobsOf(user).length, 2);
  } finally {
    await decide('accept');
  }
  assert.is((await http('POST', '/print', bearer)).status, 201);
});

test('a token prints by every front as its user, and lists and cancels what it submitted', async () => {
  const user = `ada-${crypto.randomUUID()}`;
  const [{ token }, other] = [await given(user), await given(user)];
  assert.is((await ipp(`/ipp/print/${token}`)).status, 'successful-ok');
  assert.is((await ipp('/ipp/print', basic(user, token))).status, 'successful-ok');
  const { status, json } = await http('POST', '/print?title=Secret', `Bearer ${token}`);
  assert.is(status, 201);
  assert.is((await http('POST', '/print', basic(user, token))).status, 201);
  assert.is(jobsOf(user).length, 4);
  const listed = (await http('GET', '/jobs', basic(user, token))).json;
  assert.equal(listed.map(({ state }) => state), Array(4).fill('held'));
  assert.equal((await http('GET', '/jobs', `Bearer ${other.token}`)).json, []);
  assert.is((await http('DELETE', `/jobs/${json.id}`, `Bearer ${other.token}`)).status, 404);
  assert.is((await http('DELETE', `/jobs/${json.id}`, `Bearer ${token}`)).status, 200);
  await untilErased(mesh.nodes, json.id ?? '');
  const trail = node.state.audit.list(1000).filter(({ who }) => who === user);
  assert.equal(trail.map(({ what }) => what), ['cancelled', ...Array(4).fill('submitted')]);
  assert.ok(trail.every(({ from }) => from === '127.0.0.1'));
  assert.not.match(JSON.stringify(trail), token);
  assert.not.match(JSON.stringify(trail), 'Secret');
});

test('the printer without a token says what it is, and asks for user name and password for all else', async () => {
  const { token } = await given('ada');
  const described = await ipp('/ipp/print', '', 'Get-Printer-Attributes');
  assert.is(described.status, 'successful-ok');
  assert.ok(described.text.includes('uri-authentication-supported\0\x05basic'));
  const withToken = await ipp(`/ipp/print/${token}`, '', 'Get-Printer-Attributes');
  assert.ok(withToken.text.includes('uri-authentication-supported\0\x04none'));
  for (
    const authorization of ['', 'Negotiate x', basic('ada', 'wrong'), basic('bob', token), basic('', token)]
  ) {
    const { status, challenge } = await ipp('/ipp/print', authorization);
    assert.is(status, 401, authorization);
    assert.match(challenge ?? '', /^Basic realm="inkmesh"/);
  }
});

test('a token that is revoked, has expired, or is another organisation’s is refused and written down', async () => {
  const elsewhere = newToken();
  const [late, device, user] = [await given('ada', -1000), await given('ada'), await given('eve')];
  await revoke('device', device.device);
  await revoke('user', 'eve');
  const cases: [string, string, StatusName, RegExp][] = [
    ['ada', late.token, 'client-error-not-authenticated', /expired/],
    ['ada', device.token, 'client-error-not-authenticated', /revoked/],
    ['eve', user.token, 'client-error-not-authenticated', /revoked/],
    ['ada', elsewhere, 'client-error-not-found', /no such printer/],
  ];
  const before = node.mesh.ledger.all('job').length;
  for (const [who, token, status, says] of cases) {
    await front.close();
    front = await openFront(mesh, node);
    const byUri = await ipp(`/ipp/print/${token}`);
    assert.is(byUri.status, status);
    assert.match(byUri.text, says);
    assert.is((await ipp('/ipp/print', basic(who, token))).status, 401);
    const byBearer = await http('POST', '/print', `Bearer ${token}`);
    assert.is(byBearer.status, 401);
    const rows = node.state.audit.list(3);
    assert.equal(rows.map(({ what, from }) => [what, from]), Array(3).fill(['refused', '127.0.0.1']));
    const known = status === 'client-error-not-authenticated';
    assert.equal(rows.map((row) => row.who), Array(3).fill(known ? who : null));
    assert.ok(
      rows.every(({ detail }) => known ? says.test(detail) : /unknown/.test(detail)),
      rows[0]?.detail,
    );
    assert.not.match(JSON.stringify(rows), token);
  }
  // who does not have it learns nothing of it
  const guess = await http('GET', '/jobs', basic('bob', device.token));
  assert.not.match(guess.json.error?.message ?? '', /revoked/);
  assert.is(node.mesh.ledger.all('job').length, before);
});

test('a password is guessed ten times; who has a good one prints at the same address all the while', async () => {
  const { token } = await given('ada');
  for (let i = 0; i < refusalLimits.maxFailures; i++) {
    assert.is((await http('GET', '/jobs', basic('ada', newToken()))).status, 401);
  }
  const rows = node.state.audit.list(1000).length;
  for (let i = 0; i < 5; i++) {
    const { status, retry } = await http('GET', '/jobs', basic('ada', newToken()));
    assert.is(status, 429);
    assert.ok(Number(retry) > 0 && Number(retry) <= 60, String(retry));
  }
  assert.is((await ipp(`/ipp/print/${newToken()}`)).status, 'server-error-busy');
  assert.is((await ipp('/ipp/print', basic('ada', newToken()))).status, 'server-error-busy');
  assert.is(node.state.audit.list(1000).length, rows, 'a flood is not written down');
  assert.match(node.state.audit.list(1)[0]?.detail ?? '', /no more of this address/);
  assert.is((await http('POST', '/print', basic('ada', token))).status, 201);
  assert.is((await ipp(`/ipp/print/${token}`)).status, 'successful-ok');
});

test('a PIN is no password: the right one is refused ten times, and then not looked at', async () => {
  const [pin, wrong] = ['kl4vier', 'kl4v1er'];
  const panel = await mesh.add('p1', { roles: ['panel'] });
  await waitFor(() => panel.mesh.panel.keys().length > 0 || undefined, {
    deadline_ms: patience_ms,
    what: 'the panel node to have a key',
  });
  const verifiers = (at: FakeNode) => new Verifiers(at.mesh, mesh.authority.trust.fingerprint);
  await verifiers(registrar).setPin('ada', pin);
  await untilKnown(mesh.nodes, pinKind.name, 'ada');
  const { token } = await given('ada');
  await front.close();
  // a panel node knows the PIN, and its print dialogs do not ask for it
  front = await openFront(mesh, panel);
  const before = panel.mesh.ledger.all('job').length;
  const asUser = async (password: string) => (await ipp('/ipp/print', basic('ada', password))).status;
  for (let i = 0; i < refusalLimits.maxFailures / 2; i++) {
    assert.is(await asUser(pin), 401);
    assert.is(await asUser(wrong), 401);
  }
  assert.is(await asUser(pin), 'server-error-busy');
  assert.is((await ipp(`/ipp/print/${pin}`)).status, 'server-error-busy');
  assert.is((await http('POST', '/print', `Bearer ${pin}`)).status, 429);
  const rows = panel.state.audit.list(100);
  assert.is(rows.length, refusalLimits.maxFailures);
  assert.ok(rows.every(({ what, detail }) => what === 'refused' && /user name and password/.test(detail)));
  assert.not.match(JSON.stringify(rows), new RegExp(`${pin}|${wrong}`, 'i'));
  assert.is(panel.mesh.ledger.all('job').length, before);
  assert.is(
    verifiersOf(panel.mesh.ledger, 'ada').locked,
    null,
    'and so nobody locks a user from a print dialog',
  );
  assert.is(await asUser(token), 'successful-ok');
  await front.close();
  front = await openFront(mesh, node);
  await mesh.drop(panel);
});

test('a registrar says how a source stands, to any member', async () => {
  const [good, late, gone] = [await given('ada'), await given('ada', -1000), await given('ada')];
  await revoke('device', gone.device);
  for (const asking of [registrar, node]) {
    // on a busy machine an answer may take longer than it is waited for
    const answered = (id: SourceId) =>
      waitFor(() => asking.mesh.membership.standingOf(id).catch(() => undefined), {
        deadline_ms: patience_ms,
        what: 'a registrar to answer in time',
      });
    const standing = async ({ token }: { token: string }) =>
      (await answered({ token: tokenHash(token) })).standing;
    assert.equal(
      await Promise.all([good, late, gone, { token: newToken() }].map(standing)),
      ['valid', 'expired', 'revoked', 'unknown'],
    );
    const of = async ({ device }: Given) =>
      (await answered({ credential: { user: 'ada', device } })).standing;
    assert.equal(await Promise.all([good, gone].map(of)), ['valid', 'revoked']);
  }
});

test('what was judged offline is judged again: a job of a source that had been revoked is taken back', async () => {
  const [good, stolen] = [await given('ada'), await given('ada')];
  const revoked = revocationOf('device', stolen.device);
  // it is stated, and its author goes before it has told anybody
  await registrar.mesh.ledger.state(revokedKind, () => directoryDoc, revoked, {});
  await registrar.stop();
  assert.is(node.mesh.ledger.latest('revoked', revoked), undefined, 'the registrar went in time');
  const accepted = await Promise.all(
    [good, stolen].map(async ({ token }) => (await http('POST', '/print', `Bearer ${token}`)).json.id ?? ''),
  );
  const waiting = () => accepted.filter((id) => node.state.unconfirmed.list().some(({ job }) => job === id));
  assert.equal(waiting(), accepted);
  assert.match(node.state.audit.list(1)[0]?.detail ?? '', /judged offline/);
  await registrar.start();
  await waitFor(() => waiting().length === 0 || undefined, {
    deadline_ms: 4 * patience_ms,
    what: 'the sources to be judged again',
  });
  const [kept = '', back = ''] = accepted;
  await untilErased(mesh.nodes, back);
  assert.ok(node.mesh.ledger.latest('withdrawn', back));
  assert.is(node.mesh.ledger.latest('withdrawn', kept), undefined);
  assert.ok(
    node.state.audit.list(100).some(({ what, detail }) => what === 'withdrawn' && detail.includes(back)),
  );
  const listed = await http('GET', '/jobs', `Bearer ${good.token}`);
  assert.equal(listed.json.map(({ id, state }) => [id, state]), [[kept, 'held']]);
});

test.run();
