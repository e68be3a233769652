/**
 * The program itself, but for a death wish: a node that kills itself (SIGKILL) at a named point of a job's way.
 * `faulty-node.ts … node --dir DIR`: what comes before `node` is ignored, so that it can stand in front of the
 * command that it replaces. The wish is a file beside the data directory (see `Wish`), read at every point.
 */
import { readFileSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { Claimant } from '../../mesh/claim.ts';
import { decode } from '../../mesh/codec.ts';
import { Custody } from '../../mesh/custody.ts';
import { leaseSchema } from '../../mesh/lease.ts';
import { FactLedger } from '../../mesh/ledger.ts';
import type { Claim, ClaimTable, PieceTable, Spool } from '../../mesh/mod.ts';
import { Acceptor } from '../../mesh/store.ts';
import { runCommandLine } from '../../src/cli/run.ts';
import type { Wish } from './wish.ts';
import { wishFile } from './wish.ts';

const argv = process.argv.slice(process.argv.lastIndexOf('node'));
const dir = argv[argv.indexOf('--dir') + 1] ?? '';
const name = basename(dir);
const file = wishFile(dirname(dir));

let passed = 0;
let wished = '';

/** Says that the node is at a point. Does not return if it is wished dead there. */
function pass(point: string): void {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return;
  }
  if (text !== wished) [wished, passed] = [text, 0];
  const wish = JSON.parse(text) as Wish;
  if (wish.point !== point || !wish.nodes.includes(name) || ++passed < wish.nth) return;
  try {
    // of several that are at the point one gets the wish
    renameSync(file, join(dirname(file), `killed-${name}`));
  } catch {
    return;
  }
  process.kill(process.pid, 'SIGKILL');
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Makes calls of a method pass `before WHAT` and, when it has returned or resolved, `after WHAT`.
 * @param what a name, or what makes one of the arguments
 */
function watch<T extends object, K extends keyof T & string>(
  on: T,
  method: K,
  what: string | ((...args: unknown[]) => string),
): void {
  const original = on[method] as Method;
  const watched: Method = function (...args) {
    const point = typeof what === 'string' ? what : what(...args);
    pass(`before ${point}`);
    const result = original.apply(this, args);
    if (!(result instanceof Promise)) {
      pass(`after ${point}`);
      return result;
    }
    return result.then((value: unknown) => {
      pass(`after ${point}`);
      return value;
    });
  };
  on[method] = watched as T[K];
}

function phaseOf(lease: unknown): string {
  const { vote, erased } = decode(leaseSchema, lease as Uint8Array);
  return erased ? 'erased' : vote?.phase ?? 'free';
}

function watchPieces(pieces: PieceTable): void {
  watch(pieces, 'put', 'pieces.put');
  watch(pieces, 'seal', 'pieces.seal');
  watch(pieces, 'setLease', (_job, lease) => `pieces.setLease ${phaseOf(lease)}`);
  watch(pieces, 'dropShare', 'pieces.dropShare');
  watch(pieces, 'remove', 'pieces.remove');
}

function watchSpool(spool: Spool): void {
  watch(spool, 'remove', 'spool.remove');
  const { create } = spool;
  spool.create = async (...args) => {
    const writer = await create(...args);
    watch(writer, 'write', 'spool.write');
    watch(writer, 'finish', 'spool.finish');
    return writer;
  };
}

function watchClaims(claims: ClaimTable): void {
  watch(claims, 'put', (row) => `claims.put ${(row as { phase: string }).phase}`);
  watch(claims, 'remove', 'claims.remove');
}

/** The document on its way to the printer: each chunk before the printer gets it and after; and when it has all. */
function watchClaim(claim: Claim): Claim {
  watch(claim, 'begin', 'claim.begin');
  watch(claim, 'settle', 'claim.settle');
  const { document } = claim;
  claim.document = async function* () {
    for await (const chunk of document.call(claim)) {
      pass('before document chunk');
      yield chunk;
      pass('after document chunk');
    }
    pass('after document');
  };
  return claim;
}

const { open: openCustody } = Custody;
Custody.open = (options) => {
  watchPieces(options.pieces);
  watchSpool(options.spool);
  return openCustody.call(Custody, options);
};
const { open: openClaimant } = Claimant;
Claimant.open = (options) => {
  watchClaims(options.claims);
  return openClaimant.call(Claimant, options);
};
const { claim } = Claimant.prototype;
Claimant.prototype.claim = async function (...args) {
  const claimed = watchClaim(await claim.apply(this, args));
  pass('after claim.claim');
  return claimed;
};
watch(Acceptor.prototype, 'accept', 'accept');
for (const method of ['store', 'seal', 'vote', 'begin', 'yield', 'settle'] as const) {
  watch(Custody.prototype, method, `answer ${method}`);
}
for (const method of ['add', 'publish'] as const) {
  watch(FactLedger.prototype, method, (fact) => `ledger.${method} ${(fact as { kind: string }).kind}`);
}

process.exit(await runCommandLine(argv));
