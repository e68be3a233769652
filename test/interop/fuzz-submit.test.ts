/**
 * A hostile client at the submission ports of a real node: whatever it sends, no job comes of it, the process goes on,
 * stays small, and serves the next client. What is unusual and valid is taken as it was sent.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { files } from '../../src/datadir.ts';
import { encodeMessage } from '../../src/ipp/codec.ts';
import { keyword } from '../../src/ipp/message.ts';
import { operations } from '../../src/ipp/registry.ts';
import { readMessage } from '../../src/ipp/stream.ts';
import { printJob } from '../bench/ipp-client.ts';
import { type Organisation, startOrganisation } from '../e2e/organisation.ts';
import { plain, validPrintJob } from '../fakes/fuzz-ipp.ts';
import { chunked, post, postFramed } from '../fakes/fuzz-octets.ts';
import { type Hostile, hostile } from '../fakes/fuzz-requests.ts';
import { heldOn } from '../fakes/held.ts';
import { HostileClient } from '../fakes/hostile-client.ts';
import { MemoryDoor, serveDoor } from '../fakes/ipp-door.ts';
import { waitFor } from '../fakes/processes.ts';

const seed = Number(process.env['INKMESH_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const MiB = 1024 * 1024;
const target = 'a1';
const abreast = 8;
const batch = 64;
const plainBatches = 305;
const secureBatches = 10;
/** what envelopes may take at the node that is attacked: a bomb is over when it has filled this */
const quota_bytes = 32 * MiB;
/** of the process, above what it has after the first thousand requests */
const maxGrowthBytes = 256 * MiB;

/** Says what went wrong, and how to do it again: the octets of a whole batch are more than anybody reads. */
function report<Input>(out: fc.RunDetails<Input>): void {
  if (!out.failed) return;
  const { errorInstance: cause, counterexamplePath } = out;
  const reason = cause instanceof Error ? cause.stack : String(cause);
  throw new Error(`INKMESH_SEED=${seed}, run ${counterexamplePath}: ${reason}`, { cause });
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** @throws Error when an answer says that a job was accepted */
async function attack(clients: readonly HostileClient[], all: readonly Hostile[]): Promise<void> {
  const left = [...all];
  await Promise.all(clients.map(async (client) => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const status = await client.send(next);
      if (!next.refused || status === null || status >= 0x0400) continue;
      const octets = Buffer.from(next.octets.subarray(0, 4000)).toString('latin1');
      throw new Error(`${next.name} was accepted: ${JSON.stringify(octets)}`);
    }
  }));
}

async function run(printer: string, batches: number, after: () => void): Promise<void> {
  const clients = Array.from({ length: abreast }, () => new HostileClient(printer));
  const many = fc.array(hostile(printer, seed), { minLength: batch, maxLength: batch });
  try {
    // shrinking takes longer than looking at the octets that the error shows
    await fc.assert(
      fc.asyncProperty(many, async (all) => {
        await attack(clients, all);
        after();
      }),
      { seed, numRuns: batches, endOnFailure: true, reporter: report },
    );
  } finally {
    for (const client of clients) client.close();
  }
}

/** A document that takes far more than there is room for. */
async function bomb(printer: string): Promise<void> {
  const path = new URL(printer.replace(/^ipp/, 'http')).pathname;
  const zipped = gzipSync(new Uint8Array(512 * MiB), { level: 9 });
  const message = encodeMessage(plain(printer, operations['Print-Job'], [keyword('compression', 'gzip')]));
  const client = new HostileClient(printer);
  const octets = post(path, Buffer.concat([message, zipped]));
  for (let i = 0; i < 2; i++) {
    assert.ok(
      (await client.send({ name: 'bomb', octets, ends: 'whole', refused: true }) ?? 0xffff) >= 0x0400,
    );
  }
  client.close();
}

const envelopes = ({ dir }: { dir: string }) => readdirSync(join(dir, 'envelopes'));

