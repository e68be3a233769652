/** The rules of the layout in ARCHITECTURE.md, and the limits of size that keep a file readable. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

interface Rule {
  /** the importing file */
  from: RegExp;
  /** what it may not import: a path in the project, or the name of a package as it is written */
  to: RegExp;
  except?: RegExp;
  why: string;
}

const rules: Rule[] = [
  {
    from: /^mesh\/(?:envelope|shares|lease|codec|errors|job-id|names|limits|age)\.ts$/,
    to: /./,
    except:
      /^mesh\/(?:envelope|shares|lease|codec|errors|job-id|names|limits|age)\.ts$|^(?:@noble\/ciphers|@noble\/hashes|shamir-secret-sharing|cborg|valibot)(?:\/|$)/,
    why: 'pure files of the mesh import each other, cryptography and the codec only',
  },
  { from: /^mesh\//, to: /^(?:src|cloud)\//, why: 'the mesh knows nothing of what is built on it' },
  {
    from: /^src\//,
    to: /^mesh\//,
    // values, vocabulary and helpers without state, which the print system shares with the wire
    except: /^mesh\/(?:mod|errors|codec|names|address|remember)\.ts$/,
    why: 'the print system enters the mesh by mod.ts',
  },
  {
    from: /^cloud\//,
    to: /^mesh\//,
    except: /^mesh\/(?:mod|errors|codec|names)\.ts$/,
    why: 'the cloud enters the mesh by mod.ts',
  },
  {
    from: /^cloud\//,
    to: /^src\/(?:cli|submit|deliver|panel)\/|^src\/(?:node|spool)\.ts$|^src\/release\/release\.ts$/,
    why: 'the cloud takes no document, keeps none and prints none',
  },
  { from: /^src\/submit\//, to: /^src\/(?:release|deliver|printers)\//, why: 'submit stands alone' },
  { from: /^src\/release\//, to: /^src\/(?:submit|printers)\//, why: 'release uses deliver only' },
  { from: /^src\/deliver\//, to: /^src\/(?:submit|release)\//, why: 'deliver uses printers only' },
  { from: /^src\/printers\//, to: /^src\/(?:submit|release|deliver)\//, why: 'printers stands alone' },
  {
    from: /^(?!src\/deliver\/deliver\.ts$|test\/)/,
    to: /^src\/deliver\/(?:ipp|raw|queue)\.ts$/,
    why: 'only deliver.ts knows the adapters',
  },
  { from: /^(?!test\/)/, to: /^test\//, why: 'nothing that ships knows the tests' },
  { from: /^(?!compile\/|test\/)/, to: /^compile\//, why: 'nothing that ships knows how it is built' },
];

const entries = [
  ...['src/main.ts', 'cloud/server.ts', 'compile/build.ts'],
  // what a build starts, and puts into the binary
  ...['compile/warm.ts', 'compile/sea-main.ts'],
];
const testEntries = /^test\/(?:run|child|bench\/run|sim\/scale-run)\.ts$|\.(?:test|bench|generate)\.tsx?$/;
const maxFileLines = 400;
const maxFunctionLines = 60;
/** a place of one machine: an absolute path into somebody's folder */
const machinePath = /(?<![\w.@~})*-])\/(?:root|work|home)\b(?!-)/;
const notOurs = new Set(['.git', 'node_modules', 'dist', 'deno.lock']);

interface Source {
  path: string;
  lines: number;
  tree: ts.SourceFile;
  imports: { specifier: string; target: string; at: number }[];
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function listFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (notOurs.has(path)) return [];
    if (entry.isDirectory()) return listFiles(path);
    return entry.isFile() && !path.endsWith('.log') ? [path] : [];
  });
}

/** The module that a node names: of an import, an export from, an `import()`, or a `new URL(…)` of a module. */
function specifierOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return ts.isStringLiteral(node.argument.literal) ? node.argument.literal : undefined;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return node.arguments[0];
  }
  if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'URL') {
    const [url] = node.arguments ?? [];
    return url && ts.isStringLiteral(url) && /^\..*\.tsx?$/.test(url.text) ? url : undefined;
  }
  return undefined;
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

function lineOf(tree: ts.SourceFile, position: number): number {
  return tree.getLineAndCharacterOfPosition(position).line + 1;
}

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const imports: Source['imports'] = [];
  visit(tree, (node) => {
    const literal = specifierOf(node);
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return;
    const specifier = literal.text;
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier;
    imports.push({ specifier, target, at: lineOf(tree, literal.getStart(tree)) });
  });
  return { path, lines: text.trimEnd().split('\n').length, tree, imports };
}

