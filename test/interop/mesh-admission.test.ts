import { randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { createRequest, generateKeys } from '../../mesh/authority.ts';
import { decode, encode } from '../../mesh/codec.ts';
import { headerBytes } from '../../mesh/envelope.ts';
import type { Stream } from '@libp2p/interface';
import { newSecret } from '../../mesh/token.ts';
import { newJobId } from '../../mesh/job-id.ts';
import { shareBytes } from '../../mesh/shares.ts';
import {
  age_ms,
  certifiedNode,
  type FakeMesh,
  type FakeNode,
  grantOf,
  type NodeKeys,
  patience_ms,
  prints,
  startMesh,
  store,
  type Stored,
  user,
} from '../fakes/mesh.ts';
import { fakeAuthority, fakeUser } from '../fakes/organisation.ts';
import { waitFor } from '../fakes/processes.ts';
import { answerTo, anyMethod, type Rogue, startInsider, startRogue, withRogue } from '../fakes/rogue.ts';

const hour_ms = 3600_000;
const day_ms = 24 * hour_ms;

/** Served to anyone: enrolment gives nothing without a token, hello and renewal nothing without a certificate. */
const open = ['enrol', 'enrol-offer', 'hello', 'renew'];

const answerSchema = v.looseObject({
  error: v.optional(v.looseObject({ code: v.string(), message: v.string() })),
});

let mesh: FakeMesh;
let registrar: FakeNode;
let job: Stored;

test.before(async () => {
  mesh = await startMesh(3);
  [registrar] = mesh.nodes as [FakeNode];
  job = await store(mesh, registrar, { owner: await user(mesh, 'ada') });
});

test.after(async () => await mesh.stop());

/** For every method a request that a member would get an answer to which tells something, or does something. */
async function requests(peer: string): Promise<Record<string, unknown>> {
  const claimId = `${peer}/${crypto.randomUUID()}`;
  const about = { job: job.id, epoch: 1, claim: claimId };
  return {
    hello: { leaf: randomBytes(500), issuers: [], time_ms: Date.now(), addresses: [] },
    beat: {},
    probe: {},
    renew: { leaf: randomBytes(500), issuers: [] },
    'renew-device': { proof: 'AAAA' },
    appoint: {
      sealed: randomBytes(500),
      certificates: {
        leaf: randomBytes(500),
        issuers: [],
        tls: { leaf: randomBytes(500), issuer: randomBytes(500) },
      },
    },
    'enrol-offer': {},
    enrol: {
      secret: newSecret(),
      request: await createRequest(await generateKeys()),
      subject: { kind: 'node', name: 'mallory', addresses: [] },
    },
    'enrol-browser': {
      ...{ secret: newSecret(), request: await createRequest(await generateKeys()) },
      ...{ device: crypto.randomUUID(), tokenHash: randomBytes(32), origin: 'inkmesh-a.local' },
    },
    digests: { docs: [] },
    announce: ['directory', new Uint8Array([0]), new Uint8Array(0)],
    pull: ['directory', new Uint8Array([0]), true],
    buckets: { doc: 'directory' },
    ids: { doc: 'directory', buckets: new Uint8Array([0]) },
    records: { doc: 'directory', ids: new Uint8Array(16) },
    store: {
      ...{ job: newJobId(peer), epoch: 1, owner: 'mallory', submitter: null },
      ...{ ticket: new Uint8Array([1]), share: new Uint8Array(shareBytes) },
    },
    seal: { job: job.id, fact: randomBytes(100), handoff: null },
    handoff: {
      ...{ job: job.id, submitter: null, ticket: new Uint8Array([1]), age_ms: 0 },
      ...{ handoff: randomBytes(200), fact: randomBytes(100) },
    },
    abandon: { job: job.id },
    find: { job: job.id, proof: 'AAAA', fence: true, over: false },
    source: { token: randomBytes(32) },
    vote: { ...about, permission: { grant: await grantOf(job, { claimant: peer }) } },
    begin: about,
    yield: about,
    settle: { job: job.id, fact: randomBytes(100) },
    fetch: { job: job.id, claim: claimId, offset: 0 },
    view: { proof: 'AAAA' },
    'pass-on': { method: 'GET', path: '/v1/jobs', authorization: 'AAAA', body: new Uint8Array(0) },
  };
}

const frame = (length: number) => {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length);
  return prefix;
};

