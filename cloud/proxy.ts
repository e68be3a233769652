/** Where a request comes from, behind the reverse proxies that the configuration trusts. */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { addressOf } from '../src/tls-server.ts';

type Incoming = Pick<IncomingMessage, 'socket' | 'headers'>;

/** The client's IP address; of a proxy that is not trusted, that of the proxy. */
export type ClientAddress = (request: Incoming) => string;

/** @param proxies IP addresses and networks in CIDR notation */
export function clientAddress(proxies: readonly string[]): ClientAddress {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    trusted.addSubnet(address, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  const isTrusted = (address: string) =>
    isIP(address) !== 0 && trusted.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  return (request) => {
    const direct = addressOf({ incoming: request });
    const forwarded = String(request.headers['x-forwarded-for'] ?? '').split(',')
      .map((hop) => hop.trim().replace(/^::ffff:/, ''));
    const chain = [...forwarded, direct];
    // each proxy adds whom it was asked by at the end: the first that is none of ours is the client
    let at = chain.length - 1;
    while (at > 0 && isTrusted(chain[at] ?? '') && isIP(chain[at - 1] ?? '') !== 0) at--;
    return chain[at] ?? direct;
  };
}

/** What the HTTP adapter gives of a request, with the client's address in place of the proxy's. */
export function behindProxy(env: unknown, address: ClientAddress): unknown {
  const { incoming }: { incoming?: Incoming } = env ?? {};
  if (incoming === undefined) return env;
  const from = address(incoming);
  return from === addressOf(env) ? env : { ...env as object, incoming: { socket: { remoteAddress: from } } };
}
