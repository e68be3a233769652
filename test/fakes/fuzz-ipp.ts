/** IPP requests for fuzzing: valid ones with anything in them that the standard allows, and malformed ones. */
import fc from 'fast-check';
import { encodeMessage, parseMessage } from '../../src/ipp/codec.ts';
import {
  type Attribute,
  attribute,
  charset,
  collection,
  integer,
  type IppMessage,
  keyword,
  mimeMediaType,
  nameAttribute,
  naturalLanguage,
  outOfBand,
  stringSyntaxes,
  uri,
  type Value,
} from '../../src/ipp/message.ts';
import { groups, operations } from '../../src/ipp/registry.ts';
import { ippLimits } from '../../src/limits.ts';
import { cut, damaged } from './fuzz-octets.ts';

const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => value.isWellFormed());
const name = fc.stringMatching(/^x-[a-z][a-z0-9-]{0,30}$/);

const plainValue: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ syntax: fc.constantFrom('integer', 'enum'), value: int32 }),
  fc.record({ syntax: fc.constant('boolean'), value: fc.boolean() }),
  fc.record({ syntax: fc.constantFrom(...stringSyntaxes), value: text }),
  fc.record({ syntax: fc.constantFrom('textWithLanguage', 'nameWithLanguage'), value: text, language: text }),
  fc.record({ syntax: fc.constant('octetString'), value: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ syntax: fc.constant('dateTime'), value: fc.uint8Array({ minLength: 11, maxLength: 11 }) }),
  fc.record({
    ...{ syntax: fc.constant('resolution'), cross: int32, feed: int32, units: fc.nat(255) },
  }),
  fc.record({ syntax: fc.constant('rangeOfInteger'), lower: int32, upper: int32 }),
  fc.record({ syntax: fc.constantFrom(...outOfBand) }),
  fc.record({
    syntax: fc.constant('other'),
    tag: fc.constant(0x3f),
    value: fc.uint8Array({ maxLength: 20 }),
  }),
) as fc.Arbitrary<Value>;

const { value: anyValue } = fc.letrec<{ value: Value; member: Attribute }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'value' },
    plainValue,
    fc.record({
      syntax: fc.constant('collection' as const),
      members: fc.array(tie('member'), { maxLength: 3, depthIdentifier: 'value' }),
    }),
  ),
  member: fc.record({
    name,
    values: fc.array(tie('value'), { minLength: 1, maxLength: 2, depthIdentifier: 'value' }),
  }),
}));

const unknownAttributes = fc.uniqueArray(
  fc.record({ name, values: fc.array(anyValue, { minLength: 1, maxLength: 3 }) }),
  { maxLength: 6, selector: (one) => one.name },
);

const first = [charset('attributes-charset', 'utf-8'), naturalLanguage('attributes-natural-language', 'en')];
const operationGroup = groups['operation-attributes-tag'];
const jobGroup = groups['job-attributes-tag'];

const common = (printer: string): Attribute[] => [
  uri('printer-uri', printer),
  nameAttribute('requesting-user-name', 'somebody'),
  nameAttribute('job-name', 'Quarterly figures'),
  mimeMediaType('document-format', 'application/octet-stream'),
];

const template = [integer('copies', 2), keyword('sides', 'one-sided'), keyword('media', 'iso_a4_210x297mm')];

/** Print-Job requests that are to be accepted: any order, attributes and collections that nobody knows. */
export const validPrintJob = (printer: string): fc.Arbitrary<IppMessage> =>
  fc.record({
    version: fc.constantFrom(0x0101, 0x0200),
    requestId: fc.integer({ min: 1, max: 0x7fffffff }),
    operation: unknownAttributes,
    job: unknownAttributes,
    known: fc.shuffledSubarray(template),
  }).chain(({ version, requestId, operation, job, known }) => {
    const [inOperation, inJob] = [[...common(printer), ...operation], [...known, ...job]];
    const shuffled = <T>(list: T[]) => fc.shuffledSubarray(list, { minLength: list.length });
    return fc.tuple(shuffled(inOperation), shuffled(inJob)).map(([one, other]): IppMessage => ({
      ...{ version, requestId, code: operations['Print-Job'] },
      groups: [
        { tag: operationGroup, attributes: [...first, ...one] },
        ...(other.length > 0 ? [{ tag: jobGroup, attributes: other }] : []),
      ],
    }));
  });