/** @throws Error with what is wrong: nothing of any job may be left, on any node */
async function untilNothingIsLeft({ nodes }: Organisation): Promise<void> {
  await waitFor(() => nodes.every((node) => envelopes(node).length === 0) || undefined, {
    deadline_ms: 20_000,
    what: 'the pieces of refused jobs to be gone',
  });
  for (const { dir } of nodes) assert.equal(heldOn(dir), []);
}

test(`no request of a hostile client does harm (INKMESH_SEED=${seed})`, async () => {
  const organisation = await startOrganisation({ nodes: 3 });
  try {
    const node = organisation.node(target);
    const config = JSON.parse(readFileSync(files.config(node.dir), 'utf8')) as object;
    writeFileSync(files.config(node.dir), JSON.stringify({ ...config, storage: { quota_bytes } }));
    await organisation.restart(target);
    await organisation.connected();
    const [attacked, other] = [organisation.user('ada'), organisation.user('eve')];
    const resident = { first: 0, most: 0 };
    let batches = 0;
    const look = () => {
      const now = residentBytes(node.pid);
      if (++batches * batch <= 1000) resident.first = Math.max(resident.first, now);
      resident.most = Math.max(resident.most, now);
    };
    const start = performance.now();
    await run(attacked.print_uri_plain, plainBatches, look);
    await run(attacked.print_uri, secureBatches, look);
    await bomb(attacked.print_uri_plain);
    look();
    const took_s = (performance.now() - start) / 1000;
    const growth = (resident.most - resident.first) / MiB;
    console.log(`  ${batches * batch} requests in ${took_s.toFixed(0)} s, ${growth.toFixed(0)} MiB more`);
    assert.ok(growth * MiB < maxGrowthBytes, `the process has grown by ${growth.toFixed(0)} MiB`);
    await untilNothingIsLeft(organisation);
    const log = organisation.log(target);
    assert.not(/"level":"error"/.test(log), log.slice(-4000));
    await printJob(other.print_uri, new Uint8Array(50_000).fill(7));
    assert.equal(organisation.nodes.map(({ dir }) => heldOn(dir).length), [1, 1, 1]);
    // an unhandled rejection would have ended it, and another process would be there
    assert.is(residentBytes(node.pid) > 0, true);
  } finally {
    await organisation.stop();
  }
});

test(`what is valid is taken as it was sent, however unusual (INKMESH_SEED=${seed})`, async () => {
  const door = new MemoryDoor();
  const served = await serveDoor(door);
  const client = new HostileClient(served.uri);
  const { pathname } = new URL(served.uri.replace(/^ipp/, 'http'));
  const parts = fc.array(fc.nat(50), { maxLength: 60 });
  const document = fc.uint8Array({ minLength: 1, maxLength: 3000 });
  try {
    await fc.assert(
      fc.asyncProperty(validPrintJob(served.uri), document, parts, async (message, bytes, sizes) => {
        const encoded = encodeMessage(message);
        const whole = Buffer.concat([encoded, bytes]);
        const received = await readMessage(pieces(whole, sizes));
        assert.equal(Buffer.from(encodeMessage(received.message)), Buffer.from(encoded));
        const rest: Uint8Array[] = [];
        for await (const part of received.document) rest.push(part.slice());
        assert.equal(Buffer.concat(rest), Buffer.from(bytes));
        const octets = postFramed(pathname, chunked(whole, sizes));
        const status = await client.send({ name: 'valid', octets, ends: 'whole', refused: false });
        assert.ok(status !== null && status < 0x0400, `the status is ${status}`);
        assert.is(door.submitted.at(-1)?.sha256, createHash('sha256').update(bytes).digest('hex'));
      }),
      { seed, numRuns: 400, reporter: report },
    );
    assert.equal(served.logged, []);
  } finally {
    client.close();
    await served.close();
  }
});

async function* pieces(octets: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of [...sizes, octets.length]) {
    yield octets.subarray(at, at + size);
    at += size;
  }
}

test.run();
