import process from 'node:process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InkmeshError } from '../../mesh/errors.ts';
import { readableText } from '../../src/ipp/bytes.ts';
import { encodeMessage, parseMessage } from '../../src/ipp/codec.ts';
import {
  type Attribute,
  charset,
  type IppMessage,
  naturalLanguage,
  outOfBand,
  stringOf,
  stringSyntaxes,
  uri,
  type Value,
} from '../../src/ipp/message.ts';
import { valueTags } from '../../src/ipp/registry.ts';
import { readMessage } from '../../src/ipp/stream.ts';
import { ippLimits } from '../../src/limits.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const random = generator(seed);
const said = (what: string) => `${what} (replay with SEED=${seed})`;

/** mulberry32 */
function generator(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const upTo = (n: number) => Math.floor(random() * (n + 1));
const int32 = () => Math.floor(random() * 2 ** 32) - 2 ** 31;
const octets = (n: number) => Uint8Array.from({ length: n }, () => upTo(255));
const pick = <T>(all: readonly T[]): T => all[upTo(all.length - 1)] as T;
const word = () => Array.from({ length: 1 + upTo(12) }, () => pick([...'abz-19.'])).join('');
const words = () =>
  Array.from({ length: upTo(9) }, () => pick([...'a \u00e9\u20ac\u{1f5a8}\ufeff\n'])).join('');
const many = <T>(most: number, make: () => T): T[] => Array.from({ length: upTo(most) }, make);

function randomValue(depth: number): Value {
  const makers: (() => Value)[] = [
    () => ({ syntax: pick(['integer', 'enum'] as const), value: int32() }),
    () => ({ syntax: 'boolean', value: random() < 0.5 }),
    () => ({ syntax: pick(stringSyntaxes), value: words() }),
    () => ({
      syntax: pick(['textWithLanguage', 'nameWithLanguage'] as const),
      value: words(),
      language: word(),
    }),
    () => ({ syntax: 'octetString', value: octets(upTo(40)) }),
    () => ({ syntax: 'dateTime', value: octets(11) }),
    () => ({ syntax: 'resolution', cross: int32(), feed: int32(), units: upTo(255) }),
    () => ({ syntax: 'rangeOfInteger', lower: int32(), upper: int32() }),
    () => ({ syntax: pick(outOfBand) }),
    () => ({ syntax: 'other', tag: pick([0x15, 0x38, 0x43, 0x4b, 0x7f]), value: octets(upTo(20)) }),
    () => ({ syntax: 'collection', members: depth < 4 ? many(3, () => randomAttribute(depth + 1)) : [] }),
  ];
  return pick(makers)();
}

function randomAttribute(depth: number): Attribute {
  return { name: word(), values: [randomValue(depth), ...many(2, () => randomValue(depth))] };
}

function randomMessage(): IppMessage {
  const group = () => ({ tag: pick([1, 2, 4, 5, 9]), attributes: many(5, () => randomAttribute(1)) });
  return { version: upTo(0xffff), code: upTo(0xffff), requestId: int32(), groups: many(4, group) };
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + upTo(random() < 0.5 ? 3 : 300);
    yield bytes.subarray(at, end);
    at = end;
  }
}

