/** A configuration file, TOML or JSON, with the lines that its keys are on. */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import type { AST } from 'toml-eslint-parser';
import { asInkmeshError, InkmeshError } from '../mesh/errors.ts';
import { configLimits } from './limits.ts';

export interface ConfigFile {
  readonly value: unknown;
  /** by path, dotted: the line of a key, from 1 */
  readonly lines: ReadonlyMap<string, number>;
}

/** What is in the file: TOML if it is named `*.toml`, else JSON. @throws InkmeshError `bad-request` */
export async function readConfigFile(file: string): Promise<ConfigFile> {
  const content = await readFile(file, 'utf8').catch((cause) => {
    throw unreadable(file, asInkmeshError(cause).message, cause);
  });
  if (content.length > configLimits.maxChars) throw unreadable(file, 'it is too long');
  // editors of Windows begin a text with one
  const text = content.replace(/^\ufeff/, '');
  try {
    return extname(file) === '.toml' ? await parseToml(file, text) : parseJson(file, text);
  } catch (cause) {
    // the parsers recurse
    if (cause instanceof RangeError) throw unreadable(file, 'it is nested too deeply', cause);
    throw cause;
  }
}

function unreadable(file: string, reason: string, cause?: unknown): InkmeshError {
  return new InkmeshError('bad-request', `the configuration ${file} cannot be read: ${reason}`, {}, {
    cause,
  });
}

function parseJson(file: string, content: string): ConfigFile {
  const errors: ParseError[] = [];
  const tree = parseTree(content, errors, { disallowComments: true });
  const lineAt = (offset: number) => content.slice(0, offset).split('\n').length;
  const [error] = errors;
  if (error !== undefined || tree === undefined) {
    const what = error === undefined
      ? 'it is empty'
      : `${printParseErrorCode(error.error)} in what is no JSON`;
    throw unreadable(`${file}:${lineAt(error?.offset ?? 0)}`, what);
  }
  const lines = new Map<string, number>();
  const see = (node: Node, path: readonly string[]): void => {
    for (const { children = [] } of node.type === 'object' ? node.children ?? [] : []) {
      const [key, value] = children;
      if (key === undefined || value === undefined) continue;
      const at = [...path, String(key.value)];
      lines.set(at.join('.'), lineAt(key.offset));
      see(value, at);
    }
  };
  see(tree, []);
  return { value: JSON.parse(content), lines };
}

async function parseToml(file: string, content: string): Promise<ConfigFile> {
  // for the few that have one
  const { getStaticTOMLValue, parseTOML, ParseError } = await import('toml-eslint-parser');
  let tree: AST.TOMLProgram;
  try {
    tree = parseTOML(content);
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    // a value that lacks is missed where the next thing is
    const before = content.slice(0, cause.index).trimEnd();
    const line = before.endsWith('=') ? before.split('\n').length : cause.lineNumber;
    throw unreadable(`${file}:${line}`, cause.message, cause);
  }
  const lines = new Map<string, number>();
  const see = (pairs: readonly AST.TOMLKeyValue[], path: readonly string[]): void => {
    for (const { key, value, loc } of pairs) {
      const at = [...path, ...key.keys.map((part) => part.type === 'TOMLBare' ? part.name : part.value)];
      lines.set(at.join('.'), loc.start.line);
      if (value.type === 'TOMLInlineTable') see(value.body, at);
    }
  };
  for (const part of tree.body[0].body) {
    if (part.type === 'TOMLKeyValue') see([part], []);
    else {
      const path = part.resolvedKey.map(String);
      lines.set(path.join('.'), part.loc.start.line);
      see(part.body, path);
    }
  }
  return { value: getStaticTOMLValue(tree), lines };
}
