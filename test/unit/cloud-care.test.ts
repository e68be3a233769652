/** How a cloud node stops, what its trail catches up on, when it takes new certificates, and what a user may pass on. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { refuseMismatch } from '../../cloud/certificate.ts';
import { CloudDb } from '../../cloud/db.ts';
import { drain } from '../../cloud/drain.ts';
import { Trail } from '../../cloud/trail.ts';
import type { Fact, Mesh, UserIdentity } from '../../mesh/mod.ts';
import type { AuditEntry } from '../../src/audit.ts';
import { answersOf, refuseUnpassable } from '../../src/api/passed.ts';
import { selfSigned } from '../fakes/certificate.ts';
import { fakePeer, refusalOf } from '../fakes/organisation.ts';
import { tempDir } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';

const KiB = 1024;

/** Something that stops, with circuits on which so many octets have passed at each look. */
function stopping(looks: readonly number[], working: readonly number[] = []) {
  const told: string[] = [];
  let [look, asked] = [0, 0];
  const parts = {
    mesh: {
      relayed: () => ({
        circuits: 40,
        bySite: new Map([['a', { in: looks[look] ?? looks.at(-1) ?? 0, out: 0 }]]),
      }),
      stopRelaying: () => void told.push('no circuits'),
    } as unknown as Mesh,
    door: { close: () => void told.push('no sockets') },
    bounds: {
      get working() {
        look++;
        return working[asked++] ?? 0;
      },
      close: () => void told.push('no requests'),
    },
    unready: () => void told.push('not ready'),
  };
  return { parts, told };
}

test('a stopping cloud node says so first, and does not wait for connections on which nothing happens', async () => {
  const { parts, told } = stopping([5000, 5000, 5100, 5200]);
  const from_ms = performance.now();
  await drain(parts, 3000);
  const took_ms = performance.now() - from_ms;
  assert.equal(told, ['not ready', 'no circuits', 'no sockets', 'no requests']);
  assert.ok(took_ms >= 290, `it goes on for a moment, and did for ${took_ms} ms`);
  assert.ok(took_ms < 2500, `40 idle circuits took ${took_ms} ms`);
  await drain(stopping([5000]).parts, 0);
});

test('a transfer and a request are waited for', async () => {
  // the loop asks for `working` only where nothing passes
  const busy = stopping([0], [1, 1, 0]);
  const from_ms = performance.now();
  await drain(busy.parts, 10_000);
  assert.ok(performance.now() - from_ms >= 2 * 500, 'until it is answered');
  let passed = 0;
  let ends = 3;
  const moving = stopping([0]);
  moving.parts.mesh = {
    relayed: () => {
      if (ends > 0) passed += 512 * KiB;
      ends--;
      return { circuits: 1, bySite: new Map([['a', { in: passed, out: 0 }]]) };
    },
    stopRelaying: () => {},
  } as unknown as Mesh;
  await drain(moving.parts, 20_000);
  assert.ok(ends < 0, 'until nothing moves');
});

const boss = { user: 'boss' } as UserIdentity;
const decision = (seq: number, relay: boolean): Fact => ({
  ...{
    doc: 'directory',
    author: fakePeer('R'),
    seq,
    kind: 'site',
    subject: 'b',
    time_ms: 1000 * seq,
    body: { relay },
  },
});

function trailOf(db: CloudDb, facts: readonly Fact[]) {
  const refused: AuditEntry[] = [];
  const heard: ((fact: Fact) => void)[] = [];
  const about = (kind: string) => facts.filter((fact) => fact.kind === kind);
  const ledger = {
    onFact: (listener: (fact: Fact) => void) => void heard.push(listener),
    all: (kind: string) => about(kind).slice(-1),
    about,
  };
  const trail = new Trail({
    mesh: { ledger, nameOf: () => 'a1' } as unknown as Mesh,
    ...{ db, log: () => {} },
    audit: { list: () => [], record: (entry) => void refused.push(entry) },
  });
  return { trail, refused, hear: (fact: Fact) => heard.forEach((listener) => listener(fact)) };
}

test('each decision is in the trail once, at its own time, whenever the node has heard of it', () => {
  const dir = tempDir();
  const db = new CloudDb(dir);
  const [off, on] = [decision(1, false), decision(2, true)];
  const first = trailOf(db, []);
  first.hear(on);
  first.hear(on);
  db.close();
  const again = new CloudDb(dir);
  const { trail } = trailOf(again, [off, on]);
  assert.equal(
    trail.operators(10).map(({ at, detail }) => [at, detail]),
    [
      ['1970-01-01T00:00:02.000Z', 'site b: relay true; stated by a1'],
      ['1970-01-01T00:00:01.000Z', 'site b: relay false; stated by a1'],
    ],
  );
  again.close();
});

test('a request of an operator is in the trail before it goes, and what was refused is not', () => {
  const db = new CloudDb(tempDir());
  const { trail, refused } = trailOf(db, []);
  const details = () => trail.operators(10).map(({ detail }) => detail);
  const asked = { method: 'POST', path: '/v1/sites/b' };
  const answered = trail.passes(boss, asked);
  assert.equal(details(), ['POST /v1/sites/b: passed on']);
  answered(200);
  assert.equal(details()[0], 'POST /v1/sites/b: done');
  trail.passes(boss, asked)(403);
  assert.is(details().length, 3);
  assert.equal(refused.map(({ who, detail }) => [who, detail]), [[
    'boss',
    'POST /v1/sites/b: refused with 403',
  ]]);
  trail.passes(boss, { method: 'POST', path: '/v1/jobs/1/release' })(200);
  assert.is(details().length, 3, 'users’ releases are no matter of it');
  db.close();
});

if (requireTools(['openssl'])) {
  test('a certificate is taken into use with its own key alone', async () => {
    const [one, other] = [selfSigned(), selfSigned()];
    refuseMismatch(one);
    assert.match(
      await refusalOf(() => refuseMismatch({ key: one.key, cert: other.cert })),
      /^conflict/,
    );
    assert.match(await refusalOf(() => refuseMismatch({ key: '', cert: other.cert })), /^conflict/);
  });
}

test('a path that leads elsewhere is not passed on', async () => {
  refuseUnpassable({ method: 'GET', path: '/v1/directory/nodes?site=a' });
  for (
    const path of [
      '/v1/directory/../audit',
      '/v1/directory/%2e%2e/audit',
      '/v1/directory/.%2E/users',
      '/v1/directory/x/../../status',
      '/v1/directory/./nodes',
      '//v1/directory/nodes',
    ]
  ) assert.match(await refusalOf(() => refuseUnpassable({ method: 'GET', path })), /^forbidden/, path);
});

test('a node knows by whom a request was passed on', async () => {
  const seen: unknown[] = [];
  const answers = answersOf({
    fetch: (_request, env) => {
      seen.push((env as { incoming: { socket: { remoteAddress: string } } }).incoming.socket.remoteAddress);
      return new Response('{}');
    },
  });
  const request = {
    method: 'GET',
    path: '/v1/directory/nodes',
    authorization: 'x',
    body: new Uint8Array(0),
  } as const;
  await answers(request, fakePeer('C'));
  assert.equal(seen, [fakePeer('C')]);
});

test.run();
