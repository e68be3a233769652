/** Settings from several places, the later over the earlier, and which place each has come from. */
import type * as v from 'valibot';
import { InkmeshError } from '../mesh/errors.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';

type Path = readonly string[];
type Tree = { [key: string]: unknown };

/** One place that settings come from. */
export interface Layer {
  readonly value: unknown;
  /** where exactly it says so; undefined when it says nothing of this */
  originOf(path: Path): string | undefined;
}

/** A key that a setting, or a group of them, has. */
interface Key {
  readonly path: Path;
  /** `string`, `array`, `object`…: valibot's word */
  readonly type: string;
}

const prefix = 'INKMESH_SET_';

/** Every key of a schema of objects in objects, groups before what is in them. */
export function keysOf(schema: v.GenericSchema, path: Path = []): Key[] {
  const { type, wrapped, entries } = schema as v.GenericSchema & {
    wrapped?: v.GenericSchema;
    entries?: Record<string, v.GenericSchema>;
  };
  if (wrapped !== undefined) return keysOf(wrapped, path);
  const own = path.length === 0 ? [] : [{ path, type: entries === undefined ? type : 'object' }];
  return [
    ...own,
    ...Object.entries(entries ?? {}).flatMap(([name, entry]) => keysOf(entry, [...path, name])),
  ];
}

/** @throws InkmeshError `bad-request` */
export async function fileLayer(file: string): Promise<Layer> {
  const { value, lines }: ConfigFile = await readConfigFile(file);
  if (!isTree(value)) throw new InkmeshError('bad-request', `${file}:1: it is not made of keys and values`);
  return {
    value,
    originOf: (path) => {
      const line = path.length === 0 ? 1 : lines.get(path.join('.'));
      return line === undefined ? undefined : `${file}:${line}`;
    },
  };
}

/** Of variables `INKMESH_SET_` and the key, in capitals, `_` for `.`; empty ones count as not set. */
export function environmentLayer(keys: readonly Key[], environment: Readonly<NodeJS.ProcessEnv>): Layer {
  const given = Object.entries(environment).filter(([name, text]) => name.startsWith(prefix) && text !== '');
  const variable = ({ path }: Key) => prefix + path.join('_').toUpperCase();
  return textLayer(given.map(([name, text = '']) => {
    const key = keys.find((key) => variable(key) === name);
    if (key === undefined) throw new InkmeshError('bad-request', `${name} is of no setting that there is`);
    return { key, text, origin: name };
  }));
}

/** Of `KEY=VALUE`, as `--set` takes it. */
export function flagLayer(keys: readonly Key[], flags: readonly string[]): Layer {
  return textLayer(flags.map((flag) => {
    const [, name = '', text = ''] = /^([\w.]+)=(.*)$/s.exec(flag) ?? [];
    const key = keys.find(({ path }) => path.join('.') === name);
    if (key === undefined) throw new InkmeshError('bad-request', `--set ${flag}: there is no such setting`);
    return { key, text, origin: `--set ${name}` };
  }));
}

function textLayer(given: readonly { key: Key; text: string; origin: string }[]): Layer {
  const value: Tree = {};
  for (const { key: { path, type }, text } of given) {
    let at = value;
    for (const part of path.slice(0, -1)) at = (at[part] ??= {}) as Tree;
    at[path.at(-1) ?? ''] = parse(text, type);
  }
  const origins = new Map(given.map(({ key, origin }) => [key.path.join('.'), origin]));
  return { value, originOf: (path) => origins.get(path.join('.')) };
}

/** What does not parse stays text: the schema says what is wrong with it. */
function parse(text: string, type: string): unknown {
  if (type === 'string' || type === 'picklist') return text;
  if (type === 'array' && !text.startsWith('[')) return text.split(',').map((item) => item.trim());
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The settings of all layers, the last of which counts most. */
export function merge(layers: readonly Layer[]): unknown {
  return layers.map(({ value }) => value).reduce(over, {});
}

function over(below: unknown, above: unknown): unknown {
  if (!isTree(below) || !isTree(above)) return above;
  const merged: Tree = { ...below };
  for (const [key, value] of Object.entries(above)) {
    merged[key] = key in below ? over(below[key], value) : value;
  }
  return merged;
}

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Where a setting comes from: of the layers that say it, or what it is in, the last. */
export function originOf(layers: readonly Layer[], path: Path): string | undefined {
  for (let length = path.length; length >= 0; length--) {
    for (const layer of layers.toReversed()) {
      const origin = layer.originOf(path.slice(0, length));
      // a group that a place speaks of says nothing of the settings that it leaves out
      if (
        origin !== undefined && (length === path.length || !isTree(at(layer.value, path.slice(0, length))))
      ) {
        return origin;
      }
    }
  }
  return undefined;
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, part) => isTree(inner) ? inner[part] : undefined, value);
}
