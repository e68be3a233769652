/** The document of a request on its way to the door: inflated, counted, never whole in memory. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createInflateRaw } from 'node:zlib';
import { InkmeshError } from '../../mesh/errors.ts';
import { submitLimits } from '../limits.ts';
import { refusal } from './ipp-request.ts';
import type { Compression } from './ipp-ticket.ts';

/**
 * The octets of the document itself, at most `max` of them.
 * @throws InkmeshError (while it is read) `bad-request` for an empty or wrongly compressed one, `too-large`
 */
export async function* documentBytes(
  body: AsyncIterable<Uint8Array>,
  compression: Compression,
  max: number,
): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const chunk of compression === 'none' ? body : inflated(body, compression)) {
    length += chunk.length;
    if (length > max) throw new InkmeshError('too-large', `the document is larger than ${max} octets`);
    if (chunk.length > 0) yield chunk;
  }
  if (length === 0) throw new InkmeshError('bad-request', 'the document is empty');
}

/**
 * `deflate` is RFC 1951 without a wrapper (RFC 8011 section 5.4.32). Not by DecompressionStream: Deno's takes deflated
 * octets that end early for whole ones.
 */
async function* inflated(
  body: AsyncIterable<Uint8Array>,
  compression: 'gzip' | 'deflate',
): AsyncGenerator<Uint8Array> {
  let bodyFailed: { thrown: unknown } | undefined;
  async function* steps(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        for (let at = 0; at < chunk.length; at += submitLimits.inflateStepBytes) {
          yield chunk.subarray(at, at + submitLimits.inflateStepBytes);
        }
      }
    } catch (thrown) {
      bodyFailed = { thrown };
      throw thrown;
    }
  }
  const inflate = compression === 'gzip' ? createGunzip() : createInflateRaw();
  // what breaks it breaks its reader too
  pipeline(Readable.from(steps()), inflate).catch(() => {});
  try {
    yield* inflate;
  } catch {
    if (bodyFailed !== undefined) throw bodyFailed.thrown;
    throw refusal('client-error-compression-error', `the document is not ${compression}`);
  }
}

/** Whether a body has no octet, and the same body, unread. */
export async function isEmpty(
  body: AsyncIterable<Uint8Array>,
): Promise<{ empty: boolean; document: AsyncIterable<Uint8Array> }> {
  const chunks = body[Symbol.asyncIterator]();
  let next = await chunks.next();
  while (next.done !== true && next.value.length === 0) next = await chunks.next();
  async function* again(): AsyncGenerator<Uint8Array> {
    for (let chunk = next; chunk.done !== true; chunk = await chunks.next()) yield chunk.value;
  }
  return { empty: next.done === true, document: again() };
}
