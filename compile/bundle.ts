/** The whole program as one module, with everything that it reads from its sources inside. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as esbuild from 'esbuild';
import type { Build } from '../src/build.ts';
import { commit, root } from './commit.ts';

export interface BundleOptions {
  /** CommonJS is what Node's code cache takes; Deno takes modules */
  format: 'cjs' | 'esm';
  single: boolean;
  outfile: string;
}

/** @throws Error when the sources do not bundle */
export async function bundle({ format, single, outfile }: BundleOptions): Promise<void> {
  const build: Build = { commit: commit(), single };
  try {
    await esbuild.build({
      entryPoints: [join(root, 'src/main.ts')],
      bundle: true,
      platform: 'node',
      target: 'node26',
      format,
      outfile,
      jsx: 'automatic',
      jsxImportSource: 'hono/jsx',
      // the ipp package dispatches on names of functions, and so do stack traces that people read
      keepNames: true,
      minifyWhitespace: true,
      minifySyntax: true,
      // an uncaught error shows its line
      lineLimit: 160,
      // its other form asks for its files at run time
      alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
      legalComments: 'eof',
      define: {
        INKMESH_BUILD: JSON.stringify(build),
        // native helpers of ws, which would be looked for beside the program by whoever can write there
        'process.env.WS_NO_BUFFER_UTIL': '"1"',
        'process.env.WS_NO_UTF_8_VALIDATE': '"1"',
        // only where the program is one file is nothing beside it, and only there is the form CommonJS
        ...(format === 'cjs' ? { 'import.meta.url': '""' } : {}),
      },
      ...(format === 'esm' ? { banner: { js: requireOfBuiltins } } : {}),
      plugins: [clientFilesInside],
      logLevel: 'warning',
    });
    requireAscii(outfile);
  } finally {
    await esbuild.stop();
  }
}

/** One character beyond makes V8 keep two octets for each of the program's: esbuild escapes all but raw templates. */
function requireAscii(file: string): void {
  const text = readFileSync(file, 'latin1');
  // deno-lint-ignore no-control-regex
  const at = text.search(/[^\x00-\x7f]/);
  if (at !== -1) throw new Error(`the bundle is to be ASCII; it is not at ${text.slice(at - 60, at + 20)}`);
}

/** What the binary begins with, in CommonJS. */
export async function bundleMain(outfile: string): Promise<void> {
  await esbuild.build({
    entryPoints: [join(root, 'compile/sea-main.ts')],
    ...{ bundle: true, platform: 'node', target: 'node26', format: 'cjs', outfile, logLevel: 'warning' },
  });
  await esbuild.stop();
}

/** CommonJS packages in a module ask for Node's own modules by `require`. */
const requireOfBuiltins = `import { createRequire as nodeRequire } from 'node:module';` +
  `const require = nodeRequire(import.meta.url);`;

/** Puts what src/release/client-file.ts reads in its place. */
const clientFilesInside: esbuild.Plugin = {
  name: 'client-files-inside',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]src[\\/]release[\\/]client-file\.ts$/ }, ({ path }) => {
      const folder = join(dirname(path), 'client');
      const contents = Object.fromEntries(
        readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
      );
      return {
        contents: `const files = ${JSON.stringify(contents)};
          export function clientFile(name) {
            if (!Object.hasOwn(files, name)) throw new TypeError('no client file ' + name);
            return new TextEncoder().encode(files[name]);
          }`,
        loader: 'js',
      };
    });
  },
};