const framed = (octets: Uint8Array) => Buffer.concat([frame(octets.length), octets]);

/** What the octets of an answer tell: `CODE: MESSAGE` of a refusal, or `answered`, or `nothing`. */
async function toldBy(answer: Promise<Buffer>): Promise<string> {
  const octets = await answer;
  if (octets.length === 0) return 'nothing';
  assert.is(octets.length, 4 + octets.readUInt32BE(0), 'one frame and nothing behind it');
  const { error } = decode(answerSchema, octets.subarray(4));
  return error === undefined ? 'answered' : `${error.code}: ${error.message}`;
}

/** The protocols of ours that a node serves. */
async function ours(rogue: Rogue, node: FakeNode): Promise<string[]> {
  return (await rogue.protocols(node)).filter((protocol) => protocol.startsWith('/inkmesh/'));
}

/** What a peer gets from every method that a node has, with a request in good form and with octets at random. */
async function tryAll(rogue: Rogue, node: FakeNode): Promise<Record<string, string[]>> {
  const known = await requests(rogue.peer);
  const answers: Record<string, string[]> = {};
  for (const protocol of await ours(rogue, node)) {
    const [, name = ''] = /^\/inkmesh\/([a-z-]+)\/1$/.exec(protocol) ?? [];
    if (!(name in known)) throw new Error(`${protocol}: this test has no request for it`);
    const request = encode(known[name]);
    const body = name === 'store'
      ? [framed(new Uint8Array(headerBytes + 16)), framed(new Uint8Array(0))]
      : [];
    answers[name] = [
      await toldBy(rogue.send(node, protocol, Buffer.concat([framed(request), ...body]))),
      await toldBy(rogue.send(node, protocol, framed(randomBytes(64)))),
    ];
  }
  return answers;
}

/** What a method that is open to anyone answers somebody who has no right to anything. */
function told(name: string, isRegistrar: boolean): RegExp {
  if (name === 'hello') return /^unauthenticated: /;
  if (!isRegistrar) return /^unavailable: .*no registrar/;
  return name === 'enrol-offer' ? /^answered$/ : /^unauthenticated: /;
}

/** Nothing but hello and enrolment answers, and these say nothing but who the registrar is. */
async function getsNothing(rogue: Rogue): Promise<void> {
  const before = registrar.state.pieces.get(job.id);
  for (const node of mesh.nodes) {
    const answers = await tryAll(rogue, node);
    for (const [name, [formed = '', garbled = '']] of Object.entries(answers)) {
      if (open.includes(name)) {
        assert.match(garbled, /^bad-request: /, `${name} with garbage`);
        assert.match(formed, told(name, node === registrar), name);
      } else {
        for (const answer of [formed, garbled]) {
          assert.match(answer, /^nothing$|^forbidden: .*say hello/, `${name}: ${answer}`);
        }
      }
    }
    assert.ok(Object.keys(answers).length >= 12);
  }
  assert.equal(registrar.state.pieces.get(job.id), before);
  assert.is(registrar.state.pieces.list().length, 1);
}

/** A job goes through while whatever the test has done goes on. */
async function worksOn(): Promise<void> {
  await mesh.connected();
  await prints(await store(mesh, mesh.nodes[1]!, { owner: job.owner }), mesh.nodes[2]!);
}

