/** Settings in force: what the file, the environment and the command line say together, checked, and from where. */
import { stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { printable } from '../mesh/codec.ts';
import { InkmeshError } from '../mesh/errors.ts';
import {
  environmentLayer,
  fileLayer,
  flagLayer,
  keysOf,
  type Layer,
  merge,
  originOf,
  saidBy,
} from './config-layers.ts';

/** Where settings come from, besides the environment. */
export interface ConfigSources {
  /** none: defaults, but for what the environment and `set` say */
  file: string | undefined;
  /** `KEY=VALUE` */
  set?: readonly string[];
  /** is told of what can stay, but should not */
  warn?: (sentence: string) => void;
}

/** A setting as it is in force. */
export interface Setting {
  /** dotted */
  key: string;
  value: unknown;
  /** FILE:LINE, the variable or flag; null for a default */
  origin: string | null;
}

/** How many mistakes are told of at once. */
const maxTold = 5;
const maxToldChars = 200;
/** mode bits of a file that others than its owner may read */
const othersRead = 0o044;

/**
 * @param secrets dotted keys that no command line may say, nor a file that others read
 * @throws InkmeshError `bad-request` naming the lines, variables or flags that are wrong
 */
export async function readSettings<S extends v.GenericSchema>(
  schema: S,
  sources: ConfigSources,
  secrets: readonly string[],
): Promise<v.InferOutput<S>> {
  return (await read(schema, sources, secrets)).settings;
}

/**
 * Every setting in force, with its origin.
 * @param secrets as for `readSettings`; their values are not shown
 * @throws InkmeshError `bad-request`
 */
export async function explainSettings<S extends v.GenericSchema>(
  schema: S,
  sources: ConfigSources,
  secrets: readonly string[],
): Promise<Setting[]> {
  const { settings, layers } = await read(schema, sources, secrets);
  return keysOf(schema).flatMap(({ path, type }) => {
    const value = path.reduce<unknown>(
      (inner, part) => (inner as Record<string, unknown> | null)?.[part],
      settings,
    );
    if (value === undefined || (type === 'object' && value !== null)) return [];
    const key = path.join('.');
    const shown = secrets.includes(key) ? '(not shown)' : value;
    return [{ key, value: shown, origin: originOf(layers, path) ?? null }];
  });
}

/**
 * What all places say together, without defaults.
 * @param secrets as for `readSettings`
 * @returns also whether the file says all of it
 * @throws InkmeshError `bad-request`
 */
export async function saidSettings<S extends v.GenericSchema>(
  schema: S,
  sources: ConfigSources,
  secrets: readonly string[],
): Promise<{ said: unknown; inFile: boolean }> {
  const { layers } = await read(schema, sources, secrets);
  const said = merge(layers);
  const [ofFile] = sources.file === undefined ? [] : layers;
  return { said, inFile: isDeepStrictEqual(said, ofFile?.value ?? {}) };
}

async function read<S extends v.GenericSchema>(
  schema: S,
  { file, set = [], warn }: ConfigSources,
  secrets: readonly string[],
): Promise<{ settings: v.InferOutput<S>; layers: Layer[] }> {
  const keys = keysOf(schema);
  const ofFile = file === undefined ? undefined : await fileLayer(file);
  const layers = [
    ...ofFile === undefined ? [] : [ofFile],
    environmentLayer(keys, process.env),
    flagLayer(keys, set, secrets),
  ];
  const result = v.safeParse(schema, merge(layers));
  if (!result.success) {
    const wrong = result.issues.slice(0, maxTold).map((issue) => mistake(issue, layers, file));
    throw new InkmeshError('bad-request', wrong.join('; '));
  }
  const held = ofFile === undefined ? [] : saidBy(ofFile, secrets);
  if (warn !== undefined && file !== undefined && held.length > 0 && await isOpen(file)) {
    warn(`${file} has ${held.join(' and ')}, and others may read it: chmod 600`);
  }
  return { settings: result.output, layers };
}

/** Where it is and what was expected there; never what was found, which may be a secret. */
function mistake(issue: v.BaseIssue<unknown>, layers: readonly Layer[], file: string | undefined): string {
  const path = (issue.path ?? []).map(({ key }) => String(key));
  const places = [...path.map((_, at) => path.slice(0, path.length - at)), []];
  const origin = places.map((place) => originOf(layers, place)).find((found) => found !== undefined);
  const expected = issue.message.replace(/(?: but r|: R)eceived .*$/s, '');
  const told = [path.join('.'), expected].filter(Boolean).join(': ');
  return `${origin ?? file ?? 'the settings'}: ${printable(told, maxToldChars)}`;
}

/** Whether others than the owner may read a file, on systems that have modes. */
async function isOpen(file: string): Promise<boolean> {
  return process.platform !== 'win32' && ((await stat(file)).mode & othersRead) !== 0;
}
