/** The messages of circuit relay v2: both ends of this implementation, and what is none. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  decodeHop,
  decodeHopStatus,
  decodeStopConnect,
  decodeStopStatus,
  encodeHopRequest,
  encodeHopStatus,
  encodeStopConnect,
  encodeStopStatus,
  status,
} from '../../mesh/circuit.ts';
import { refusalOf } from '../fakes/organisation.ts';

const peer = Uint8Array.of(0, 3, 1, 2, 3);
const address = Uint8Array.of(4, 127, 0, 0, 1, 6, 4, 210);

test('what one end says the other one reads', () => {
  assert.equal(decodeHop(encodeHopRequest()), { type: 'reserve' });
  assert.equal(decodeHop(encodeHopRequest(peer)), { type: 'connect', peer });
  const reservation = { expires_s: 1_900_000_000, addresses: [address, peer] };
  assert.equal(decodeHopStatus(encodeHopStatus(status.ok, { reservation })), {
    ...{ answer: status.ok, addresses: [address, peer], limit: undefined },
  });
  assert.equal(decodeHopStatus(encodeHopStatus(status.noReservation)), {
    ...{ answer: status.noReservation, addresses: [], limit: undefined },
  });
  const limit = { duration_s: 30, bytes: 262_144 };
  assert.equal(decodeHopStatus(encodeHopStatus(status.ok, { limit })), {
    ...{ answer: status.ok, addresses: [], limit },
  });
  assert.equal(decodeStopConnect(encodeStopConnect(peer)), { peer, limit: undefined });
  assert.equal(decodeStopConnect(encodeStopConnect(peer, limit)), { peer, limit });
  assert.is(decodeStopStatus(encodeStopStatus(status.permissionDenied)), status.permissionDenied);
});

test('the octets are those of the specification', () => {
  const hex = (octets: Uint8Array) => octets.toHex();
  assert.is(hex(encodeHopRequest()), '0800');
  assert.is(hex(encodeHopRequest(peer)), '080112070a050003010203');
  assert.is(hex(encodeHopStatus(status.ok)), '08022864');
  assert.is(hex(encodeStopConnect(peer)), '080012070a050003010203');
  assert.is(hex(encodeStopStatus(status.ok)), '08012064');
});

test('what is cut off, or of another kind, is refused', async () => {
  const decoders = [decodeHopStatus, decodeStopConnect, decodeStopStatus] as const;
  for (const decode of decoders) {
    for (const octets of [[], [0xff], [8, 9], [8, 2], [0x12, 0x7f, 0], [8, 0, 0x12, 0]]) {
      assert.match(await refusalOf(() => decode(Uint8Array.from(octets))), /^bad-request: /);
    }
  }
  const whole = encodeHopStatus(status.ok, {
    reservation: { expires_s: 1, addresses: [address] },
    limit: { duration_s: 1, bytes: 300 },
  });
  for (let length = 0; length < whole.length; length++) {
    assert.match(
      await refusalOf(() => decodeHopStatus(whole.subarray(0, length))),
      /^bad-request: /,
      `${length}`,
    );
  }
});

test.run();
