/** Multiaddrs and what people type instead. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  hostOf,
  meshAddress,
  relayOf,
  reservationAt,
  subnetOf,
  withoutPeer,
  withPeer,
} from '../../mesh/address.ts';

const peer = '12D3KooWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

test('what people type becomes a multiaddr', () => {
  assert.is(meshAddress('10.1.2.3:9264'), '/ip4/10.1.2.3/tcp/9264');
  assert.is(meshAddress('[fd00::1]:9264'), '/ip6/fd00::1/tcp/9264');
  assert.is(meshAddress('pc-12.example:1'), '/dns/pc-12.example/tcp/1');
  for (const bad of ['', 'pc-12', '10.1.2.3:99999', '/nonsense/1', 'a b:1', '10.1.2.3:']) {
    assert.throws(() => meshAddress(bad), /is not an address/);
  }
});

test('PeerIds come and go at the end only', () => {
  assert.is(withPeer('/ip4/10.0.0.1/tcp/1', peer), `/ip4/10.0.0.1/tcp/1/p2p/${peer}`);
  assert.is(withPeer(`/ip4/10.0.0.1/tcp/1/p2p/${peer}`, peer), `/ip4/10.0.0.1/tcp/1/p2p/${peer}`);
  assert.is(withPeer('/ip4/10.0.0.1/tcp/1', null), '/ip4/10.0.0.1/tcp/1');
  const relayed = `/ip4/10.0.0.9/tcp/1/p2p/${peer}/p2p-circuit`;
  assert.is(withoutPeer(`${relayed}/p2p/${peer}`), relayed);
  assert.is(withoutPeer(relayed), relayed);
});

test('an address through a relay tells which, and has no network of its own', () => {
  const relayed = reservationAt('/ip4/10.0.0.9/tcp/1', peer);
  assert.is(relayed, `/ip4/10.0.0.9/tcp/1/p2p/${peer}/p2p-circuit`);
  assert.is(relayOf(relayed), peer);
  assert.is(relayOf('/ip4/10.0.0.9/tcp/1'), null);
  assert.is(hostOf(relayed), undefined);
  assert.is(subnetOf(relayed), undefined);
});

test('two addresses of one LAN have one network', () => {
  assert.is(subnetOf('/ip4/10.0.1.7/tcp/1'), subnetOf('/ip4/10.0.1.200/tcp/2'));
  assert.is.not(subnetOf('/ip4/10.0.1.7/tcp/1'), subnetOf('/ip4/10.0.2.7/tcp/1'));
  assert.is(subnetOf('/ip6/fd00:1:2:3::7/tcp/1'), subnetOf('/ip6/fd00:1:2:3:4:5:6:8/tcp/1'));
  assert.is(subnetOf('/ip6/fd00::1:0:0:0:7/tcp/1'), 'fd00:0:0:1');
});

test.run();
