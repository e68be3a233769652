/** The vectors of mesh/WIRE.md, which an implementation of that page has made without this code. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { issueNode, issueUser } from '../../mesh/authority.ts';
import { decode, encode } from '../../mesh/codec.ts';
import { asInkmeshError } from '../../mesh/errors.ts';
import { type Fact, factContext, idOf, jobsDoc, readFact, signFact } from '../../mesh/facts.ts';
import { Frames } from '../../mesh/frames.ts';
import { verifyGrant } from '../../mesh/grant.ts';
import { handedDigest, jobKind, type Receipt, verifyReceipt, withdrawnKind } from '../../mesh/job-facts.ts';
import { isJobIdOf } from '../../mesh/job-id.ts';
import type { NodeIdentity } from '../../mesh/certificate.ts';
import { jobId } from '../../mesh/names.ts';
import type { Channel, Link } from '../../mesh/ports.ts';
import { fetchMethod } from '../../mesh/protocol.ts';
import { verifyRequest } from '../../mesh/request.ts';
import { Rpc } from '../../mesh/rpc.ts';
import { verify } from '../../mesh/signed.ts';
import { cancelProof, submitterOf } from '../../mesh/submit-token.ts';
import { formatToken, parseToken } from '../../mesh/token.ts';
import { verifyView, verifyVoucher } from '../../mesh/voucher.ts';
import { authorOf, clientOf, decodeRun, encodeRun } from '../../mesh/update.ts';
import { systemClock } from '../../src/clock.ts';
import { Verifiers } from '../../src/panel/verifier.ts';
import { fakeAuthority, fakePeer } from '../fakes/organisation.ts';
import { deafTransport } from '../fakes/transport.ts';

interface Signed<Fields> {
  fields: Fields;
  payload: string;
  signature: string;
}

/** What holders know of a submit token, in hex. */
interface Hexed {
  token: string;
  cancel: string;
}

/** A badge or PIN, in hex but for its text. */
interface Kept {
  text: string;
  user: string | null;
  key: string;
  salt: string;
  body: { salt: string; key: string; tag: string };
}

interface Vectors {
  key: JsonWebKey;
  framing: {
    request: { job: string; claim: string; offset: number };
    sent: string;
    body: string[];
    answer: string;
    error: string;
  };
  hello: { fields: { leaf: string; issuers: string[]; time_ms: number; addresses: string[] }; frame: string };
  jobId: { author: string; random: string; id: string; others: string[] };
  fact: {
    facts: { fields: Fact; payload: string; record: string; id: string }[];
    array: { name: string; client: number; updates: string[] };
  };
  grant: Signed<{ options: string; nonce: string; issued: number }>;
  request: Signed<{ method: string; path: string; audience: string; nonce: string; issued: number }>;
  voucher: Signed<{ options: string; nonce: string; issued: number }>;
  view: Signed<{ user: string; audience: string; nonce: string; issued: number }>;
  receipt: Signed<Receipt>;
  cancellation: { token: string; job: string; proof: string; submitter: Hexed };
  handed: { submitter: Hexed; ticket: string; handoff: string; digest: string };
  pin: Kept;
  badge: Kept;
  joinToken: Record<
    'node' | 'user',
    { fields: [string, string, string, number, string[], string?]; text: string }
  >;
}

