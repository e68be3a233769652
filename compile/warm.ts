/**
 * `node warm.ts PROGRAM BYTECODE DIR`: starts the node of a data directory, and when it is ready writes the bytecode of
 * all that has run, and ends. With the same runtime and V8 flags as the binary, or V8 would not take it there.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { readScript } from './script.ts';

const [program = '', bytecode = '', dir = ''] = process.argv.slice(2);
const script = readScript(readFileSync(program));
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (text: string | Uint8Array) => {
  if (!String(text).includes('"ready"')) return write(text);
  writeFileSync(bytecode, script.bytecode());
  process.exit(0);
};
process.argv = [process.execPath, program, 'node', '--dir', dir, '--json'];
script.run(createRequire(program));
