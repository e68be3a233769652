/** What a command of the command line is: its arguments, and its result as JSON and as text. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import type * as v from 'valibot';
import { check } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';

/** A mistake in how a command was called: exit 2. */
export class UsageError extends Error {}

export interface Result {
  /** what `--json` prints */
  json: unknown;
  /** what a person reads, without the last line's end */
  text: string;
  /** exit code, 0 unless told */
  code?: number;
}

export interface Terminal {
  /** true when the command was called with `--json`: nothing but the result goes to standard output */
  readonly json: boolean;
  /** a line for a person, on standard error; nothing with `--json` */
  say(line: string): void;
  /** a result before the command ends, for those that go on running */
  show(result: Result): void;
  /** draws a progress bar over the last one, on a terminal only */
  progress(label: string, done: number, total: number): void;
  /** From now on a request to end the process (SIGTERM, Ctrl-C) does not end it, but resolves this. */
  stopped(): Promise<void>;
}

export interface Command {
  /** as on the command line: `user add` */
  readonly name: string;
  /** what comes after the name, for the help */
  readonly usage: string;
  readonly about: string;
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** how many arguments it takes */
  readonly positionals: number | 'any';
  /** @returns what to print; nothing when the command has shown it itself */
  run(args: Args, terminal: Terminal): Promise<Result | void>;
}

/** The arguments of one call. */
export class Args {
  readonly positionals: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;

  /** @throws UsageError */
  constructor(command: Command, argv: readonly string[]) {
    try {
      const { values, positionals } = parseArgs({
        args: [...argv],
        options: { ...command.options, json: { type: 'boolean' } },
        allowPositionals: true,
      });
      this.#values = values;
      this.positionals = positionals;
    } catch (error) {
      throw new UsageError(error instanceof Error ? error.message : String(error));
    }
    if (command.positionals !== 'any' && this.positionals.length !== command.positionals) {
      throw new UsageError(`use it like this: inkmesh ${command.name} ${command.usage}`);
    }
  }

  /** The nth argument. */
  at(index: number): string {
    return this.positionals[index] ?? '';
  }

  optional(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** @throws UsageError */
  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) throw new UsageError(`--${name} is missing`);
    return value;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  list(name: string): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
  }

  /** @throws UsageError */
  integer(name: string, fallback: number): number {
    const value = this.optional(name);
    if (value === undefined) return fallback;
    if (!/^\d{1,9}$/.test(value)) throw new UsageError(`--${name} is a whole number`);
    return Number(value);
  }

  /** Milliseconds out of `30m`, `8h`, `7d`. @throws UsageError */
  duration(name: string, fallback: string): number {
    return duration(this.optional(name) ?? fallback, `--${name}`);
  }
}

/** Milliseconds out of `30m`, `8h`, `7d`. @throws UsageError naming it */
export function duration(value: string, name: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(value);
  const unit_ms = { s: 1000, m: 60_000, h: 3600_000, d: 24 * 3600_000 }[match?.[2] ?? ''];
  if (match === null || unit_ms === undefined) throw new UsageError(`${name} is a time like 30m, 8h or 7d`);
  return Number(match[1]) * unit_ms;
}

/** Checks what a person gave. @throws UsageError naming it */
export function checkArgument<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  name: string,
): v.InferOutput<S> {
  try {
    return check(schema, value);
  } catch (error) {
    throw new UsageError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Options that several commands share. */
export const option = {
  text: { type: 'string' },
  flag: { type: 'boolean' },
  list: { type: 'string', multiple: true },
} as const;

/** Lines of a table, columns aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ').trimEnd()).join('\n');
}

/** 1.5 MB of 1500000. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** The sentence of an error for a person. */
export function sentence(thrown: unknown): string {
  if (thrown instanceof InkmeshError || thrown instanceof UsageError) return thrown.message;
  return thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
}