test('the requests of this test are such that a member is answered', async () => {
  const keys = await certifiedNode(mesh.authority, { name: 'insider' });
  await withRogue(await startInsider(keys, mesh.nodes), async (insider) => {
    const known = await requests(insider.peer);
    const answer = async (name: string) => await answerTo(insider.call(registrar, name, known[name]));
    for (const name of ['digests', 'announce', 'pull', 'buckets', 'ids', 'records']) {
      assert.is(await answer(name), 'answered', name);
    }
    assert.is(await answer('vote'), 'answered');
    assert.is(await answer('fetch'), 'answered');
    assert.is(await answer('begin'), 'answered');
    assert.is(await answer('yield'), 'answered');
    assert.match(await answer('abandon'), /^forbidden: this job is not yours/);
  });
});

test('a peer without a certificate gets nothing from any protocol', async () => {
  await withRogue(await startRogue(), getsNothing);
});

test('the registrar tells a stranger its certificates, and nothing else', async () => {
  await withRogue(await startRogue(), async (rogue) => {
    const offer = await rogue.call(registrar, 'enrol-offer', {}) as Record<string, unknown>;
    assert.equal(Object.keys(offer).sort(), ['issuers', 'leaf', 'root']);
    assert.match(await answerTo(rogue.call(mesh.nodes[1]!, 'enrol-offer', {})), /^unavailable: /);
  });
});

interface Impostor {
  name: string;
  /** @returns the rogue and what hello answers it */
  hello(): Promise<[Rogue, (node: FakeNode) => Promise<unknown>]>;
  refusal: RegExp;
}

const asNode = async (keys: NodeKeys, time_ms?: number): ReturnType<Impostor['hello']> => {
  const rogue = await startRogue({ hostKey: keys.hostKey });
  return [rogue, (node) => rogue.hello(node, keys, time_ms)];
};

const impostors: Impostor[] = [
  {
    name: 'a certificate of another organisation',
    hello: async () => {
      const other = await fakeAuthority('Other works', Date.now());
      return asNode(await certifiedNode(other, { name: 'a2' }));
    },
    refusal: /did not come along|does not belong to the organisation/,
  },
  {
    name: 'a certificate of an organisation of the same name',
    hello: async () => {
      const other = await fakeAuthority('Test works', Date.now());
      return asNode(await certifiedNode(other, { name: 'a2' }));
    },
    refusal: /did not come along|does not belong to the organisation/,
  },
  {
    name: 'the certificate of another node',
    hello: async () => {
      const rogue = await startRogue();
      return [rogue, (node) => rogue.hello(node, mesh.nodes[1]!.keys)];
    },
    refusal: /not that of the node that sent it/,
  },
  {
    name: "a user's certificate",
    hello: async () => {
      const rogue = await startRogue();
      const { certificate, issuers } = await fakeUser(mesh.authority, 'ada', Date.now(), ['admin']);
      const said = { leaf: certificate, issuers, time_ms: Date.now(), addresses: [] };
      return [rogue, (node) => rogue.call(node, 'hello', said)];
    },
    refusal: /not that of the node that sent it/,
  },
  {
    name: 'a certificate that has expired',
    hello: async () =>
      asNode(await certifiedNode(mesh.authority, { name: 'a9' }, Date.now() - age_ms + hour_ms)),
    refusal: /expired at/,
  },
  {
    name: 'a clock that is two days behind',
    hello: async () => asNode(await certifiedNode(mesh.authority, { name: 'a9' }), Date.now() - 2 * day_ms),
    refusal: /clocks are -48 h apart/,
  },
  {
    name: 'a clock that is two days ahead',
    hello: async () => asNode(await certifiedNode(mesh.authority, { name: 'a9' }), Date.now() + 2 * day_ms),
    refusal: /clocks are 48 h apart/,
  },
];

for (const { name, hello, refusal } of impostors) {
  test(`a peer with ${name} is refused, and gets nothing`, async () => {
    const [rogue, greet] = await hello();
    await withRogue(rogue, async () => {
      for (const node of mesh.nodes) {
        const answer = await answerTo(greet(node));
        assert.match(answer, /^unauthenticated: /);
        assert.match(answer, refusal);
        assert.not(node.mesh.members().some(({ identity }) => identity.peerId === rogue.peer));
      }
      await getsNothing(rogue);
    });
  });
}

