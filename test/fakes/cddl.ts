/** The part of CDDL (RFC 8610) that mesh/WIRE.md is written in, and schemas in the same words, to be compared. */
import type * as v from 'valibot';
import { idBytes } from '../../mesh/facts.ts';
import { claimSchema } from '../../mesh/lease.ts';
import * as names from '../../mesh/names.ts';

/** The rules of a page, by their names. */
export type Rules = ReadonlyMap<string, string>;

export function readRules(page: string): Rules {
  const blocks = [...page.matchAll(/^```cddl\n(.*?)^```/gms)].map(([, block = '']) => block);
  const text = blocks.join('\n').replace(/;.*$/gm, '');
  const starts = [...text.matchAll(/^([a-z][a-z-]*)(?:<[^>]*>)? = /gm)];
  return new Map(starts.map((start, i) => [
    start[1] ?? '',
    text.slice(start.index + start[0].length, starts[i + 1]?.index).trim(),
  ]));
}

const choice = (options: readonly string[]) => [...new Set(options)].sort().join(' / ');
const map = (entries: readonly string[]) => `{ ${[...entries].sort().join(', ')} }`;

/** One way to write what a rule allows: without names of other rules, keys and choices in order. */
export function canonical(rules: Rules, rule: string): string {
  const text = rules.get(rule);
  if (text === undefined) throw new TypeError(`there is no rule ${rule}`);
  // text of which the page says in words what it is like
  if (text === 'tstr') return rule;
  const reader = new Reader(rules, text.match(/"[^"]*"|[A-Za-z_][\w-]*|\d+|\.\.|\S/g) ?? []);
  const type = reader.type();
  if (reader.peek() !== undefined) throw new TypeError(`${rule}: unexpected ${reader.peek()}`);
  return type;
}

class Reader {
  readonly #rules: Rules;
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(rules: Rules, tokens: readonly string[]) {
    this.#rules = rules;
    this.#tokens = tokens;
  }

  peek(ahead = 0): string | undefined {
    return this.#tokens[this.#at + ahead];
  }

  type(): string {
    const options = [this.#one()];
    while (this.peek() === '/') {
      this.#at++;
      options.push(this.#one());
    }
    return choice(options.flatMap((option) => /^[{[]/.test(option) ? [option] : option.split(' / ')));
  }

  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new TypeError('the rule ends too early');
    return token;
  }

  #one(): string {
    const token = this.#next();
    if (token === '{') return map(this.#group('}'));
    if (token === '[') {
      return `[ ${this.#group(']').map((entry) => entry.replace(/^\w+: /, '')).join(', ')} ]`;
    }
    if (this.peek() === '..') {
      this.#at++;
      return `${token}..${this.#next()}`;
    }
    if (/^["\d]|^(?:bool|null)$/.test(token)) return token;
    if (this.peek() !== '<') return canonical(this.#rules, token);
    this.#at++;
    const numbers = this.#group('>').map(Number);
    if (token === 'ids') return `octets<0, ${(numbers[0] ?? 0) * idBytes}>`;
    return `${token}<${numbers.join(', ')}>`;
  }

  #group(end: string): string[] {
    const entries: string[] = [];
    while (this.peek() !== end) {
      const optional = this.peek() === '?' ? `${this.#next()} ` : '';
      const many = this.peek(1) === '*' ? `${this.#next()}${this.#next()}${this.#next()} ` : '';
      const key = this.peek(1) === ':' ? `${this.#next()}${this.#next()} ` : '';
      entries.push(optional + many + key + this.type());
      if (this.peek() === ',') this.#at++;
    }
    this.#at++;
    return entries;
  }
}

const named = new Map<unknown, string>([
  ...([names.nodeName, names.siteName, names.printerName].map((name) => [name, 'node'] as const)),
  [names.userName, 'user'],
  [names.peerId, 'peer'],
  [names.uuid, 'uuid'],
  [names.jobId, 'job'],
  [names.fingerprint, 'fingerprint'],
  [claimSchema, 'claim'],
]);

/** What of valibot's schemas is looked at. */
interface Shape {
  type: string;
  message?: unknown;
  entries?: Record<string, Shape>;
  options?: readonly (Shape | string)[];
  pipe?: readonly Shape[];
  items?: readonly Shape[];
  item?: Shape;
  wrapped?: Shape;
  literal?: unknown;
  requirement?: unknown;
}

/** A schema in the words of `canonical`. */
export function cddlOf(schema: v.GenericSchema): string {
  return said(schema as unknown as Shape);
}

function said(shape: Shape): string {
  const name = named.get(shape);
  if (name !== undefined) return name;
  switch (shape.type) {
    case 'strict_object':
      return map(
        Object.entries(shape.entries ?? {}).map(([key, value]) =>
          value.type === 'optional' ? `? ${key}: ${said(value.wrapped!)}` : `${key}: ${said(value)}`
        ),
      );
    case 'strict_tuple':
      return `[ ${shape.items?.map(said).join(', ')} ]`;
    case 'array': {
      const exactly = bound(shape, 'length');
      const least = exactly ?? bound(shape, 'min_length') ?? '0';
      return `[ ${least}*${exactly ?? bound(shape, 'max_length')} ${said(shape.item!)} ]`;
    }
    case 'custom':
      return `octets<${/^expected (\d+) to (\d+) bytes$/.exec(String(shape.message))?.slice(1).join(', ')}>`;
    case 'string':
      return `text<${bound(shape, 'max_length')}>`;
    case 'number':
      return `${bound(shape, 'min_value')}..${bound(shape, 'max_value')}`;
    case 'literal':
      return JSON.stringify(shape.literal);
    case 'picklist':
      return choice((shape.options ?? []).map((option) => JSON.stringify(option)));
    case 'union':
    case 'variant':
      return choice((shape.options ?? []).map((option) => said(option as Shape)));
    case 'nullable':
      return choice([said(shape.wrapped!), 'null']);
    default:
      return shape.type === 'boolean' ? 'bool' : shape.type;
  }
}

/** The bound that a pipe sets, wherever in it. */
function bound(shape: Shape, action: string): string | undefined {
  for (const part of shape.pipe ?? []) {
    if (part.type === action) return String(part.requirement);
    const within = part === shape.pipe?.[0] && part.pipe !== undefined ? bound(part, action) : undefined;
    if (within !== undefined) return within;
  }
  return undefined;
}