const file = new URL('../vectors/wire/wire.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const octets = (hex: string) => Uint8Array.fromHex(hex);
const unhexed = ({ token, cancel }: Hexed) => ({ token: octets(token), cancel: octets(cancel) });
const { key: jwk } = vectors;
const P256 = { name: 'ECDSA', namedCurve: 'P-256' };
const privateKey = await crypto.subtle.importKey('jwk', jwk, P256, false, ['sign']);
const { d: _, ...publicJwk } = jwk;
const publicKey = await crypto.subtle.importKey('jwk', publicJwk, P256, true, ['verify']);

/** A stream of libp2p with nobody at its end: what is sent is kept, and what is to be heard is given. */
class Wire extends EventTarget {
  readonly sent: Uint8Array[] = [];
  readonly writeStatus = 'writable';
  readonly readStatus = 'readable';
  readonly writableNeedsDrain = false;

  send(data: Uint8Array): void {
    this.sent.push(data.slice());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  abort(): void {}

  hear(data: Uint8Array): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
    this.dispatchEvent(new Event('remoteCloseWrite'));
  }

  get hex(): string {
    return Buffer.concat(this.sent).toString('hex');
  }

  channel(): Channel {
    return new Frames(this as unknown as ConstructorParameters<typeof Frames>[0], systemClock);
  }
}

const peer = fakePeer('B');
const link = { peer } as Link;

test('a call is framed as the page says, at the caller', async () => {
  const { request, sent, body, answer, error } = vectors.framing;
  const called = async (heard: string) => {
    const wire = new Wire();
    const transport = deafTransport(fakePeer('A'), { open: () => Promise.resolve(wire.channel()) });
    const call = new Rpc(transport, systemClock, () => {}).call(peer, fetchMethod, request, { link });
    wire.hear(octets(heard));
    const reply = await call.catch(asInkmeshError);
    assert.is(wire.hex, sent);
    return reply;
  };
  const reply = await called(answer);
  assert.ok('body' in reply);
  assert.equal(await Array.fromAsync(reply.body, (part) => part.toHex()), body);
  const refused = await called(error);
  assert.ok('about' in refused);
  assert.is(refused.code, 'busy');
  assert.equal(refused.about, { claim: request.claim, begun: 'false' });
});

test('a call is framed as the page says, at the callee', async () => {
  const { request, sent, body, answer } = vectors.framing;
  const wire = new Wire();
  const served: { by?: (channel: Channel, link: Link) => void } = {};
  const transport = deafTransport(fakePeer('A'), {
    handle: (protocol, _streams, by) => {
      assert.is(protocol, '/inkmesh/fetch/1');
      served.by = by;
      return Promise.resolve();
    },
  });
  const rpc = new Rpc(transport, systemClock, () => {});
  rpc.admitBy(() => Promise.resolve());
  const done = Promise.withResolvers<void>();
  wire.close = () => Promise.resolve(done.resolve());
  await rpc.handle(fetchMethod, (call) => {
    assert.equal(call.request, request);
    async function* parts() {
      for (const part of body) yield await Promise.resolve(octets(part));
    }
    return Promise.resolve({ reply: {}, body: parts() });
  });
  const channel = wire.channel();
  wire.hear(octets(sent));
  served.by?.(channel, link);
  await done.promise;
  assert.is(wire.hex, answer);
});

test('a hello is encoded as the page says', () => {
  const { fields, frame } = vectors.hello;
  const said = { ...fields, leaf: octets(fields.leaf), issuers: fields.issuers.map(octets) };
  const message = encode(said);
  assert.is(frame, message.length.toString(16).padStart(8, '0') + message.toHex());
});

test('a job id is that of its author', () => {
  const { author, id, others } = vectors.jobId;
  assert.ok(v.is(jobId, id) && isJobIdOf(id, author));
  for (const other of others) assert.not(isJobIdOf(other, author), other);
});

test('facts have these payloads, ids and signatures, and kinds that take them', async () => {
  for (const { fields, payload, record, id } of vectors.fact.facts) {
    const read = readFact(octets(record));
    assert.is(read.payload.toHex(), payload);
    assert.is(idOf(octets(record)).toHex(), id);
    assert.ok(await verify(publicKey, factContext, read.payload, read.signature));
    const kind = fields.kind === jobKind.name ? jobKind : withdrawnKind;
    assert.equal({ ...read.fact, body: decode(kind.body, read.bodyBytes) }, fields);
    assert.is(fields.doc, jobsDoc('main', fields.time_ms));
    assert.is(readFact(await signFact(privateKey, fields)).payload.toHex(), payload, 'made again');
  }
});

test('an array of facts has this client, and travels in these updates', () => {
  const { facts, array: { name, client, updates } } = vectors.fact;
  assert.is(authorOf(name), vectors.jobId.author);
  assert.is(clientOf(name), client);
  updates.forEach((update, clock) => {
    const run = {
      client,
      clock,
      name: clock === 0 ? name : undefined,
      records: [octets(facts[clock]!.record)],
    };
    assert.equal(decodeRun(octets(update)), run);
    assert.is(encodeRun(run).toHex(), update);
  });
});

/** The vector's key as a user's, or a panel node's, and what it has signed as it travels. */
async function signedBy(kind: 'user' | 'panel', { payload, signature }: Signed<unknown>, now_ms: number) {
  const authority = await fakeAuthority('Test works', now_ms);
  const user = { user: 'ada', device: crypto.randomUUID(), roles: [], publicKey };
  const panel = { name: 'p1', site: 'main', peerId: peer, roles: ['panel'] as const, publicKey };
  const certificate = kind === 'user'
    ? await issueUser(authority, user, now_ms)
    : await issueNode(authority, panel, now_ms);
  const issuers = [authority.meshIssuer.der];
  const record = encode({ certificate, issuers, payload: octets(payload), signature: octets(signature) });
  return { trust: authority.trust, record };
}

test('a grant is read as what it says', async () => {
  const { fields, payload } = vectors.grant;
  const { trust, record } = await signedBy('user', vectors.grant, fields.issued);
  const { grant, by } = await verifyGrant(trust, record, fields.issued);
  assert.is(by.user, 'ada');
  const { options, nonce } = grant;
  assert.equal({ ...grant, options: options.toHex(), nonce: nonce.toHex() }, fields);
  assert.is(encode(grant).toHex(), payload);
});

test('a request is read as what it says', async () => {
  const { fields } = vectors.request;
  const { trust, record } = await signedBy('user', vectors.request, fields.issued);
  const header = record.toBase64({ alphabet: 'base64url', omitPadding: true });
  const read = await verifyRequest(trust, header, fields, fields.issued);
  assert.is(read.nonce.toHex(), fields.nonce);
  assert.is(read.bodyHash, null);
  assert.is(encode({ ...fields, nonce: octets(fields.nonce) }).toHex(), vectors.request.payload);
});

test('a voucher and a view are read as what they say', async () => {
  const { fields, payload } = vectors.voucher;
  const { trust, record } = await signedBy('panel', vectors.voucher, fields.issued);
  const { voucher } = await verifyVoucher(trust, record, fields.issued);
  const { options, nonce } = voucher;
  assert.equal({ ...voucher, options: options.toHex(), nonce: nonce.toHex() }, fields);
  assert.is(encode(voucher).toHex(), payload);
  const { fields: seen, payload: shown } = vectors.view;
  const view = await signedBy('panel', vectors.view, seen.issued);
  const proof = `panel:${view.record.toBase64({ alphabet: 'base64url', omitPadding: true })}`;
  assert.is((await verifyView(view.trust, proof, seen.audience, seen.issued)).user, 'ada');
  assert.is(encode({ ...seen, nonce: octets(seen.nonce) }).toHex(), shown);
});

test('a receipt is its holder’s', async () => {
  const { fields, payload, signature } = vectors.receipt;
  assert.is(encode({ ...fields }).toHex(), payload);
  const holder = { publicKey } as NodeIdentity;
  assert.ok(await verifyReceipt(holder, fields, octets(signature)));
  assert.not(await verifyReceipt(holder, { ...fields, holder: peer }, octets(signature)));
});

test('what a sleeper is to be given has this digest', () => {
  const { submitter, ticket, handoff, digest } = vectors.handed;
  const given = { submitter: unhexed(submitter), ticket: octets(ticket), handoff: octets(handoff) };
  assert.is(handedDigest(given).toHex(), digest);
});

test('a job is cancelled by what only its submit token makes, and holders keep the digest of it', () => {
  const { token, job, proof, submitter } = vectors.cancellation;
  assert.is(cancelProof(token, job).toHex(), proof);
  assert.equal(submitterOf(token, job), unhexed(submitter));
});

test('a PIN and a badge are kept as the page says', async () => {
  const { pin, badge } = vectors;
  const root = Buffer.from(badge.salt, 'hex').toString().replace('inkmesh badge ', '');
  const fact = { subject: 'ada', body: { key: octets(badge.body.key), tag: octets(badge.body.tag) } };
  const verifiers = new Verifiers(
    {
      panel: { keys: () => [{ id: pin.body.key, key: octets(pin.key), made_ms: 0 }] },
      ledger: { all: () => [fact], latest: () => fact, first: () => undefined },
    } as unknown as ConstructorParameters<typeof Verifiers>[0],
    root,
  );
  const kept = { salt: octets(pin.body.salt), key: octets(pin.body.key), tag: octets(pin.body.tag) };
  assert.ok(await verifiers.isPin(pin.text, kept, pin.user ?? ''));
  assert.ok(await verifiers.isPin('GEHEIM7', kept, 'ada'));
  assert.not(await verifiers.isPin(pin.text, kept, 'eve'));
  assert.is(await verifiers.userOf(badge.text), 'ada');
  assert.is(await verifiers.userOf('04:a2:2e'), undefined);
});

test('a join token and an invitation read as what they say, and back', () => {
  for (const kind of ['node', 'user'] as const) {
    const { fields: [root, secret, site, expires, addresses, user], text } = vectors.joinToken[kind];
    const token = parseToken(text);
    const told = { kind, root: octets(root), secret: octets(secret), site, expires, addresses };
    assert.equal(token, user === undefined ? told : { ...told, user });
    assert.is(formatToken(token), text);
  }
});

test.run();
