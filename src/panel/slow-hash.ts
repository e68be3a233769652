/**
 * What makes a guess expensive: scrypt (RFC 7914), a few at a time, so that many logins cost the machine no more memory
 * than that. The platform's own does it beside the event loop, and in half the time.
 */
import { scrypt } from 'node:crypto';
import { InkmeshError } from '../../mesh/errors.ts';
import { panelLimits } from '../limits.ts';

const hashBytes = 32;
const { N, r, p } = panelLimits.scrypt;
const waiting: (() => void)[] = [];
let busy = 0;

/** 32 octets of a secret text. @throws InkmeshError `busy` when too many wait */
export async function slowHash(secret: string, salt: Uint8Array): Promise<Uint8Array> {
  if (busy >= panelLimits.atOnce) {
    if (waiting.length >= panelLimits.maxWaiting) {
      throw new InkmeshError('busy', 'too many log in at this moment: try again');
    }
    await new Promise<void>((turn) => waiting.push(turn));
  } else busy++;
  try {
    return await hash(secret, salt);
  } finally {
    const next = waiting.shift();
    if (next === undefined) busy--;
    else next();
  }
}

function hash(secret: string, salt: Uint8Array): Promise<Uint8Array> {
  const cost = { N, r, p, maxmem: 256 * N * r };
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, hashBytes, cost, (error, key) => {
      if (error === null) resolve(new Uint8Array(key));
      else reject(error);
    });
  });
}
