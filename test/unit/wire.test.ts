/** mesh/WIRE.md says what the code does: every method, kind of fact, message and limit of one is in the other. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type * as v from 'valibot';
import { codes } from '../../mesh/errors.ts';
import type { Kind } from '../../mesh/facts.ts';
import { serveLead } from '../../mesh/lead.ts';
import { maxMessageBytes, maxStreamsBeforeAdmission, maxStreamsPerMethod } from '../../mesh/limits.ts';
import { openMesh } from '../../mesh/mod.ts';
import { type Method, Rpc } from '../../mesh/rpc.ts';
import { systemClock } from '../../src/clock.ts';
import { directoryKinds } from '../../src/directory.ts';
import { storageLimits } from '../../src/limits.ts';
import { openSpool } from '../../src/spool.ts';
import { State } from '../../src/state.ts';
import { certifiedNode } from '../fakes/mesh.ts';
import { fakeAuthority } from '../fakes/organisation.ts';
import { canonical, cddlOf, readRules } from '../fakes/cddl.ts';
import { tempDir } from '../fakes/processes.ts';
import { deafTransport } from '../fakes/transport.ts';

const page = readFileSync(new URL('../../mesh/WIRE.md', import.meta.url), 'utf8');

type AnyMethod = Method<v.GenericSchema, v.GenericSchema>;

/** What a node serves, and the kinds that it judges by, as it sets itself up. */
async function ofNode(): Promise<{ methods: AnyMethod[]; kinds: Kind[] }> {
  const authority = await fakeAuthority('Test works', Date.now());
  const keys = await certifiedNode(authority, { name: 'a1' });
  const { identity } = keys;
  const methods: AnyMethod[] = [];
  const handle = Rpc.prototype.handle;
  Rpc.prototype.handle = function (method) {
    methods.push(method as unknown as AnyMethod);
    return Promise.resolve();
  };
  const dir = tempDir();
  const storage = new State(dir);
  try {
    const mesh = await openMesh({
      ...{ ...keys, storage, trust: authority.trust, peers: [], clock: systemClock, log: () => {} },
      transport: deafTransport(identity.peerId),
      spool: await openSpool(dir, storageLimits),
      kinds: directoryKinds,
      authority: undefined,
      keeper: { certificates: () => Promise.resolve(), authority: () => Promise.resolve() },
      askLapsed: () => Promise.reject(new Error('nobody to ask')),
    });
    const { kinds } = mesh.ledger as unknown as { kinds: ReadonlyMap<string, Kind> };
    await mesh.close();
    // a cloud node's
    await serveLead(new Rpc(deafTransport(identity.peerId), systemClock, () => {}), () => []);
    return { methods, kinds: [...kinds.values()] };
  } finally {
    Rpc.prototype.handle = handle;
    storage.close();
  }
}

/** The rows of all tables whose first column is called `first`, cell by cell. */
function rows(first: string): string[][] {
  const lines = page.split('\n');
  const cells = (line: string) => line.split('|').slice(1, -1).map((cell) => cell.trim());
  return lines.flatMap((line, at) => {
    if (cells(line)[0] !== first) return [];
    const end = lines.findIndex((other, i) => i > at && !other.startsWith('|'));
    return lines.slice(at + 2, end).map(cells);
  });
}

const named = (cell = '') => /^`([a-z-]+)`$/.exec(cell)?.[1] ?? `not a name: ${cell}`;

const cddl = readRules(page);

const { methods, kinds } = await ofNode();

test('every method is on the page once, and no other', () => {
  const told = rows('method').map(([cell]) => named(cell)).sort();
  assert.equal(told, methods.map(({ name }) => name).sort());
  assert.ok(told.length > 20, 'the tables were found');
});

test('who may call a method, and its limits, are as the page says', () => {
  for (const [cell, who = '', octets = '', streams = ''] of rows('method')) {
    const method = methods.find(({ name }) => name === named(cell));
    assert.ok(method, cell);
    assert.is(
      who.startsWith('anyone') ? 'anyone' : who.startsWith('members') ? 'member' : who,
      method.admission,
    );
    const bytes = octets === '' ? [maxMessageBytes] : octets.replaceAll(',', '').split(' / ').map(Number);
    assert.is(bytes[0], method.maxBytes ?? maxMessageBytes, `${cell}: octets`);
    assert.is(bytes.at(-1), method.maxReplyBytes ?? bytes[0], `${cell}: octets of a reply`);
    const usual = method.admission === 'anyone' ? maxStreamsBeforeAdmission : maxStreamsPerMethod;
    assert.is(streams === '' ? usual : Number(streams), method.maxStreams ?? usual, `${cell}: streams`);
  }
});

test('requests and replies are of the types and bounds that the page says', () => {
  for (const { name, request, reply } of methods) {
    assert.is(canonical(cddl, `${name}-request`), cddlOf(request), name);
    assert.is(canonical(cddl, `${name}-reply`), cddlOf(reply), name);
  }
});

test('every kind of fact is on the page once, and no other, with the types and bounds of its body', () => {
  const told = rows('kind').map(([cell]) => named(cell)).sort();
  assert.equal(told, kinds.map(({ name }) => name).sort());
  for (const { name, body } of kinds) assert.is(canonical(cddl, `${name}-body`), cddlOf(body), name);
});

test('the codes of errors are those of the page', () => {
  assert.equal(rows('code').map(([cell]) => named(cell)), [...codes]);
  assert.equal([...cddl.get('code')?.matchAll(/"([^"]*)"/g) ?? []].map(([, code]) => code), [...codes]);
});

test('every rule of the CDDL is used, and every name in it is one', () => {
  const prelude = ['bstr', 'tstr', 'bool', 'null', 'any', 'size', 'A', 'B', 'N'];
  const used = new Set<string>();
  for (const [rule, text] of cddl) {
    const bare = text.replace(/"[^"]*"/g, '').replace(/(?:\? )?[A-Za-z_0-9-]+:(?= )/g, '').replace(
      /<[^a-z]*>/g,
      '',
    );
    for (const [name] of bare.matchAll(/[A-Za-z][A-Za-z-]*/g)) {
      used.add(name);
      assert.ok(prelude.includes(name) || cddl.has(name), `${rule} uses ${name}`);
    }
  }
  const starts = /-(?:request|reply|body)$/;
  const roots = [
    'reply',
    'user-signed',
    'record',
    'payload',
    'receipt',
    'grant',
    'request',
    'voucher',
    'view',
    'join-token',
    'invitation',
  ];
  const idle = [...cddl.keys()].filter((name) =>
    !used.has(name) && !starts.test(name) && !roots.includes(name)
  );
  assert.equal(idle, []);
});

test.run();
