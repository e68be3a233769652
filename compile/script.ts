/** The program as one script of V8's. */
import process from 'node:process';
import { Script } from 'node:vm';

export interface ProgramScript {
  run(require: NodeJS.Require): void;
  /** bytecode of all that has run so far */
  bytecode(): Buffer;
}

/** @param program CommonJS, in ASCII: any other character doubles what it takes of memory */
export function readScript(program: Uint8Array, bytecode?: Buffer): ProgramScript {
  const source = Buffer.from(program.buffer, program.byteOffset, program.length).toString('latin1');
  const names = 'exports,require,module,__filename,__dirname';
  const script = new Script(`(function(${names}){${source}\n})`, {
    filename: 'inkmesh.cjs',
    ...bytecode === undefined ? {} : { cachedData: bytecode },
  });
  return {
    run(require) {
      const module = { exports: {} };
      script.runInThisContext()(module.exports, require, module, process.execPath, '');
    },
    bytecode: () => script.createCachedData(),
  };
}