test('a node that dials a stranger says who it is, and does not take it for a member', async () => {
  const other = await fakeAuthority('Other works', Date.now());
  const keys = await certifiedNode(other, { name: 'b1' });
  const rogue = await startRogue({ hostKey: keys.hostKey, listen: true });
  const heard: object[] = [];
  const { identity, issuers } = keys;
  await rogue.rpc.handle(anyMethod('hello'), ({ request }) => {
    heard.push(request as object);
    return Promise.resolve({ reply: { leaf: identity.der, issuers, time_ms: Date.now(), addresses: [] } });
  });
  await withRogue(rogue, async () => {
    const node = await mesh.add('a9', { peers: [registrar.address, rogue.address ?? ''] });
    try {
      await waitFor(() => heard[0], { deadline_ms: patience_ms, what: 'the node to greet the stranger' });
      const refused = () =>
        node.logged.some((line) => line.includes('not admitted') && line.includes(rogue.peer));
      await waitFor(() => refused() || undefined, {
        deadline_ms: patience_ms,
        what: 'the refusal in the log',
      });
      assert.not(node.mesh.members().some((member) => member.identity.peerId === rogue.peer));
      for (const said of heard) {
        assert.equal(Object.keys(said).sort(), ['addresses', 'issuers', 'leaf', 'time_ms']);
      }
    } finally {
      await mesh.drop(node);
    }
  });
});

test('libp2p itself serves nothing but the far end of a relay', async () => {
  await withRogue(await startRogue(), async (rogue) => {
    const all = await rogue.protocols(registrar);
    const foreign = all.filter((protocol) => !protocol.startsWith('/inkmesh/'));
    assert.equal(foreign, ['/libp2p/circuit/relay/0.2.0/stop']);
  });
});

/** Resolves when the node has ended a stream. */
async function untilEnded(stream: Stream, deadline_ms = patience_ms): Promise<void> {
  const ended = () => stream.status !== 'open' || stream.remoteWriteStatus !== 'writable';
  await waitFor(() => ended() || undefined, { deadline_ms, what: 'the node to end the stream' });
}

test('frames that are too large, or of the wrong length, are refused, and cost nothing else', async () => {
  await withRogue(await startRogue(), async (rogue) => {
    const wrong = [frame(0xffffffff), frame(64 * 1024 + 1), frame(0), framed(randomBytes(5))];
    for (const protocol of await ours(rogue, registrar)) {
      for (const octets of wrong) {
        const told = await toldBy(rogue.send(registrar, protocol, octets));
        const refused = /^nothing$|^forbidden: |^too-large: |^bad-request: /;
        if (protocol !== '/inkmesh/enrol-offer/1') assert.match(told, refused, protocol);
      }
    }
  });
  await worksOn();
});

test('requests that break off are forgotten', async () => {
  const rogue = await startRogue();
  const hello = await rogue.stream(registrar, '/inkmesh/hello/1');
  hello.send(Buffer.concat([frame(1000), randomBytes(10)]));
  await hello.close();
  await untilEnded(hello);
  const half = await rogue.stream(registrar, '/inkmesh/hello/1');
  half.send(frame(1000).subarray(0, 2));
  await rogue.stop();
  await worksOn();
});

test('a member that sends nonsense is refused, and costs nothing else', async () => {
  const keys = await certifiedNode(mesh.authority, { name: 'noise' });
  await withRogue(await startInsider(keys, mesh.nodes), async (insider) => {
    for (const protocol of await ours(insider, registrar)) {
      const name = protocol.split('/')[2] ?? '';
      assert.match(await answerTo(insider.call(registrar, name, randomBytes(64))), /^bad-request: /, name);
      const stream = await insider.stream(registrar, protocol);
      stream.send(frame(0xffffffff));
      await untilEnded(stream);
    }
  });
  await worksOn();
});

test.run();
