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

/** So that no other program that this one starts has the settings, and the secrets among them. */
export function forgetEnvironment(): void {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith(prefix)) delete process.env[name];
  }
}

/**
 * Of `KEY=VALUE`, as `--set` takes it.
 * @param secrets dotted keys that are not taken: every user of a machine sees the command lines of all
 */
export function flagLayer(
  keys: readonly Key[],
  flags: readonly string[],
  secrets: readonly string[],
): Layer {
  const layer = textLayer(flags.map((flag) => {
    const [, name, text = ''] = /^([^=]*)=(.*)$/s.exec(flag) ?? [];
    // what is told of it is the key alone: the value may be a secret
    if (name === undefined) throw new InkmeshError('bad-request', '--set takes KEY=VALUE');
    const key = keys.find(({ path }) => path.join('.') === name);
    if (key === undefined) throw new InkmeshError('bad-request', `--set ${name}: there is no such setting`);
    return { key, text, origin: `--set ${name}` };
  }));
  const [shown] = saidBy(layer, secrets);
  if (shown === undefined) return layer;
  const variable = prefix + shown.replaceAll('.', '_').toUpperCase();
  throw new InkmeshError(
    'bad-request',
    `--set ${shown}: everybody sees a command line: set it in the configuration file, or by ${variable}`,
  );
}

/** Which of these dotted keys a place says. */
export function saidBy({ value }: Layer, keys: readonly string[]): string[] {
  return keys.filter((key) => at(value, key.split('.')) !== undefined);
}

/** What is said of a setting counts over what is said of the group it is in, else the later over the earlier. */
function textLayer(given: readonly { key: Key; text: string; origin: string }[]): Layer {
  const value: Tree = {};
  const outerFirst = given.toSorted((a, b) => a.key.path.length - b.key.path.length);
  for (const { key: { path, type }, text } of outerFirst) {
    let group = value;
    for (const part of path.slice(0, -1)) {
      const inner = group[part];
      group = isTree(inner) ? inner : group[part] = {} as Tree;
    }
    group[path.at(-1) ?? ''] = parse(text, type);
  }
  const origins = new Map(given.map(({ key, origin }) => [key.path.join('.'), origin]));
  return { value, originOf: (path) => origins.get(path.join('.')) };
}

/** What does not parse stays text: the schema says what is wrong with it. */
function parse(text: string, type: string): unknown {
  if (type === 'string' || type === 'picklist') return text;
  if (type === 'array' && !text.startsWith('[')) {
    return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
  }
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
