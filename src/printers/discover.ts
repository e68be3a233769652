/** Which printers there are: by DNS-SD, in subnets by SNMP, and by the system's own queues; each of them once. */
import { browsePrinters } from './dns-sd.ts';
import { discoverLimits } from '../limits.ts';
import { type Asking, hostOf, type Identity, isSame } from './identity.ts';
import { hostsOf, scan } from './subnet.ts';
import { systemQueues } from './system-queues.ts';

export interface Found extends Identity {
  name?: string;
  location?: string;
  /** IP addresses or names */
  hosts: string[];
  /** for `printer add`, the best first; none where nothing here can print to it */
  uris: string[];
  /** `dns-sd`, `snmp`, `system` */
  by: string[];
}

/** A printer that the directory knows. */
export interface Known {
  name: string;
  site: string;
  uri: string;
  more?: readonly string[] | undefined;
  uuid?: string | undefined;
  serial?: string | undefined;
}

export interface Discovered extends Found {
  /** what the directory calls it; null where it is new */
  known: string | null;
  /** of the one that is known */
  site: string | null;
  /** it is known by an address at which it was not found */
  moved: boolean;
}

/** @throws InkmeshError `bad-request` for what is no subnet, or too large */
export async function discover(
  subnets: readonly string[],
  known: readonly Known[],
  asking: Asking,
): Promise<Discovered[]> {
  const hosts = [...new Set(subnets.flatMap(hostsOf))];
  const [advertised, scanned, queues] = await Promise.all([
    browsePrinters(),
    hosts.length === 0 ? [] : scan(hosts, asking),
    systemQueues(),
  ]);
  const all: Found[] = [
    ...advertised.map(({ uri, ...said }) => ({
      ...said,
      uris: uri === undefined ? [] : [uri],
      by: ['dns-sd'],
    })),
    ...scanned.map(({ host, ...said }) => ({ ...said, hosts: [host], by: ['snmp'] })),
    ...queues.map(({ uri, ...said }) => ({
      ...said,
      hosts: uri === undefined ? [] : [hostOf(uri)],
      uris: uri === undefined ? [] : [uri],
      by: ['system'],
    })),
  ];
  return gathered(all).slice(0, discoverLimits.maxFound).map((found) => recognised(found, known));
}

/** Several findings of one printer become one. */
export function gathered(all: readonly Found[]): Found[] {
  const printers: Found[] = [];
  // who says more of itself comes first, so that the others are compared with that
  const rank = ({ uuid, serial }: Found) => uuid === undefined ? serial === undefined ? 2 : 1 : 0;
  for (const found of [...all].sort((a, b) => rank(a) - rank(b))) {
    const at = printers.findIndex((printer) => isSame(printer, found));
    const before = printers[at];
    if (before === undefined) printers.push(found);
    else printers[at] = together(before, found);
  }
  return printers.map((printer) => ({ ...printer, uris: inOrder(printer.uris) }));
}

function together(one: Found, other: Found): Found {
  const union = (name: 'hosts' | 'uris' | 'by') => [...new Set([...one[name], ...other[name]])];
  return { ...other, ...one, hosts: union('hosts'), uris: union('uris'), by: union('by') };
}

const order = ['ipps:', 'ipp:', 'socket:'];

function inOrder(uris: readonly string[]): string[] {
  const rank = (uri: string) => order.indexOf(new URL(uri).protocol);
  return [...uris].sort((a, b) => rank(a) - rank(b));
}

export function recognised(found: Found, known: readonly Known[]): Discovered {
  const placed = (printer: Known) => ({
    ...printer,
    hosts: [printer.uri, ...printer.more ?? []].map(hostOf),
  });
  const same = known.map(placed).find((printer) => isSame(printer, found));
  const moved = same !== undefined && !same.hosts.some((host) => found.hosts.includes(host));
  return { ...found, known: same?.name ?? null, site: same?.site ?? null, moved };
}
