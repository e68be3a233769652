/** Printers in subnets that were named: every address is asked by SNMP, and those that answer in the ways of printers. */
import { connect, isIPv4 } from 'node:net';
import { InkmeshError } from '../../mesh/errors.ts';
import { discoverLimits } from '../limits.ts';
import { type Asking, identifyByIpp, identifyBySnmp, type Identity } from './identity.ts';
import { inParallel } from './parallel.ts';

export interface Scanned extends Identity {
  host: string;
  /** the best first */
  uris: string[];
}

/**
 * The addresses of hosts in a subnet such as 10.0.4.0/24, of at most 1022.
 * @throws InkmeshError `bad-request`
 */
export function hostsOf(cidr: string): string[] {
  const [, address = '', length = ''] = /^([\d.]{7,15})\/(\d{1,2})$/.exec(cidr) ?? [];
  const bits = Number(length);
  if (!isIPv4(address) || length === '' || bits > 32) {
    throw new InkmeshError('bad-request', `${cidr} is no subnet: give one like 10.0.4.0/24`);
  }
  if (bits < discoverLimits.smallestPrefix) {
    const most = `/${discoverLimits.smallestPrefix}`;
    throw new InkmeshError('bad-request', `${cidr} is too large: give parts of it of at most ${most} each`);
  }
  const size = 2 ** (32 - bits);
  const number = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const first = number - number % size;
  const all = Array.from({ length: size }, (_, i) => dotted(first + i));
  // the first is the subnet's own, the last is everybody's
  return size > 2 ? all.slice(1, -1) : all;
}

const dotted = (number: number) =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

/** @param hosts IP addresses */
export async function scan(hosts: readonly string[], asking: Asking): Promise<Scanned[]> {
  const { snmp } = asking;
  if (snmp === null) throw new InkmeshError('bad-request', 'SNMP is off: see snmp in config.json');
  const found = await inParallel(
    hosts,
    discoverLimits.hostsAtOnce,
    async (host): Promise<Scanned | undefined> => {
      const bySnmp = await identifyBySnmp(host, snmp).catch(() => undefined);
      return bySnmp === undefined ? undefined : { ...bySnmp, ...await waysTo(host, asking) };
    },
  );
  return found.filter((printer) => printer !== undefined);
}

/** The ways in which a printer can be printed to at an address, and what it says of itself. */
async function waysTo(host: string, { askIpp }: Asking): Promise<Scanned> {
  const uris = [`ipps://${host}/ipp/print`, `ipp://${host}/ipp/print`];
  const [identities, raw] = await Promise.all([
    Promise.all(uris.map((uri) => identifyByIpp({ uri }, askIpp).catch(() => undefined))),
    canConnect(host, 9100),
  ]);
  const spoken = uris.filter((_, i) => identities[i] !== undefined);
  return {
    ...identities.find((said) => said !== undefined),
    host,
    uris: [...spoken, ...(raw ? [`socket://${host}`] : [])],
  };
}

/** Whether somebody listens at a TCP port; nothing is sent there. */
export function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (is: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(is);
    };
    const timer = setTimeout(() => end(false), discoverLimits.connect_ms);
    socket.once('connect', () => end(true)).on('error', () => end(false));
  });
}
