/**
 * The key of an envelope in three shares, of which two give it back and one says nothing (Shamir, GF(2^8)).
 */
import { combine, split } from 'shamir-secret-sharing';
import { keyBytes } from './envelope.ts';
import { InkmeshError } from './errors.ts';

/** Octets of a share: one of each octet of the key, then the x-coordinate, 1 to 255. */
export const shareBytes = keyBytes + 1;

export interface HeldShare {
  /** who gave it: the name that it goes by in `corrupt` */
  readonly holder: string;
  readonly share: Uint8Array;
}

/**
 * Three shares of a key, fresh at every call. Any two of them without the third are a 2-of-2 split.
 * @throws TypeError if the key has not `keyBytes` octets
 */
export async function splitKey(key: Uint8Array): Promise<[Uint8Array, Uint8Array, Uint8Array]> {
  if (key.length !== keyBytes) throw new TypeError(`a key of ${key.length} octets`);
  // the package takes a plain Uint8Array only, and a Buffer is none
  const plain = new Uint8Array(key);
  const [a, b, c] = await split(plain, 3, 2);
  plain.fill(0);
  return [a!, b!, c!];
}

/**
 * The key from two or three shares of different holders.
 * @param commits whether the envelope's header commits to a candidate; the candidate is wiped if it does not
 * @returns the key, and the holders whose share is wrong (which only a third share can tell)
 * @throws InkmeshError `corrupt` if no two shares give the key: details `holders`, comma-separated
 * @throws RangeError for another number of shares, or two of one holder
 */
export async function combineShares(
  shares: readonly HeldShare[],
  commits: (key: Uint8Array) => boolean | Promise<boolean>,
): Promise<{ key: Uint8Array; corrupt: string[] }> {
  const holders = new Set(shares.map(({ holder }) => holder));
  if (shares.length < 2 || shares.length > 3 || holders.size !== shares.length) {
    throw new RangeError(`${shares.length} shares of ${holders.size} holders`);
  }
  const usable = shares.filter(({ share }) => share.length === shareBytes && share[keyBytes] !== 0);
  for (const [a, b] of pairs(usable)) {
    const key = await join(a, b);
    if (key === undefined) continue;
    if (await commits(key)) {
      const right = await Promise.all(
        shares.map((s) => s === a || s === b || liesOn(s, a, b, usable, commits)),
      );
      return { key, corrupt: shares.filter((_, i) => !right[i]).map(({ holder }) => holder) };
    }
    key.fill(0);
  }
  const names = [...holders].join(',');
  throw new InkmeshError('corrupt', `no two shares of ${names} give the key; ask the third holder`, {
    holders: names,
  });
}

function pairs(shares: readonly HeldShare[]): [HeldShare, HeldShare][] {
  return shares.flatMap((a, i) => shares.slice(i + 1).map((b): [HeldShare, HeldShare] => [a, b]));
}

/**
 * Whether a further share is on the line of two right ones: with one of another x-coordinate it gives the key
 * too.
 */
async function liesOn(
  share: HeldShare,
  a: HeldShare,
  b: HeldShare,
  usable: readonly HeldShare[],
  commits: (key: Uint8Array) => boolean | Promise<boolean>,
): Promise<boolean> {
  if (!usable.includes(share)) return false;
  const key = (await join(share, a)) ?? (await join(share, b));
  if (key === undefined) return false;
  const right = await commits(key);
  key.fill(0);
  return right;
}

/** What two shares give, right or wrong; nothing if they have one x-coordinate. */
async function join(a: HeldShare, b: HeldShare): Promise<Uint8Array | undefined> {
  if (a.share[keyBytes] === b.share[keyBytes]) return undefined;
  const plain = [new Uint8Array(a.share), new Uint8Array(b.share)];
  const key = await combine(plain);
  for (const copy of plain) copy.fill(0);
  return key;
}
