/**
 * The encoding of IPP messages (RFC 8010 section 3): strict and bounded. What parses gives the same octets when it
 * is encoded again.
 *
 *     version 2, operation-id or status-code 2, request-id 4
 *     groups: delimiter tag 1 (0x01 to 0x0f but 0x03), then values:
 *       value tag 1 (0x10 to 0x7f), name-length 2, name, value-length 2, value
 *       a further value of one attribute has an empty name
 *     0x03 end of attributes; the document follows
 */
import { ippLimits } from '../limits.ts';
import { bad, decodeText, Reader, Writer } from './bytes.ts';
import {
  type Attribute,
  type Group,
  type IppMessage,
  outOfBand,
  stringSyntaxes,
  type Value,
} from './message.ts';
import { groups, valueTags } from './registry.ts';

const endOfAttributes = groups['end-of-attributes-tag'];
/** below are delimiters, from here on values (RFC 8010 section 3.5) */
export const firstValueTag = 0x10;
const lastValueTag = 0x7f;

type SyntaxOf<S extends Value['syntax']> = ReadonlyMap<number, S>;
const tagged = <S extends Value['syntax'] & keyof typeof valueTags>(names: readonly S[]): SyntaxOf<S> =>
  new Map(names.map((name) => [valueTags[name], name]));
const stringTags = tagged(stringSyntaxes);
const isProse: ReadonlySet<string> = new Set(['textWithoutLanguage', 'nameWithoutLanguage']);
const outOfBandTags = tagged(outOfBand);
const numberTags = tagged(['integer', 'enum'] as const);
const languageTags = tagged(['textWithLanguage', 'nameWithLanguage'] as const);

interface Budget {
  attributes: number;
  values: number;
  /** how texts and names are read */
  prose(bytes: Uint8Array): string;
}

/**
 * Parses a message that ends with its end-of-attributes tag.
 * @param prose how texts and names are read: an answer's, which are for people, need not be UTF-8 (real printers’ are not
 * always); nothing else of it may be something else
 * @throws InkmeshError `bad-request` for anything malformed or out of bounds
 */
export function parseMessage(bytes: Uint8Array, prose: Budget['prose'] = decodeText): IppMessage {
  if (bytes.length > ippLimits.maxHeaderBytes) throw bad('the IPP message has too many attributes');
  const reader = new Reader(bytes);
  const message: IppMessage = {
    version: reader.u16(),
    code: reader.u16(),
    requestId: reader.i32(),
    groups: [],
  };
  const budget: Budget = { attributes: ippLimits.maxAttributes, values: ippLimits.maxValues, prose };
  let group: Group | undefined;
  for (let tag = reader.u8(); tag !== endOfAttributes; tag = reader.u8()) {
    if (tag === 0) throw bad('the IPP message has a reserved delimiter');
    if (tag < firstValueTag) {
      if (message.groups.length === ippLimits.maxGroups) throw bad('the IPP message has too many groups');
      group = { tag, attributes: [] };
      message.groups.push(group);
    } else {
      if (group === undefined) throw bad('the IPP message has an attribute outside a group');
      readAttribute(reader, tag, group.attributes, budget);
    }
  }
  if (reader.left > 0) throw bad('the IPP message has octets after its end');
  return message;
}

function readAttribute(reader: Reader, tag: number, into: Attribute[], budget: Budget): void {
  const name = readName(reader);
  const value = readValue(reader, tag, budget, 1);
  const last = into.at(-1);
  if (name !== '') into.push(newAttribute(name, budget, [value]));
  else if (last === undefined) throw bad('the IPP message has a value without an attribute');
  else last.values.push(value);
}

function newAttribute(name: string, budget: Budget, values: Value[]): Attribute {
  if (--budget.attributes < 0) throw bad('the IPP message has too many attributes');
  return { name, values };
}

function readName(reader: Reader): string {
  const bytes = readOctets(reader, ippLimits.maxNameBytes);
  // keywords are US-ASCII (RFC 8011 section 5.1.4)
  if (bytes.some((octet) => octet <= 0x20 || octet >= 0x7f)) {
    throw bad('the IPP message has a bad attribute name');
  }
  return decodeText(bytes);
}

function readOctets(reader: Reader, max: number): Uint8Array {
  const length = reader.u16();
  if (length > max) throw bad('the IPP message has a length out of bounds');
  return reader.take(length);
}

function readValue(reader: Reader, tag: number, budget: Budget, depth: number): Value {
  if (tag > lastValueTag || tag === valueTags.endCollection || tag === valueTags.memberAttrName) {
    throw bad('the IPP message has a misplaced tag');
  }
  if (--budget.values < 0) throw bad('the IPP message has too many values');
  const bytes = readOctets(reader, ippLimits.maxValueBytes);
  if (tag !== valueTags.begCollection) return parseValue(tag, bytes, budget.prose);
  exact(bytes, 0);
  return { syntax: 'collection', members: readMembers(reader, budget, depth) };
}

/** RFC 8010 section 3.1.6 */
function readMembers(reader: Reader, budget: Budget, depth: number): Attribute[] {
  if (depth > ippLimits.maxDepth) throw bad('the IPP message nests collections too deeply');
  const members: Attribute[] = [];
  while (true) {
    const tag = reader.u8();
    if (tag < firstValueTag) throw bad('the IPP message has an unfinished collection');
    if (reader.u16() !== 0) throw bad('the IPP message has a named value in a collection');
    const member = members.at(-1);
    const starts = tag === valueTags.memberAttrName || tag === valueTags.endCollection;
    if (starts && member?.values.length === 0) throw bad('the IPP message has a member without a value');
    if (tag === valueTags.endCollection) {
      exact(readOctets(reader, ippLimits.maxValueBytes), 0);
      return members;
    }
    if (tag === valueTags.memberAttrName) {
      const name = readName(reader);
      if (name === '') throw bad('the IPP message has a member without a name');
      members.push(newAttribute(name, budget, []));
    } else if (member === undefined) throw bad('the IPP message has a value without a member');
    else member.values.push(readValue(reader, tag, budget, depth + 1));
  }
}

