/**
 * What runs first in a binary with Node's runtime: the program, as one script, with the bytecode that compile/warm.ts
 * has gathered. Node's own code cache holds only what is compiled before anything runs, a small part of what starting
 * needs. V8 takes bytecode of the same version and flags, and otherwise compiles.
 */
import { readScript } from './script.ts';

declare const require: NodeJS.Require;

/** Deno has no such module */
const { getAssetKeys, getRawAsset } = require('node:sea') as {
  getAssetKeys(): string[];
  getRawAsset(name: string): ArrayBuffer;
};
const octets = (name: string) => Buffer.from(getRawAsset(name));
const bytecode = getAssetKeys().includes('bytecode') ? octets('bytecode') : undefined;
readScript(octets('program'), bytecode).run(require);
