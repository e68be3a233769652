/** Whether mDNS goes out on every LAN of this machine, and who else is heard there. */
import { lanInterfaces, lanSocket, meshService } from '../../mesh/mod.ts';
import type { Config } from '../config.ts';
import { fail, type Finding, ok, warn } from './finding.ts';
import { whoListens } from './ports.ts';

const patience_ms = 3_000;

/** @param organisation SHA-256 of its root, hexadecimal */
export async function mdns({ mdns }: Config, organisation: string): Promise<Finding> {
  if (!mdns) return ok('mdns', 'it is turned off in the configuration');
  const own = lanInterfaces().map(({ address }) => address);
  if (own.length === 0) return fail('mdns', 'this machine is in no network', 'connect it to one');
  const { taken, sent, nodes } = await listenFor(meshService(organisation), own);
  if (taken) {
    return fail(
      'mdns',
      'UDP port 5353 is taken by a program that does not share it',
      `${whoListens('udp', 5353)} shows which; end it`,
    );
  }
  const deaf = own.filter((address) => !sent.has(address));
  if (deaf.length === own.length) {
    return fail(
      'mdns',
      `nothing of what is sent on ${own.join(', ')} is heard`,
      'allow UDP port 5353 in the firewall',
    );
  }
  if (nodes.size === 0) {
    return warn(
      'mdns',
      `what is sent is heard, but no other node answers on ${own.join(', ')}`,
      'name a node in `peers` of the configuration, or have switches and access points pass multicast',
    );
  }
  return ok('mdns', `${[...nodes].sort().join(', ')} answered`);
}

/** Asks once on every interface. @returns where what is sent comes back, and which other machines have answered; or `taken` */
async function listenFor(
  service: string,
  own: readonly string[],
): Promise<{ taken: boolean; sent: Set<string>; nodes: Set<string> }> {
  const sent = new Set<string>();
  const nodes = new Set<string>();
  let taken = false;
  const sockets = own.map((address) => lanSocket(address));
  for (const socket of sockets) {
    socket.on('error', ({ code }: NodeJS.ErrnoException) => taken ||= code === 'EADDRINUSE');
    socket.on('query', ({ questions }, { address }) => {
      if (own.includes(address) && questions?.some(({ name }) => name === service)) sent.add(address);
    });
    socket.on('response', ({ answers }, { address }) => {
      if (!own.includes(address) && answers?.some(({ name }) => name === service)) nodes.add(address);
    });
    socket.query([{ name: service, type: 'PTR' }]);
  }
  await new Promise((resolve) => setTimeout(resolve, patience_ms));
  for (const socket of sockets) socket.destroy();
  return { taken, sent, nodes };
}