async function collected(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const isBadRequest = (thrown: unknown) => thrown instanceof InkmeshError && thrown.code === 'bad-request';

/** Whatever the octets are: refused as bad-request, or they come out again. */
function refusedOrSame(bytes: Uint8Array): boolean {
  try {
    const message = parseMessage(bytes);
    assert.equal(encodeMessage(message), bytes, said('encoding gives other octets'));
    return true;
  } catch (thrown) {
    if (!isBadRequest(thrown)) throw new Error(said('not a bad-request'), { cause: thrown });
    return false;
  }
}

test('random messages survive the way through octets', () => {
  for (let round = 0; round < 500; round++) {
    const message = randomMessage();
    const bytes = encodeMessage(message);
    assert.equal(parseMessage(bytes), message, said('another message'));
    assert.equal(encodeMessage(parseMessage(bytes)), bytes, said('other octets'));
  }
});

test('the document behind the attributes is left in the stream, however the octets are cut', async () => {
  for (let round = 0; round < 200; round++) {
    const message = randomMessage();
    const document = octets(upTo(500));
    const received = await readMessage(inPieces(Uint8Array.from([...encodeMessage(message), ...document])));
    assert.equal(received.message, message, said('another message'));
    assert.equal(await collected(received.document), document, said('another document'));
  }
});

test('every truncation is refused, by the parser and by the stream', async () => {
  for (let round = 0; round < 10; round++) {
    const bytes = encodeMessage(randomMessage());
    for (let end = 0; end < bytes.length; end++) {
      assert.not(refusedOrSame(bytes.subarray(0, end)), said(`cut at ${end}`));
      const thrown = await readMessage(inPieces(bytes.subarray(0, end))).catch((error: unknown) => error);
      assert.ok(isBadRequest(thrown), said(`streamed, cut at ${end}`));
    }
  }
});

test('garbage and messages with flipped octets are refused, or parse to the same octets', () => {
  for (let round = 0; round < 3000; round++) refusedOrSame(octets(upTo(200)));
  for (let round = 0; round < 3000; round++) {
    const bytes = encodeMessage(randomMessage());
    for (let flips = 1 + upTo(3); flips > 0; flips--) bytes[upTo(bytes.length - 1)] = upTo(255);
    refusedOrSame(bytes);
  }
});

/** Octets of a message whose one group holds `inner`. */
const around = (...inner: number[]) => Uint8Array.of(1, 1, 0, 11, 0, 0, 0, 1, 1, ...inner, 3);
const member = [0x4a, 0, 0, 0, 1, 0x78];

test('what RFC 8010 forbids is refused', () => {
  const refused: Record<string, Uint8Array> = {
    'a value before any group': Uint8Array.of(1, 1, 0, 11, 0, 0, 0, 1, 0x21, 0, 1, 0x61, 0, 4, 0, 0, 0, 1, 3),
    'delimiter 0': around(0),
    'octets after the end': around(3),
    'a further value of no attribute': around(0x21, 0, 0, 0, 4, 0, 0, 0, 1),
    'an integer of three octets': around(0x21, 0, 1, 0x61, 0, 3, 0, 0, 1),
    'a boolean of 2': around(0x22, 0, 1, 0x61, 0, 1, 2),
    'a negative length': around(0x44, 0, 1, 0x61, 0xff, 0xff),
    'a no-value with a value': around(0x13, 0, 1, 0x61, 0, 1, 0),
    'tag 0x80': around(0x80, 0, 1, 0x61, 0, 0),
    'text that is not UTF-8': around(0x41, 0, 1, 0x61, 0, 1, 0xff),
    'a name with a control character': around(0x44, 0, 1, 0x0a, 0, 1, 0x61),
    'a lone end of collection': around(0x37, 0, 0, 0, 0),
    'a lone member name': around(...member),
    'an unfinished collection': around(0x34, 0, 1, 0x61, 0, 0),
    'a member without a value': around(0x34, 0, 1, 0x61, 0, 0, ...member, 0x37, 0, 0, 0, 0),
    'a member value without a member': around(0x34, 0, 1, 0x61, 0, 0, 0x22, 0, 0, 0, 1, 1, 0x37, 0, 0, 0, 0),
    'a member without a name': around(0x34, 0, 1, 0x61, 0, 0, 0x4a, 0, 0, 0, 0, 0x37, 0, 0, 0, 0),
    'a language longer than its value': around(0x35, 0, 1, 0x61, 0, 4, 0, 9, 0, 0),
  };
  for (const [what, bytes] of Object.entries(refused)) assert.not(refusedOrSame(bytes), what);
  assert.ok(refusedOrSame(around()));
});

test('collections end at the depth that is allowed', () => {
  const nest = (depth: number): Value => ({
    syntax: 'collection',
    members: depth === 1 ? [] : [{ name: 'x', values: [nest(depth - 1)] }],
  });
  const message = (depth: number) =>
    encodeMessage({
      version: 0x200,
      code: 2,
      requestId: 1,
      groups: [{ tag: 1, attributes: [{ name: 'a', values: [nest(depth)] }] }],
    });
  assert.ok(refusedOrSame(message(ippLimits.maxDepth)));
  assert.not(refusedOrSame(message(ippLimits.maxDepth + 1)));
  assert.not(refusedOrSame(message(2000)));
});

test('an endless header is refused at its cap, without being kept', async () => {
  let sent = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(1, 1, 0, 11, 0, 0, 0, 1, 1);
    while (true) {
      sent += 1000 * 6;
      yield Uint8Array.from({ length: 6000 }, (_, i) => [0x44, 0, 1, 0x61, 0, 0][i % 6] as number);
    }
  }
  const thrown = await readMessage(endless()).catch((error: unknown) => error);
  assert.ok(isBadRequest(thrown));
  assert.ok(sent < ippLimits.maxHeaderBytes + 10_000);
});

test('a request as RFC 8010 appendix A lays it out', () => {
  const bytes = encodeMessage({
    version: 0x0101,
    code: 0x000b,
    requestId: 1,
    groups: [{
      tag: 1,
      attributes: [
        charset('attributes-charset', 'us-ascii'),
        naturalLanguage('attributes-natural-language', 'en-us'),
        uri('printer-uri', 'ipp://p.example/x'),
      ],
    }],
  });
  const hex = '0101000b0000000101' +
    '470012617474726962757465732d6368617273657400087573' + '2d6173636969' +
    '48001b617474726962757465732d6e61747572616c2d6c616e6775616765' + '0005656e2d7573' +
    '45000b7072696e7465722d757269' + '00116970703a2f2f702e6578616d706c652f78' + '03';
  assert.is(Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join(''), hex);
});

test('texts and names of an answer may be of any encoding, nothing else of it may', () => {
  const message = (tag: number): IppMessage => ({
    ...{ version: 0x0200, code: 0, requestId: 1 },
    groups: [{
      tag: 1,
      attributes: [{
        name: 'x',
        values: [{ syntax: 'other', tag, value: Uint8Array.from([0x66, 0xfc, 0x72]) }],
      }],
    }],
  });
  for (const tag of [valueTags.textWithoutLanguage, valueTags.nameWithoutLanguage]) {
    const octets = encodeMessage(message(tag));
    assert.throws(() => parseMessage(octets), 'not UTF-8');
    const [group] = parseMessage(octets, readableText).groups;
    assert.is(stringOf(group?.attributes[0]?.values[0]), 'f\ufffdr');
  }
  for (const tag of [valueTags.keyword, valueTags.uri, valueTags.mimeMediaType]) {
    assert.throws(() => parseMessage(encodeMessage(message(tag)), readableText), 'not UTF-8');
  }
});

test.run();
