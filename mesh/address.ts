/** Multiaddrs of nodes: with and without PeerIds, direct and through a relay. */
import { multiaddr } from '@multiformats/multiaddr';
import { InkmeshError } from './errors.ts';

const circuit = '/p2p-circuit';

/** where the cloud's HTTP server takes the mesh's WebSockets; an address of one says no path */
export const socketPath = '/mesh';

/**
 * `HOST:PORT`, `[v6]:PORT`, the cloud's URL or a multiaddr, as a multiaddr.
 * @throws InkmeshError `bad-request`
 */
export function meshAddress(text: string): string {
  const bad = () =>
    new InkmeshError(
      'bad-request',
      `"${text}" is not an address: use HOST:PORT, https://HOST or a multiaddr`,
    );
  try {
    if (text.startsWith('/')) return multiaddr(text).toString();
    if (/^https?:/.test(text)) return ofUrl(new URL(text));
    const match = /^(?:\[([0-9a-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/i.exec(text);
    if (match === null || Number(match[3]) > 65535) throw bad();
    const [, v6, host, port] = match;
    return ofHost(v6 ?? host ?? '', Number(port));
  } catch {
    throw bad();
  }
}

function ofUrl({ protocol, hostname, port, pathname, search, username }: URL): string {
  if (!['/', socketPath].includes(pathname) || search !== '' || username !== '') {
    throw new TypeError('an URL');
  }
  const tls = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  return `${ofHost(host, Number(port || (tls ? 443 : 80)))}${tls ? '/tls' : ''}/ws`;
}

function ofHost(host: string, port: number): string {
  const family = host.includes(':') ? 'ip6' : /^[\d.]+$/.test(host) ? 'ip4' : 'dns';
  return multiaddr(`/${family}/${host}/tcp/${port}`).toString();
}

/** The end of a WebSocket's address (`/dns/HOST/tcp/PORT/tls/ws`); undefined for any other, a relayed one too. */
export function socketTarget(address: string): { host: string; port: number; tls: boolean } | undefined {
  const match = /^\/(?:ip4|ip6|dns[46]?)\/([^/]+)\/tcp\/(\d+)(\/tls)?\/ws(?:\/p2p\/[^/]+)?$/.exec(address);
  if (match === null) return undefined;
  return { host: match[1] ?? '', port: Number(match[2]), tls: match[3] !== undefined };
}

/** The URL of a WebSocket's address, as people give it; undefined for any other address. */
export function socketUrl(address: string): string | undefined {
  const target = socketTarget(address);
  if (target === undefined) return undefined;
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  // the usual port is left out
  return new URL(`${target.tls ? 'https' : 'http'}://${host}:${target.port}`).origin;
}

export function isAddress(text: string): boolean {
  try {
    multiaddr(text);
    return true;
  } catch {
    return false;
  }
}

/** The address without the PeerId of the node that it leads to; that of a relay on the way stays. */
export function withoutPeer(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '');
}

/** @param peer null to leave open who answers */
export function withPeer(address: string, peer: string | null): string {
  return peer === null ? address : `${withoutPeer(address)}/p2p/${peer}`;
}

/** PeerId of the relay that an address goes through, null for a direct one. */
export function relayOf(address: string): string | null {
  return /\/p2p\/([^/]+)\/p2p-circuit/.exec(address)?.[1] ?? null;
}

/** What to listen on to be reached through a relay. */
export function reservationAt(address: string, relay: string): string {
  return withPeer(address, relay) + circuit;
}

/** The host of an address: an IP address or a name; undefined for one through a relay. */
export function hostOf(address: string): string | undefined {
  return address.includes(circuit) ? undefined : /^\/(?:ip4|ip6|dns[46]?)\/([^/]+)/.exec(address)?.[1];
}

/** The network that a direct address is in, by the usual size of a LAN: /24 of IPv4, /64 of IPv6. */
export function subnetOf(address: string): string | undefined {
  const host = hostOf(address);
  if (host === undefined) return undefined;
  if (!host.includes(':')) return host.split('.').slice(0, 3).join('.');
  return expand(host).slice(0, 4).join(':');
}

function expand(v6: string): string[] {
  const [head = '', tail] = v6.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array.from({ length: Math.max(0, gap) }, () => '0'), ...right];
}
