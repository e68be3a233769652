/** The methods by which nodes exchange facts; WIRE.md says how they work together. */
import * as v from 'valibot';
import * as Y from 'yjs';
import { bytes, integer, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { idBytes } from './facts.ts';
import {
  maxAnnouncedClients,
  maxAnnouncedFacts,
  maxDocs,
  maxFactBytes,
  maxHeavyStreams,
  maxNamedDocs,
  maxPulledBytes,
  maxRecordsPerCall,
  maxVectorBytes,
} from './limits.ts';
import { type Method, noReply } from './rpc.ts';

const KiB = 1024;
const docName = text(128);
const vector = bytes(1, maxVectorBytes);
const ids = (max: number) =>
  v.pipe(
    bytes(0, max * idBytes),
    v.check((b: Uint8Array) => b.length % idBytes === 0, 'whole ids'),
  );

const digestsRequest = v.strictObject({
  /** none: all that there are */
  docs: v.pipe(v.array(docName), v.maxLength(maxNamedDocs)),
});
const digestsReply = v.strictObject({
  docs: v.pipe(
    v.array(v.strictTuple([docName, integer(0, Number.MAX_SAFE_INTEGER), bytes(idBytes, idBytes)])),
    v.maxLength(maxDocs),
  ),
});
/** How many facts a node has of each document, and the XOR of their ids. */
export const digests: Method<typeof digestsRequest, typeof digestsReply> = {
  name: 'digests',
  request: digestsRequest,
  reply: digestsReply,
  admission: 'member',
  maxReplyBytes: 1024 * KiB,
  maxStreams: maxHeavyStreams,
};

/** document; state vector of the clients that have something new; ids of facts that no array carries */
const announceRequest = v.strictTuple([docName, vector, ids(maxAnnouncedFacts)]);
export type Announcement = v.InferOutput<typeof announceRequest>;
/** What the caller has; the callee asks for what it lacks. Lists, not maps: there are as many as facts. */
export const announce: Method<typeof announceRequest, typeof noReply> = {
  name: 'announce',
  request: announceRequest,
  reply: noReply,
  admission: 'member',
};

/** document; state vector; whether of clients that the vector does not name, too */
const pullRequest = v.strictTuple([docName, vector, v.boolean()]);
/** updates; state vector of the callee if all was asked for, an empty one otherwise */
const pullReply = v.strictTuple([
  v.pipe(v.array(bytes(1, maxPulledBytes + 64 * KiB)), v.maxLength(64 * KiB)),
  vector,
]);
/** Records beyond a state vector, one update for each client. */
export const pull: Method<typeof pullRequest, typeof pullReply> = {
  name: 'pull',
  request: pullRequest,
  reply: pullReply,
  admission: 'member',
  maxBytes: maxVectorBytes + 4 * KiB,
  maxReplyBytes: 2 * maxPulledBytes,
  maxStreams: maxHeavyStreams,
};

const bucketsRequest = v.strictObject({ doc: docName });
const bucketsReply = v.strictObject({ sums: bytes(256 * idBytes, 256 * idBytes) });
/** The XOR of the ids that begin with each octet. */
export const buckets: Method<typeof bucketsRequest, typeof bucketsReply> = {
  name: 'buckets',
  request: bucketsRequest,
  reply: bucketsReply,
  admission: 'member',
  maxStreams: maxHeavyStreams,
};

const idsRequest = v.strictObject({ doc: docName, buckets: bytes(1, 256) });
const idsReply = v.strictObject({ ids: ids(512 * KiB) });
/** The ids that begin with these octets. */
export const idsIn: Method<typeof idsRequest, typeof idsReply> = {
  name: 'ids',
  request: idsRequest,
  reply: idsReply,
  admission: 'member',
  maxReplyBytes: 9 * 1024 * KiB,
  maxStreams: maxHeavyStreams,
};

const recordsRequest = v.strictObject({ doc: docName, ids: ids(maxRecordsPerCall) });
const recordsReply = v.strictObject({
  records: v.pipe(v.array(bytes(1, maxFactBytes)), v.maxLength(maxRecordsPerCall)),
});
/** Records by their ids, those that the callee has. */
export const recordsOf: Method<typeof recordsRequest, typeof recordsReply> = {
  name: 'records',
  request: recordsRequest,
  reply: recordsReply,
  admission: 'member',
  maxReplyBytes: maxRecordsPerCall * (maxFactBytes + 8) + KiB,
  maxStreams: maxHeavyStreams,
};

export const encodeVector = (clocks: ReadonlyMap<number, number>): Uint8Array =>
  Y.encodeStateVector(clocks as Map<number, number>);

/** @throws InkmeshError `bad-request` */
export function decodeVector(octets: Uint8Array, max = Infinity): Map<number, number> {
  try {
    const clocks = Y.decodeStateVector(octets);
    if (clocks.size <= max) return clocks;
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the state vector is not one of Yjs', {}, { cause });
  }
  throw new InkmeshError('bad-request', `the state vector names more than ${max} clients`);
}

export const announcedClients = (octets: Uint8Array): Map<number, number> =>
  decodeVector(octets, maxAnnouncedClients);

/** Ids that lie one behind the other. */
export function splitIds(octets: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: octets.length / idBytes },
    (_, i) => octets.slice(i * idBytes, (i + 1) * idBytes),
  );
}

export function joinIds(ids: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(ids));
}
