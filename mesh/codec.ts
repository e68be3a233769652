/**
 * Bytes on the wire and under signatures: deterministic CBOR (RFC 8949 section 4.2), decoded strictly and
 * checked against a schema before anything else sees the value.
 */
import { decode as cborDecode, encode as cborEncode } from 'cborg';
import * as v from 'valibot';
import { InkmeshError } from './errors.ts';

/** The deterministic CBOR of a plain value (maps, arrays, strings, integers, bytes, booleans, null). */
export function encode(value: unknown): Uint8Array {
  // a plain Uint8Array wherever it runs: on Node cborg gives a Buffer, which Yjs and others take for something else
  return new Uint8Array(cborEncode(value));
}

const strict = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  rejectDuplicateMapKeys: true,
} as const;

/**
 * Decodes CBOR and checks it against `schema`.
 * @throws InkmeshError `bad-request` naming the first thing that does not fit
 */
export function decode<S extends v.GenericSchema>(schema: S, bytes: Uint8Array): v.InferOutput<S> {
  let value: unknown;
  try {
    value = cborDecode(bytes, strict);
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the message is not well-formed CBOR', {}, { cause });
  }
  return check(schema, value);
}

/** Checks a decoded value against `schema`. @throws InkmeshError `bad-request` */
export function check<S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  throw new InkmeshError('bad-request', `${path ?? 'the value'}: ${issue.message}`);
}

/** Bytes of a bounded length. */
export const bytes = (min: number, max: number) =>
  v.custom<Uint8Array>(
    (b) => b instanceof Uint8Array && b.length >= min && b.length <= max,
    `expected ${min} to ${max} bytes`,
  );

/** Text of a bounded length (UTF-16 units) without control characters. */
export const text = (max: number) =>
  // deno-lint-ignore no-control-regex
  v.pipe(v.string(), v.maxLength(max), v.regex(/^[^\u0000-\u001f\u007f]*$/, 'control characters'));

/** What a line of text must not have: controls, separators of lines, and what turns its direction or is not seen. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/**
 * A text made one line that `text(max)` takes: cut off, with a space for each character that is not to be printed. The
 * joiners of Persian, Indic and emoji stay (Unicode 23.2).
 */
export function printable(text: string, max: number): string {
  return text.replace(unprintable, ' ').slice(0, max).toWellFormed();
}

/** A whole number from `min` to `max`. */
export const integer = (min: number, max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