/** What a request to an operation may look like before it is damaged. */
export function plain(printer: string, code: number, more: Attribute[] = []): IppMessage {
  const attributes = [...first, ...common(printer), ...more];
  return { version: 0x0101, code, requestId: 1, groups: [{ tag: operationGroup, attributes }] };
}

const anyOperation = fc.constantFrom(...Object.values(operations));

/** Whether a message ends before the octets do: damage has made a document of its rest, and what is sent is valid. */
export function hasDocument(octets: Uint8Array): boolean {
  const end = groups['end-of-attributes-tag'];
  for (let at = octets.indexOf(end); at >= 0 && at < octets.length - 1; at = octets.indexOf(end, at + 1)) {
    try {
      parseMessage(octets.subarray(0, at + 1));
      return true;
    } catch {
      // this one ends nothing
    }
  }
  return false;
}

/**
 * Octets of requests that are broken in any way, and may by chance be whole. None has a document, so that nothing can
 * come of them.
 * @param rich valid ones with much in them
 */
export const brokenMessage = (
  printer: string,
  rich: fc.Arbitrary<Uint8Array>,
): fc.Arbitrary<Uint8Array> => {
  const one = anyOperation.map((code) => encodeMessage(plain(printer, code, [integer('job-id', 1)])));
  return fc.oneof(
    { weight: 4, arbitrary: damaged(one) },
    { weight: 2, arbitrary: damaged(rich) },
    { weight: 2, arbitrary: cut(rich) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  ).filter((octets) => !hasDocument(octets));
};

/** How deep collections may be nested, and one more. */
function nested(depth: number): Attribute {
  let inner = integer('x-inner', 1);
  for (let level = 0; level < depth; level++) inner = collection('x-deep', [inner]);
  return inner;
}

const printJob = operations['Print-Job'];

/** Requests with a document that must be refused, each for one reason that it is named after. */
export const refusedMessages = (printer: string): Record<string, fc.Arbitrary<IppMessage>> => {
  const wrong = (more: Attribute[]): IppMessage => {
    const replaced = new Set(more.map((one) => one.name));
    const message = plain(printer, printJob);
    const [group] = message.groups;
    const attributes = group?.attributes.filter((one) => !replaced.has(one.name)) ?? [];
    return { ...message, groups: [{ tag: operationGroup, attributes: [...attributes, ...more] }] };
  };
  const good = wrong([]);
  const many = (count: number) => Array.from({ length: count }, (_, i) => integer(`x-${i}`, i));
  return {
    version: fc.constantFrom(0x0000, 0x0300, 0x6401, 0xffff).map((version) => ({ ...good, version })),
    requestId: fc.integer({ min: -0x80000000, max: 0 }).map((requestId) => ({ ...good, requestId })),
    operation: fc.integer({ min: 0x4000, max: 0x7fff }).map((code) => ({ ...good, code })),
    noGroups: fc.constant({ ...good, groups: [] }),
    wrongGroup: fc.constantFrom(2, 4, 5).map((tag) => ({
      ...good,
      groups: good.groups.map((group) => ({ ...group, tag })),
    })),
    twice: fc.constantFrom(...common(printer)).map((one) => ({
      ...good,
      groups: good.groups.map((group) => ({ ...group, attributes: [...group.attributes, one] })),
    })),
    charsetLast: fc.constant({
      ...good,
      groups: good.groups.map((group) => ({ ...group, attributes: [...group.attributes].reverse() })),
    }),
    otherPrinter: text.map((path) =>
      wrong([uri('printer-uri', `ipp://x/ipp/print/no${encodeURIComponent(path)}`)])
    ),
    noUri: plainValue.filter((value) => value.syntax !== 'uri')
      .map((value) => wrong([attribute('printer-uri', value)])),
    format: fc.constantFrom('text/x-nothing', 'application/', '', 'a'.repeat(300))
      .map((format) => wrong([mimeMediaType('document-format', format)])),
    compression: fc.constantFrom('compress', 'brotli', '').map((one) => wrong([keyword('compression', one)])),
    tooDeep: fc.integer({ min: ippLimits.maxDepth + 1, max: 200 }).map((depth) => wrong([nested(depth)])),
    tooMany: fc.integer({ min: ippLimits.maxAttributes, max: ippLimits.maxAttributes + 500 })
      .map((count) => wrong(many(count))),
  };
};
