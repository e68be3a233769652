/** IPP messages as values: every value keeps the syntax (tag) that it has on the wire (RFC 8010, RFC 8011). */

export const stringSyntaxes = [
  'textWithoutLanguage',
  'nameWithoutLanguage',
  'keyword',
  'uri',
  'uriScheme',
  'charset',
  'naturalLanguage',
  'mimeMediaType',
] as const;
export type StringSyntax = typeof stringSyntaxes[number];

export const outOfBand = ['unsupported', 'unknown', 'no-value'] as const;

export type Value =
  | { syntax: 'integer' | 'enum'; value: number }
  | { syntax: 'boolean'; value: boolean }
  | { syntax: StringSyntax; value: string }
  | { syntax: 'textWithLanguage' | 'nameWithLanguage'; value: string; language: string }
  | { syntax: 'octetString'; value: Uint8Array }
  /** the 11 octets of DateAndTime (RFC 2579) */
  | { syntax: 'dateTime'; value: Uint8Array }
  /** units: 3 is dots per inch, 4 dots per centimetre */
  | { syntax: 'resolution'; cross: number; feed: number; units: number }
  | { syntax: 'rangeOfInteger'; lower: number; upper: number }
  | { syntax: 'collection'; members: Attribute[] }
  | { syntax: typeof outOfBand[number] }
  /** a tag that this program does not know, its octets kept */
  | { syntax: 'other'; tag: number; value: Uint8Array };

/** `values` is never empty. */
export interface Attribute {
  name: string;
  values: Value[];
}

export interface Group {
  /** delimiter tag */
  tag: number;
  attributes: Attribute[];
}

export interface IppMessage {
  /** major version times 256 plus minor: 0x0101, 0x0200 */
  version: number;
  /** operation-id of a request, status-code of a response */
  code: number;
  /** signed 32 bits; valid ones are positive (RFC 8011 section 4.1.1) */
  requestId: number;
  groups: Group[];
}

export function attribute(name: string, ...values: Value[]): Attribute {
  return { name, values };
}

const strings = (syntax: StringSyntax) => (name: string, ...values: string[]): Attribute => ({
  name,
  values: values.map((value) => ({ syntax, value })),
});

export const text = strings('textWithoutLanguage');
export const nameAttribute = strings('nameWithoutLanguage');
export const keyword = strings('keyword');
export const uri = strings('uri');
export const charset = strings('charset');
export const naturalLanguage = strings('naturalLanguage');
export const mimeMediaType = strings('mimeMediaType');

export function integer(name: string, ...values: number[]): Attribute {
  return { name, values: values.map((value) => ({ syntax: 'integer', value })) };
}

export function enumeration(name: string, ...values: number[]): Attribute {
  return { name, values: values.map((value) => ({ syntax: 'enum', value })) };
}

export function boolean(name: string, value: boolean): Attribute {
  return { name, values: [{ syntax: 'boolean', value }] };
}

export function range(name: string, lower: number, upper: number): Attribute {
  return { name, values: [{ syntax: 'rangeOfInteger', lower, upper }] };
}

export function dotsPerInch(name: string, ...values: number[]): Attribute {
  return { name, values: values.map((dpi) => ({ syntax: 'resolution', cross: dpi, feed: dpi, units: 3 })) };
}

export function collection(name: string, ...values: Attribute[][]): Attribute {
  return { name, values: values.map((members) => ({ syntax: 'collection', members })) };
}

export function noValue(name: string): Attribute {
  return { name, values: [{ syntax: 'no-value' }] };
}

/** A moment as DateAndTime in UTC (RFC 2579). */
export function dateTime(name: string, moment: Date): Attribute {
  const value = new Uint8Array(11);
  const view = new DataView(value.buffer);
  view.setUint16(0, moment.getUTCFullYear());
  value.set([
    moment.getUTCMonth() + 1,
    moment.getUTCDate(),
    moment.getUTCHours(),
    moment.getUTCMinutes(),
    moment.getUTCSeconds(),
    Math.floor(moment.getUTCMilliseconds() / 100),
    '+'.charCodeAt(0),
  ], 2);
  return { name, values: [{ syntax: 'dateTime', value }] };
}

/** All attributes of the groups with this tag, in order. */
export function attributesOf(message: IppMessage, tag: number): Attribute[] {
  return message.groups.filter((group) => group.tag === tag).flatMap((group) => group.attributes);
}

export function find(attributes: readonly Attribute[], name: string): Attribute | undefined {
  return attributes.find((attribute) => attribute.name === name);
}

/** The text of a value of any textual syntax, with or without a language. */
export function stringOf(value: Value | undefined): string | undefined {
  return value !== undefined && 'value' in value && typeof value.value === 'string' ? value.value : undefined;
}

/** The number of an integer or enum value. */
export function numberOf(value: Value | undefined): number | undefined {
  return value?.syntax === 'integer' || value?.syntax === 'enum' ? value.value : undefined;
}

/** The textual values of an attribute; none when it is absent. */
export function stringsOf(attributes: readonly Attribute[], name: string): string[] {
  const values = find(attributes, name)?.values ?? [];
  return values.map(stringOf).filter((value) => value !== undefined);
}

/** The first number of an attribute. */
export function firstNumber(attributes: readonly Attribute[], name: string): number | undefined {
  return numberOf(find(attributes, name)?.values[0]);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The beginning of a text that fits into `max` octets of UTF-8: the syntaxes of IPP are bounded in octets. */
export function withinOctets(text: string, max: number): string {
  const bytes = encoder.encode(text);
  if (bytes.length <= max) return text;
  // a character that was cut shows as one replacement character at the end
  return decoder.decode(bytes.subarray(0, max)).replace(/\ufffd$/u, '');
}