function exact(bytes: Uint8Array, length: number): Reader {
  if (bytes.length !== length) throw bad('the IPP message has a value of the wrong length');
  return new Reader(bytes);
}

function parseValue(tag: number, bytes: Uint8Array, prose: Budget['prose']): Value {
  const number = numberTags.get(tag);
  if (number !== undefined) return { syntax: number, value: exact(bytes, 4).i32() };
  const string = stringTags.get(tag);
  if (string !== undefined) {
    return { syntax: string, value: (isProse.has(string) ? prose : decodeText)(bytes) };
  }
  const withLanguage = languageTags.get(tag);
  if (withLanguage !== undefined) return parseWithLanguage(withLanguage, bytes, prose);
  const band = outOfBandTags.get(tag);
  if (band !== undefined) {
    exact(bytes, 0);
    return { syntax: band };
  }
  switch (tag) {
    case valueTags.boolean:
      return { syntax: 'boolean', value: parseBoolean(bytes) };
    case valueTags.octetString:
      return { syntax: 'octetString', value: bytes.slice() };
    case valueTags.dateTime:
      return { syntax: 'dateTime', value: exact(bytes, 11).take(11).slice() };
    case valueTags.resolution: {
      const reader = exact(bytes, 9);
      return { syntax: 'resolution', cross: reader.i32(), feed: reader.i32(), units: reader.u8() };
    }
    case valueTags.rangeOfInteger: {
      const reader = exact(bytes, 8);
      return { syntax: 'rangeOfInteger', lower: reader.i32(), upper: reader.i32() };
    }
    default:
      return { syntax: 'other', tag, value: bytes.slice() };
  }
}

function parseBoolean(bytes: Uint8Array): boolean {
  const octet = exact(bytes, 1).u8();
  if (octet > 1) throw bad('the IPP message has a boolean that is neither');
  return octet === 1;
}

function parseWithLanguage(
  syntax: 'textWithLanguage' | 'nameWithLanguage',
  bytes: Uint8Array,
  prose: Budget['prose'],
): Value {
  const reader = new Reader(bytes);
  const language = decodeText(readOctets(reader, ippLimits.maxValueBytes));
  const value = prose(readOctets(reader, ippLimits.maxValueBytes));
  exact(reader.take(reader.left), 0);
  return { syntax, value, language };
}

const utf8 = new TextEncoder();

/** @throws RangeError for a value, name or number that the encoding has no room for */
export function encodeMessage(message: IppMessage): Uint8Array {
  const writer = new Writer();
  writer.u16(message.version);
  writer.u16(message.code);
  writer.i32(message.requestId);
  for (const group of message.groups) {
    writer.u8(group.tag);
    for (const { name, values } of group.attributes) {
      for (const [index, value] of values.entries()) writeValue(writer, index === 0 ? name : '', value);
    }
  }
  writer.u8(endOfAttributes);
  return writer.done();
}

function writeValue(writer: Writer, name: string, value: Value): void {
  const tag = value.syntax === 'other'
    ? value.tag
    : valueTags[value.syntax === 'collection' ? 'begCollection' : value.syntax];
  writer.u8(tag);
  writeOctets(writer, utf8.encode(name), ippLimits.maxNameBytes);
  writeOctets(writer, valueBytes(value), ippLimits.maxValueBytes);
  if (value.syntax !== 'collection') return;
  for (const member of value.members) {
    writer.u8(valueTags.memberAttrName);
    writer.u16(0);
    writeOctets(writer, utf8.encode(member.name), ippLimits.maxNameBytes);
    for (const inner of member.values) writeValue(writer, '', inner);
  }
  writer.u8(valueTags.endCollection);
  writer.u16(0);
  writer.u16(0);
}

function writeOctets(writer: Writer, bytes: Uint8Array, max: number): void {
  if (bytes.length > max) throw new RangeError(`${bytes.length} octets are more than ${max}`);
  writer.u16(bytes.length);
  writer.put(bytes);
}

function valueBytes(value: Value): Uint8Array {
  const writer = new Writer();
  switch (value.syntax) {
    case 'integer':
    case 'enum':
      writer.i32(value.value);
      break;
    case 'boolean':
      writer.u8(value.value ? 1 : 0);
      break;
    case 'octetString':
    case 'dateTime':
    case 'other':
      return value.value;
    case 'resolution':
      writer.i32(value.cross);
      writer.i32(value.feed);
      writer.u8(value.units);
      break;
    case 'rangeOfInteger':
      writer.i32(value.lower);
      writer.i32(value.upper);
      break;
    case 'textWithLanguage':
    case 'nameWithLanguage':
      writeOctets(writer, utf8.encode(value.language), ippLimits.maxValueBytes);
      writeOctets(writer, utf8.encode(value.value), ippLimits.maxValueBytes);
      break;
    case 'collection':
    case 'unsupported':
    case 'unknown':
    case 'no-value':
      break;
    default:
      return utf8.encode(value.value);
  }
  return writer.done();
}
