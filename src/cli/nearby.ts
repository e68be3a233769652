/** The organisation's nodes on this LAN, for a device that knows of none: by mDNS, as nodes find each other (WIRE.md). */
import { hostOf, lanInterfaces, lanSocket, meshService } from '../../mesh/mod.ts';
import { submissionPort } from '../config.ts';
import type { Endpoint } from './client.ts';

const patience_ms = 2_000;
const maxFound = 16;

/**
 * Asks once and waits two seconds. What is heard is hearsay: the certificate that is served there must lead to the
 * organisation's root, and the node must be the one that a request is signed for.
 * @param organisation SHA-256 of its root, hexadecimal
 */
export async function nearbyNodes(organisation: string): Promise<Endpoint[]> {
  const service = meshService(organisation);
  const found = new Map<string, Endpoint>();
  const sockets = lanInterfaces().map(({ address }) => lanSocket(address));
  for (const socket of sockets) {
    socket.on('response', ({ answers, additionals }) => {
      for (const record of [...answers ?? [], ...additionals ?? []]) {
        if (record.type !== 'TXT' || !record.name.endsWith(service)) continue;
        for (const text of [record.data].flat()) note(String(text), found);
      }
    });
    socket.query([{ name: service, type: 'PTR' }]);
  }
  try {
    if (sockets.length > 0) await new Promise((resolve) => setTimeout(resolve, patience_ms));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  return [...found.values()].slice(0, maxFound);
}

/** @param text of a TXT record: `dnsaddr=<multiaddr>/p2p/<PeerId>` */
function note(text: string, found: Map<string, Endpoint>): void {
  const [, address, peer] = /^dnsaddr=(.+)\/p2p\/(12D3KooW\w{44})$/.exec(text) ?? [];
  const host = address === undefined ? undefined : hostOf(address);
  if (host === undefined || peer === undefined) return;
  // mDNS says where the mesh is only
  const endpoint = { name: `the node at ${host}`, peer, host, port: submissionPort, servername: null };
  found.set(`${peer} ${host}`, endpoint);
}