function reachable(from: string[]): Set<string> {
  const seen = new Set<string>();
  const queue = [...from];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    queue.push(...(sources.get(path)?.imports ?? []).map((imported) => imported.target));
  }
  return seen;
}

/** One line for each node that `judge` has something to say about. */
function complaints(judge: (node: ts.Node, source: Source) => string | undefined): string[] {
  const found: string[] = [];
  for (const source of sources.values()) {
    visit(source.tree, (node) => {
      const complaint = judge(node, source);
      if (complaint === undefined) return;
      found.push(`${source.path}:${lineOf(source.tree, node.getStart(source.tree))} ${complaint}`);
    });
  }
  return found;
}

function none(found: string[]): void {
  assert.equal(found, []);
}

const files = listFiles('.');
const sources = new Map(files.filter((path) => /\.tsx?$/.test(path)).map((path) => [path, readSource(path)]));

test('imports keep to the directions of the layout', () => {
  none(
    [...sources.values()].flatMap(({ path, imports }) =>
      imports.flatMap(({ target, at }) =>
        rules
          .filter((rule) => rule.from.test(path) && rule.to.test(target) && !rule.except?.test(target))
          .map((rule) => `${path}:${at} imports ${target}: ${rule.why}`)
      )
    ),
  );
});

test('relative imports name the file with its extension', () => {
  none(
    [...sources.values()].flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier }) => specifier.startsWith('.') && !/\.(?:tsx?|js|json)$/.test(specifier))
        .map(({ specifier, at }) => `${path}:${at} imports ${specifier}`)
    ),
  );
});

test('every file is used', () => {
  const paths = [...sources.keys()];
  const shipped = reachable(entries);
  const tested = reachable(paths.filter((path) => testEntries.test(path)));
  none(paths.filter((path) => !(path.startsWith('test/') ? tested : shipped).has(path)));
});

test(`a file has at most ${maxFileLines} lines`, () => {
  none(
    [...sources.values()]
      .filter(({ lines }) => lines > maxFileLines)
      .map(({ path, lines }) => `${path} has ${lines}`),
  );
});

test(`a function has at most ${maxFunctionLines} lines`, () => {
  none(complaints((node, { tree }) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined;
    const lines = lineOf(tree, node.end) - lineOf(tree, node.getStart(tree)) + 1;
    return lines > maxFunctionLines ? `has ${lines}` : undefined;
  }));
});

test('nothing is typed any', () => {
  none(complaints((node) => node.kind === ts.SyntaxKind.AnyKeyword ? 'any' : undefined));
});

test('only the command line and the tests print with console.log', () => {
  none(complaints((node, { path, tree }) => {
    if (/^(?:src\/cli|test)\//.test(path) || !ts.isPropertyAccessExpression(node)) return undefined;
    return node.getText(tree) === 'console.log' ? 'console.log' : undefined;
  }));
});

test('no test is left as the only one', () => {
  none(complaints((node, { path }) => {
    if (!path.endsWith('.test.ts') || !ts.isCallExpression(node)) return undefined;
    const called = node.expression;
    return ts.isPropertyAccessExpression(called) && called.name.text === 'only' ? 'only' : undefined;
  }));
});

test('no file names a place of one machine', () => {
  none(files.flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    if (text.includes('\0')) return [];
    return text.split('\n').flatMap((line, at) =>
      machinePath.test(line) ? [`${path}:${at + 1} ${line.trim()}`] : []
    );
  }));
});

test.run();
