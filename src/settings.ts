/** Settings in force: what the file, the environment and the command line say together, checked, and from where. */
import * as v from 'valibot';
import { InkmeshError } from '../mesh/errors.ts';
import {
  environmentLayer,
  fileLayer,
  flagLayer,
  keysOf,
  type Layer,
  merge,
  originOf,
} from './config-layers.ts';

/** Where settings come from, besides the environment. */
export interface ConfigSources {
  /** none: defaults, but for what the environment and `set` say */
  file: string | undefined;
  /** `KEY=VALUE` */
  set?: readonly string[];
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

/** @throws InkmeshError `bad-request` naming the lines, variables or flags that are wrong */
export async function readSettings<S extends v.GenericSchema>(
  schema: S,
  sources: ConfigSources,
): Promise<v.InferOutput<S>> {
  return (await read(schema, sources)).settings;
}

/**
 * Every setting in force, with its origin.
 * @param secrets keys whose values are not shown
 * @throws InkmeshError `bad-request`
 */
export async function explainSettings<S extends v.GenericSchema>(
  schema: S,
  sources: ConfigSources,
  secrets: readonly string[],
): Promise<Setting[]> {
  const { settings, layers } = await read(schema, sources);
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

async function read<S extends v.GenericSchema>(
  schema: S,
  { file, set = [] }: ConfigSources,
): Promise<{ settings: v.InferOutput<S>; layers: Layer[] }> {
  const keys = keysOf(schema);
  const layers = [
    ...file === undefined ? [] : [await fileLayer(file)],
    environmentLayer(keys, process.env),
    flagLayer(keys, set),
  ];
  const result = v.safeParse(schema, merge(layers));
  if (result.success) return { settings: result.output, layers };
  const wrong = result.issues.slice(0, maxTold).map((issue) => {
    const path = (issue.path ?? []).map(({ key }) => String(key));
    const lengths = path.map((_, at) => path.length - at);
    const places = lengths.map((length) => path.slice(0, length));
    const origin = [...places, []].map((place) => originOf(layers, place)).find((found) =>
      found !== undefined
    );
    return `${origin ?? file ?? 'the settings'}: ${
      [path.join('.'), issue.message].filter(Boolean).join(': ')
    }`;
  });
  throw new InkmeshError('bad-request', wrong.join('; '));
}
