import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { JobView } from '../../src/job.ts';
import type { Released } from '../../src/release/release.ts';
import { type Kept, spawnKept, waitFor } from '../fakes/processes.ts';
import { requireTools } from '../fakes/require.ts';
import { startSink } from '../fakes/sink.ts';
import { submitSlowly } from '../fakes/slow-client.ts';
import { makePdf, type Organisation, type OrganisationNode, startOrganisation } from './organisation.ts';
import { inState, jobsAt, nothingKept } from './remains.ts';
import {
  acceptFault,
  attached,
  between,
  isWalSync,
  parseTrace,
  storeFault,
  type SystemCall,
  traceProcess,
  traffic,
  voteFault,
} from './trace.ts';

/** A grant and the two certificates that come with it are longer, everything else of a release is shorter. */
const voteRequestBytes = 1000;

/** Runs `act` while every node is traced. */
async function traced(org: Organisation, act: () => Promise<void>): Promise<SystemCall[][]> {
  const tracers = await Promise.all(org.nodes.map(({ pid }) => traceProcess(pid)));
  await act();
  return await Promise.all(tracers.map((tracer) => tracer.stop()));
}

if (requireTools(['strace'])) {
  test('a client is told "accepted", and a claimant gets a vote, when it is on disk', async () => {
    const org = await startOrganisation({ nodes: 3 });
    const sink = await startSink();
    try {
      await org.addPrinter(sink.uri, 'raw');
      const [first] = org.nodes as [OrganisationNode];
      const stores = await traced(org, async () => {
        const client = await submitSlowly(org.user('ada').print_uri_plain, 'traced');
        for (let part = 0; part < 8; part++) await client.send(randomBytes(64 * 1024));
        assert.is(await client.finish(), 0);
      });
      const [accepting, ...others] = stores as [SystemCall[], SystemCall[], SystemCall[]];
      assert.is(acceptFault(accepting, stores, (own) => own === first.ports.http), '');
      for (const holder of others) assert.is(storeFault(holder, between(holder, accepting)), '');

      const [{ id }] = await jobsAt(org, 'a1') as [JobView];
      await inState(org, { node: 'a2', id, state: 'held' });
      const release = ['release', id, '--printer', 'raw', ...org.as('ada', 'a1')];
      const start_s = Date.now() / 1000;
      const votes = await traced(org, async () => {
        assert.is((await org.ink<Released>(release)).json.outcome, 'sent');
        await nothingKept(org);
      });
      const [claimant, ...holders] = votes as [SystemCall[], SystemCall[], SystemCall[]];
      for (const holder of holders) {
        const request = { after_s: start_s, requestBytes: voteRequestBytes };
        assert.is(voteFault(holder, between(holder, claimant), request), '');
      }
      expectBegunFirst(claimant, votes, Number(new URL(sink.uri).port));
      await waitFor(() => sink.documents[0], { deadline_ms: 30_000, what: 'the document' });
    } finally {
      await org.stop();
      await sink.stop();
    }
  });

  test('whenever a holder dies while it stores or seals, the job is accepted everywhere or nowhere', async () => {
    const org = await startOrganisation({ nodes: 3 });
    try {
      for (const nth of [1, 2, 3]) {
        const strace = await killAtSync(org.node('a3'), nth);
        const pdf = makePdf(64 * 1024);
        const { code, json } = await org.ink<{ id: string }>(['print', pdf.file, ...org.as('ada', 'a2')], {
          expectCode: null,
        });
        await waitFor(() => strace.exit(), { deadline_ms: 30_000, what: `sync ${nth} of a3` });
        org.node('a3').alive = false;
        await org.restart('a3');
        await org.connected();
        if (code === 0) {
          for (const { name } of org.nodes) await inState(org, { node: name, id: json.id, state: 'held' });
          await org.ink(['cancel', json.id, ...org.as('ada', 'a1')]);
        }
        await nothingKept(org);
        const live = async (node: string) =>
          (await jobsAt(org, node)).filter(({ state }) => state !== 'cancelled');
        for (const { name } of org.nodes) {
          assert.equal(await live(name), [], `${name}, sync ${nth}, exit ${code}`);
        }
      }
    } finally {
      await org.stop();
    }
  });
}

/** Kills a node in its nth sync of the database from now on; the strace that does it ends then. */
async function killAtSync(node: OrganisationNode, nth: number): Promise<Kept> {
  const inject = `inject=fsync,fdatasync:signal=SIGKILL:when=${nth}`;
  const of = ['-f', '-P', join(node.dir, 'state.sqlite-wal'), '-e', 'trace=fsync,fdatasync', '-e', inject];
  const strace = spawnKept('strace', [...of, '-p', String(node.pid)]);
  await attached(strace);
  return strace;
}

/** The vote and the begin are two syncs; the claimant's own row of the claim is one more before each. */
function expectBegunFirst(claimant: SystemCall[], nodes: SystemCall[][], printer: number): void {
  const [firstByte] = traffic(claimant, 'to', (_, other) => other === printer);
  assert.ok(firstByte, 'something went to the printer');
  const synced = (calls: SystemCall[]) =>
    calls.filter((call) => isWalSync(call) && call.end_s <= firstByte.start_s).length;
  assert.ok(synced(claimant) >= 2, 'the claimant knows that it begins');
  assert.ok(nodes.filter((calls) => synced(calls) >= 2).length >= 2, 'a quorum has the begin');
}

