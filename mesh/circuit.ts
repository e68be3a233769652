/** The messages of circuit relay v2 (https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md): pure. */
import { InkmeshError } from './errors.ts';

export const hopProtocol = '/libp2p/circuit/relay/0.2.0/hop';
export const stopProtocol = '/libp2p/circuit/relay/0.2.0/stop';

/** The statuses of the specification that are answered here. */
export const status = {
  ok: 100,
  reservationRefused: 200,
  resourceLimitExceeded: 201,
  permissionDenied: 202,
  connectionFailed: 203,
  noReservation: 204,
  malformedMessage: 400,
} as const;
export type Status = (typeof status)[keyof typeof status];

const maxFields = 64;

/** What a peer asks a relay: to be reached through it, or for a connection to another peer (its multihash). */
export type HopRequest = { type: 'reserve' } | { type: 'connect'; peer: Uint8Array } | { type: 'other' };

/** @throws InkmeshError `bad-request` */
export function decodeHop(message: Uint8Array): HopRequest {
  const fields = decodeFields(message);
  switch (fields.get(1)) {
    case 0:
      return { type: 'reserve' };
    case 1: {
      const named = fields.get(2);
      const peer = named instanceof Uint8Array ? decodeFields(named).get(1) : undefined;
      if (!(peer instanceof Uint8Array)) throw bad();
      return { type: 'connect', peer };
    }
    default:
      return { type: 'other' };
  }
}

/** @param peer the multihash of who is to be reached; undefined to be reached oneself */
export function encodeHopRequest(peer?: Uint8Array): Uint8Array {
  return peer === undefined ? encodeFields([[1, 0]]) : encodeFields([[1, 1], [2, encodeFields([[1, peer]])]]);
}

/** How long a circuit lasts at most, and how many octets it carries each way. */
export interface CircuitLimit {
  duration_s: number;
  bytes: number;
}

export interface Reservation {
  expires_s: number;
  addresses: readonly Uint8Array[];
}

/** What a relay answers: with a reservation where it is reached, as multiaddrs in octets. */
export interface HopStatus {
  answer: number;
  addresses: Uint8Array[];
  /** of the circuit that is granted */
  limit: CircuitLimit | undefined;
}

/** @throws InkmeshError `bad-request` */
export function decodeHopStatus(message: Uint8Array): HopStatus {
  const fields = decodeFields(message);
  const [answer, reservation] = [fields.get(5), fields.get(3)];
  if (fields.get(1) !== 2 || typeof answer !== 'number') throw bad();
  const reserved = reservation instanceof Uint8Array ? listFields(reservation) : [];
  const addresses = reserved.flatMap(([number, value]) =>
    number === 2 && value instanceof Uint8Array ? value : []
  );
  return { answer, addresses, limit: limitOf(fields.get(4)) };
}

/** @param limit of a circuit that is granted; none where it has no limit */
export function encodeHopStatus(
  answer: Status,
  { reservation, limit }: { reservation?: Reservation; limit?: CircuitLimit | undefined } = {},
): Uint8Array {
  const reserved: Field[] = reservation === undefined ? [] : [[
    3,
    encodeFields([[1, reservation.expires_s], ...reservation.addresses.map((one): Field => [2, one])]),
  ]];
  return encodeFields([[1, 2], ...reserved, ...limited(4, limit), [5, answer]]);
}

/** Tells the end of a circuit who is at the other one. @param peer its multihash */
export function encodeStopConnect(peer: Uint8Array, limit?: CircuitLimit): Uint8Array {
  return encodeFields([[1, 0], [2, encodeFields([[1, peer]])], ...limited(3, limit)]);
}

function limited(field: number, limit: CircuitLimit | undefined): Field[] {
  return limit === undefined ? [] : [[field, encodeFields([[1, limit.duration_s], [2, limit.bytes]])]];
}

/** A number that is left out is one without a bound, and so is 0 in the specification. */
function limitOf(field: number | Uint8Array | undefined): CircuitLimit | undefined {
  if (!(field instanceof Uint8Array)) return undefined;
  const fields = decodeFields(field);
  const [duration_s, bytes] = [fields.get(1) ?? 0, fields.get(2) ?? 0];
  if (typeof duration_s !== 'number' || typeof bytes !== 'number') throw bad();
  return { duration_s, bytes };
}

/** The status with which the end of a circuit answers. @throws InkmeshError `bad-request` */
export function decodeStopStatus(message: Uint8Array): number {
  const answer = decodeFields(message).get(4);
  if (typeof answer !== 'number') throw bad();
  return answer;
}

/** Who has a relay connect it to this node, as multihash, and for how much. @throws InkmeshError `bad-request` */
export function decodeStopConnect(
  message: Uint8Array,
): { peer: Uint8Array; limit: CircuitLimit | undefined } {
  const fields = decodeFields(message);
  const named = fields.get(2);
  const peer = named instanceof Uint8Array ? decodeFields(named).get(1) : undefined;
  if (fields.get(1) !== 0 || !(peer instanceof Uint8Array)) throw bad();
  return { peer, limit: limitOf(fields.get(3)) };
}

export function encodeStopStatus(answer: Status): Uint8Array {
  return encodeFields([[1, 1], [4, answer]]);
}

/** A field of a Protocol Buffers message: its number, and a varint or octets. */
type Field = readonly [number, number | Uint8Array];

const bad = () => new InkmeshError('bad-request', 'a message of circuit relay is malformed');

function encodeFields(fields: readonly Field[]): Uint8Array {
  const out: number[] = [];
  const varint = (value: number) => {
    for (; value > 0x7f; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80);
    out.push(value);
  };
  for (const [number, value] of fields) {
    varint(number * 8 + (typeof value === 'number' ? 0 : 2));
    if (typeof value === 'number') varint(value);
    else {
      varint(value.length);
      out.push(...value);
    }
  }
  return Uint8Array.from(out);
}

/** The last value of each field that is a varint or octets. @throws InkmeshError `bad-request` */
const decodeFields = (message: Uint8Array): Map<number, number | Uint8Array> => new Map(listFields(message));

/** All that are varints or octets, in order. @throws InkmeshError `bad-request` */
function listFields(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1;; shift *= 0x80) {
      const octet = message[at++];
      if (octet === undefined || shift > 2 ** 49) throw bad();
      value += (octet & 0x7f) * shift;
      if (octet < 0x80) return value;
    }
  };
  for (let count = 0; at < message.length; count++) {
    if (count === maxFields) throw bad();
    const key = varint();
    const number = Math.floor(key / 8);
    switch (key % 8) {
      case 0:
        fields.push([number, varint()]);
        break;
      case 2: {
        const length = varint();
        if (length > message.length - at) throw bad();
        fields.push([number, message.slice(at, at += length)]);
        break;
      }
      default:
        throw bad();
    }
  }
  return fields;
}
