/** Builds libp2p; nothing else constructs it. TCP, Noise and yamux; neither identify nor ping is served. */
import { noise } from '@chainsafe/libp2p-noise';
import type { PrivateKey } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import { InkmeshError } from './errors.ts';
import {
  dialTimeout_ms,
  handshakeTimeout_ms,
  maxConnections,
  maxPendingConnections,
  mdnsInterval_ms,
} from './limits.ts';

const MiB = 1024 * 1024;

export interface HostOptions {
  key: PrivateKey;
  /** multiaddrs to listen on; none for a host that only dials */
  listen: readonly string[];
  /** SHA-256 of the organisation's root: nodes of other organisations on the LAN are not even dialled */
  organisation: string;
  mdns: boolean;
}

/** Builds a host that does not listen yet: its methods are registered first, then `startHost`. */
export async function createHost(options: HostOptions): Promise<Libp2p> {
  const serviceTag = `_inkmesh-${options.organisation.slice(0, 12)}._udp.local`;
  return await createLibp2p({
    start: false,
    privateKey: options.key,
    addresses: { listen: [...options.listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    // a window under the read buffer's bound, so that a paused stream holds its sender back and never breaks
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1 * MiB } })],
    peerDiscovery: options.mdns ? [mdns({ serviceTag, interval: mdnsInterval_ms })] : [],
    connectionManager: {
      maxConnections,
      dialTimeout: dialTimeout_ms,
      // a site's nodes may all come from one address (a VPN's NAT) when it reconnects
      inboundConnectionThreshold: maxConnections,
      reconnectRetries: 0,
      maxIncomingPendingConnections: maxPendingConnections,
      inboundUpgradeTimeout: handshakeTimeout_ms,
    },
    // every address that a peer announces is worth a try, private and loopback ones included
    connectionGater: { denyDialMultiaddr: () => false },
  });
}

/** @throws InkmeshError `unavailable` when an address can't be listened on */
export async function startHost(host: Libp2p, listen: readonly string[]): Promise<void> {
  try {
    await host.start();
  } catch (cause) {
    // libp2p's message has the stacks of all that went wrong in it
    const reason = /\bE[A-Z]{5,}\b/.exec(String(cause))?.[0] ?? 'it failed';
    throw new InkmeshError(
      'unavailable',
      `the mesh cannot listen on ${listen.join(', ')}: ${reason}; change the port in the configuration`,
      {},
      { cause },
    );
  }
}

/**
 * `HOST:PORT`, `[v6]:PORT` or a multiaddr, as a multiaddr.
 * @throws InkmeshError `bad-request`
 */
export function meshAddress(text: string): string {
  const bad = () =>
    new InkmeshError('bad-request', `"${text}" is not an address: use HOST:PORT or a multiaddr`);
  try {
    if (text.startsWith('/')) return multiaddr(text).toString();
    const match = /^(?:\[([0-9a-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/i.exec(text);
    if (match === null || Number(match[3]) > 65535) throw bad();
    const [, v6, host, port] = match;
    const family = v6 !== undefined ? 'ip6' : /^[\d.]+$/.test(host ?? '') ? 'ip4' : 'dns';
    return multiaddr(`/${family}/${v6 ?? host}/tcp/${port}`).toString();
  } catch {
    throw bad();
  }
}
