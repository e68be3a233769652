/**
 * The names of jobs: a UUID of version 8 (RFC 9562 section 5.8) that commits to the node that accepts the job, so
 * that nobody else can state a job under it, and who sees an id first does not matter.
 *
 *     octets 0..7    random, but for the version; of a submission that a client can go on with at another node, derived
 *                    from that one's id and its owner, so that whoever knows these finds the job by its name
 *     octets 8..15   variant, then the first bits of SHA-256("inkmesh job" | author's PeerId | octets 0..7)
 */
import { sha256 } from '@noble/hashes/sha2.js';

const randomBytes = 8;

/** A fresh id of a job that `author` accepts. @param author its PeerId */
export function newJobId(author: string): string {
  const random = crypto.getRandomValues(new Uint8Array(randomBytes));
  random[6] = (random[6]! & 0x0f) | 0x80;
  return textOf(random, author);
}

/**
 * The id of the job that `author` makes of a submission, the same every time.
 * @param author its PeerId
 * @param submission UUID
 */
export function jobIdFor(author: string, owner: string, submission: string): string {
  const derived = sha256(new TextEncoder().encode(`inkmesh submission${submission}${owner}`))
    .slice(0, randomBytes);
  derived[6] = (derived[6]! & 0x0f) | 0x80;
  // never 0 in the first 31 bits, out of which others make a number
  derived[3] = derived[3]! | 1;
  return textOf(derived, author);
}

/** Whether `id` is one that `author` has made. @param author its PeerId */
export function isJobIdOf(id: string, author: string): boolean {
  const digits = id.replaceAll('-', '').slice(0, 2 * randomBytes);
  if (!/^[0-9a-f]{12}8[0-9a-f]{3}$/.test(digits)) return false;
  return textOf(new Uint8Array(Buffer.from(digits, 'hex')), author) === id;
}

function textOf(random: Uint8Array, author: string): string {
  const digest = sha256(Uint8Array.of(...new TextEncoder().encode(`inkmesh job${author}`), ...random));
  digest[0] = (digest[0]! & 0x3f) | 0x80;
  const hex = Buffer.from([...random, ...digest.subarray(0, randomBytes)]).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