// Controls: what the checks above must not let pass.

const envelope = '/d/a2/envelopes/0b0e8a1e-3d0f-4c2b-9f0a-1f2e3d4c5b6a';
const steps = {
  data: `9 T pwrite64(32<${envelope}.part>, "inkmesh"..., 99, 0) = 99 <0.000010>`,
  // another thread's call comes between its two lines
  syncEnvelope:
    `8 T fsync(32<${envelope}.part> <unfinished ...>\n9 T write(4<anon_inode:[eventfd]>, "\\1", 8) = 8 <0.000010>\n` +
    `8 T <... fsync resumed>) = 0 <0.000050>`,
  rename: `8 T rename("${envelope}.part", "${envelope}") = 0 <0.000010>`,
  syncDirectory: '7 T fsync(33</d/a2/envelopes>) = 0 <0.000010>',
  writePiece: '9 T pwrite64(24</d/a2/state.sqlite-wal>, "\\0"..., 4096, 56) = 4096 <0.000010>',
  syncPiece: '9 T fdatasync(24</d/a2/state.sqlite-wal>) = 0 <0.000010>',
  window:
    '9 T sendto(30<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\\0"..., 54, MSG_NOSIGNAL, NULL, 0) = 54 <0.000010>',
  answer:
    '9 T sendto(30<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\\0"..., 58, MSG_NOSIGNAL, NULL, 0) = 58 <0.000010>',
  request:
    '9 T recvfrom(30<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\\0"..., 65536, 0, NULL, NULL) = 1542 <0.000010>',
  seal: '9 T fsync(24</d/a2/state.sqlite-wal>) = 0 <0.000010>',
  accepted:
    '9 T sendto(31<TCP:[127.0.0.1:80->127.0.0.1:3]>, "HTTP/1.1 200 OK\\r"..., 200, 0, NULL, 0) = 200 <0.000010>',
};
type Step = keyof typeof steps;

/** A trace of these steps, a millisecond apart. */
function made(...order: Step[]): SystemCall[] {
  let at = 0;
  const time = () => `1000.${String(at++).padStart(3, '0')}000`;
  return parseTrace(
    order.map((step) => steps[step]).join('\n').replaceAll(
      /^(\d) T /gm,
      (_, thread) => `${thread} ${time()} `,
    ),
  );
}

const durable = [
  'data',
  'window',
  'syncEnvelope',
  'rename',
  'syncDirectory',
  'writePiece',
  'syncPiece',
] as const;
const isPeer = (own: number, other: number) => own === 1 && other === 2;
const isClient = (own: number) => own === 80;

test('the check of stores finds an answer that comes too early, and a step that is missing', () => {
  assert.is(storeFault(made(...durable, 'answer'), isPeer), '');
  for (let at = 1; at < durable.length; at++) {
    const early = [...durable.slice(0, at), 'answer', ...durable.slice(at)] as Step[];
    assert.match(
      storeFault(made(...early), isPeer),
      'told before it was durable',
      `after ${durable[at - 1]}`,
    );
  }
  for (const step of durable.filter((step) => step !== 'window')) {
    const without = durable.filter((other) => other !== step);
    assert.match(storeFault(made(...without, 'answer'), isPeer), 'missing', step);
  }
  assert.match(
    storeFault(
      made('data', 'rename', 'syncEnvelope', 'syncDirectory', 'writePiece', 'syncPiece', 'answer'),
      isPeer,
    ),
    'missing',
  );
  assert.match(storeFault(made(...durable, 'window'), isPeer), 'missing: an answer');
});

test('the check of acceptance finds an answer before any holder has piece and job fact', () => {
  const holder = made(...durable, 'answer', 'seal');
  const accepting = made(...durable, 'seal', 'window', 'window', 'window', 'accepted');
  assert.is(acceptFault(accepting, [accepting, holder, holder], isClient), '');
  const early = made(...durable, 'accepted', 'seal');
  assert.match(acceptFault(early, [early, holder, holder], isClient), 'holder 0: accepted before');
  const late = made('window', 'window', 'window', 'window', 'window', ...durable, 'answer', 'seal');
  assert.match(acceptFault(accepting, [accepting, holder, late], isClient), 'holder 2: accepted before');
  assert.match(
    acceptFault(accepting, [accepting, made(...durable, 'answer'), holder], isClient),
    'holder 1: accepted before',
  );
  assert.match(acceptFault(accepting, [accepting, made('data'), holder], isClient), 'holder 1: missing');
});

test('the check of votes finds one that goes out before it is on disk', () => {
  const request = { after_s: 0, requestBytes: voteRequestBytes };
  assert.is(voteFault(made('request', 'window', 'writePiece', 'syncPiece', 'answer'), isPeer, request), '');
  const early = made('request', 'writePiece', 'answer', 'syncPiece');
  assert.match(voteFault(early, isPeer, request), 'voted before it was durable');
  assert.match(
    voteFault(made('syncPiece', 'request', 'answer'), isPeer, request),
    'voted before it was durable',
  );
});

test.run();
