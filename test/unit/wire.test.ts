/** mesh/WIRE.md says what the code does: every method, kind of fact, message and limit of one is in the other. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type * as v from 'valibot';
import { codes } from '../../mesh/errors.ts';
import type { Kind } from '../../mesh/facts.ts';
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

/** The CDDL of the page without comments, by the name of each rule. */
function rules(): Map<string, string> {
  const blocks = [...page.matchAll(/^```cddl\n(.*?)^```/gms)].map(([, block = '']) => block);
  const text = blocks.join('\n').replace(/;.*$/gm, '');
  const starts = [...text.matchAll(/^([a-z][a-z-]*)(?:<[^>]*>)? = /gm)];
  return new Map(starts.map((start, i) => [
    start[1] ?? '',
    text.slice(start.index + start[0].length, starts[i + 1]?.index).trim(),
  ]));
}

const cddl = rules();

/** What a rule's message is made of: its keys, those that are optional with a '?'. */
function keysOf(rule: string): string[] {
  const text = cddl.get(rule);
  if (text === undefined) return [`there is no rule ${rule}`];
  const body = /^[{[](.*)[}\]]$/s.exec(text)?.[1];
  if (body === undefined) return keysOf(text);
  const outer = innermost(body);
  return [...outer.matchAll(/(\? )?([A-Za-z_0-9]+):/g)].map(([, optional, key]) =>
    key + (optional ? '?' : '')
  )
    .sort();
}

/** Without what is nested in it. */
function innermost(text: string): string {
  const outer = text.replace(/[{[(<][^{}[\]()<>]*[}\])>]/g, '');
  return outer === text ? text : innermost(outer);
}

interface Shape {
  type: string;
  entries?: Record<string, Shape>;
  options?: Shape[];
  pipe?: Shape[];
  items?: Shape[];
  wrapped?: Shape;
}

/** The same of a schema. A tuple has no keys, so it is only how many it is made of. */
function keysIn(schema: Shape): string[] | number {
  if (schema.items !== undefined) return schema.items.length;
  if (schema.options !== undefined) {
    return [...new Set(schema.options.flatMap((option) => [keysIn(option)].flat()))].map(String).sort();
  }
  if (schema.entries === undefined) return [`no keys in ${schema.type}`];
  return Object.entries(schema.entries).map(([key, { type }]) => key + (type === 'optional' ? '?' : ''))
    .sort();
}

function sameKeys(rule: string, schema: v.GenericSchema): void {
  const [told, held] = [keysOf(rule), keysIn(schema as unknown as Shape)];
  assert.equal(typeof held === 'number' ? told.length : told, held, rule);
}

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
    const bytes = octets === '' ? maxMessageBytes : Number(octets.replaceAll(',', ''));
    assert.is(bytes, method.maxBytes ?? maxMessageBytes, `${cell}: octets`);
    const usual = method.admission === 'anyone' ? maxStreamsBeforeAdmission : maxStreamsPerMethod;
    assert.is(streams === '' ? usual : Number(streams), method.maxStreams ?? usual, `${cell}: streams`);
  }
});

test('requests and replies have the keys that the page says', () => {
  for (const { name, request, reply } of methods) {
    sameKeys(`${name}-request`, request);
    sameKeys(`${name}-reply`, reply);
  }
});

test('every kind of fact is on the page once, and no other, with the keys of its body', () => {
  const told = rows('kind').map(([cell]) => named(cell)).sort();
  assert.equal(told, kinds.map(({ name }) => name).sort());
  for (const { name, body } of kinds) sameKeys(`${name}-body`, body);
});

test('the codes of errors are those of the page', () => {
  assert.equal(rows('code').map(([cell]) => named(cell)), [...codes]);
  assert.equal([...cddl.get('code')?.matchAll(/"([^"]*)"/g) ?? []].map(([, code]) => code), [...codes]);
});

test('every rule of the CDDL is used, and every name in it is one', () => {
  const prelude = ['bstr', 'tstr', 'bool', 'null', 'any', 'size', 'A', 'B', 'N'];
  const used = new Set<string>();
  for (const [rule, text] of cddl) {
    const bare = text.replace(/"[^"]*"/g, '').replace(/(?:\? )?[A-Za-z_0-9]+:(?= )/g, '').replace(
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
    'join-token',
    'invitation',
  ];
  const idle = [...cddl.keys()].filter((name) =>
    !used.has(name) && !starts.test(name) && !roots.includes(name)
  );
  assert.equal(idle, []);
});

test.run();
