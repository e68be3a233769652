/**
 * A stand-in for PowerShell on Windows: what it is given to print goes to a folder, as the program that
 * src/deliver/queue.ts has it run hands it to the spooler. Started by its own path it is that program.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { tempDir } from './processes.ts';

export interface FakeSpooler {
  /** what was printed, whole */
  documents(): Uint8Array[];
  /** the programs that it was given on its command line */
  programs(): string[];
  /** their names */
  titles(): string[];
  stop(): Promise<void>;
}

/** From now on this process finds it as `powershell.exe`. */
export function startSpooler(): FakeSpooler {
  const dir = tempDir();
  const kept = join(dir, 'kept');
  mkdirSync(kept);
  const [asked, named] = [join(dir, 'asked'), `${kept}-titles`];
  for (const folder of [asked, named]) mkdirSync(folder);
  const flags = process.versions['deno'] === undefined ? [] : ['run', '--allow-all'];
  const command = [process.execPath, ...flags, fileURLToPath(import.meta.url), kept];
  const program = join(dir, 'powershell.exe');
  writeFileSync(
    program,
    `#!/bin/sh\nfor last; do :; done\necho "$last" > '${asked}'/$$\nexec ${
      command.map((word) => `'${word}'`).join(' ')
    }\n`,
  );
  chmodSync(program, 0o755);
  const before = process.env['PATH'] ?? '';
  process.env['PATH'] = [dir, before].join(delimiter);
  return {
    programs: () =>
      readdirSync(asked).map((name) =>
        Buffer.from(readFileSync(join(asked, name), 'utf8'), 'base64').toString('utf16le')
      ),
    titles: () => readdirSync(named).map((name) => readFileSync(join(named, name), 'utf8')),
    documents: () => readdirSync(kept).map((name) => new Uint8Array(readFileSync(join(kept, name)))),
    stop: () => {
      process.env['PATH'] = before;
      return Promise.resolve();
    },
  };
}

async function print(kept: string): Promise<void> {
  console.log('open');
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  const all = Buffer.concat(parts);
  const title = all.length < 4 ? 0 : 4 + all.readInt32LE(0);
  const rest = all.subarray(title);
  if (rest.length < 8 || rest.readBigInt64LE(0) !== BigInt(rest.length - 8)) {
    console.error('the document broke off');
    process.exit(1);
  }
  writeFileSync(join(`${kept}-titles`, String(process.pid)), all.subarray(4, title));
  writeFileSync(join(kept, String(process.pid)), rest.subarray(8));
  console.log('done');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await print(process.argv[2] ?? '');
