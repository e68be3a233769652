/**
 * What a site's queue is advertised as by DNS-SD (RFC 6763): the services, names and TXT records that AirPrint and IPP
 * Everywhere clients look for (PWG 5100.14 section 4.2, Bonjour Printing Specification 1.2.1). The two super nodes of a
 * site say exactly the same but for their addresses, so that either stands for both.
 */
import type multicastDns from 'multicast-dns';
import { siteHosts } from '../../mesh/names.ts';
import { type Attribute, find, stringsOf, withinOctets } from '../ipp/message.ts';
import type { IppDoor } from './ipp.ts';
import { printerAttributes } from './ipp-printer.ts';

export type DnsRecord = NonNullable<multicastDns.ResponsePacket['answers']>[number];

/** The queue of a site as the network is told of it. */
export interface Service {
  /** what print dialogs show: at most 63 octets, without a dot */
  readonly instance: string;
  /** in `.local`; it has the addresses of every node that answers */
  readonly host: string;
  readonly ports: Ports;
  /** what the queue says of itself over IPP */
  readonly attributes: readonly Attribute[];
}

export interface Ports {
  readonly ipps: number;
  /** null where plain HTTP is off */
  readonly ipp: number | null;
}

/** The printer attributes that TXT records are made of. */
const advertised = [
  'printer-location',
  'printer-make-and-model',
  'printer-more-info',
  'printer-uuid',
  'document-format-supported',
  'urf-supported',
  'color-supported',
  'sides-supported',
];

/** of what names an address or a host, and of what seldom changes (RFC 6762 section 10) */
export const hostTtl_s = 120;
export const serviceTtl_s = 4500;

const maxTxtBytes = 255;
/** of the printer's URI, for those whose user name and password the dialog asks for */
export const resourcePath = 'ipp/print';

/** What is known of the queue whoever serves it. */
export type Advertised = Pick<IppDoor, 'queue' | 'maxDocumentBytes'>;

/** The name of a site's queue, the same at each of its nodes. */
export function instanceOf(site: string): string {
  return withinOctets(`inkmesh ${site}`, 63);
}

export function serviceOf(site: string, { queue, maxDocumentBytes }: Advertised, ports: Ports): Service {
  const host = siteHosts(site).mdns;
  const printerUri = `ipps://${host}:${ports.ipps}/${resourcePath}`;
  const facts = { ...queue, maxDocumentBytes, printerUri, secure: true, queuedJobs: 0 };
  const attributes = printerAttributes(facts, advertised);
  return { instance: queue.name, host, ports, attributes };
}

/** Every record but addresses, the same at each node. */
export function serviceRecords(service: Service): DnsRecord[] {
  const { ports } = service;
  const txt = txtRecord(service);
  return [
    ...typeRecords('_ipps._tcp', service, ports.ipps, [...txt, 'TLS=1.2']),
    ...(ports.ipp === null ? [] : typeRecords('_ipp._tcp', service, ports.ipp, txt)),
  ];
}

function typeRecords(type: string, { instance, host }: Service, port: number, txt: string[]): DnsRecord[] {
  const name = `${instance}.${type}.local`;
  return [
    pointer('_services._dns-sd._udp.local', `${type}.local`),
    pointer(`${type}.local`, name),
    pointer(`_universal._sub.${type}.local`, name),
    pointer(`_print._sub.${type}.local`, name),
    srv(name, port, host),
    { name, type: 'TXT', ttl: serviceTtl_s, data: txt },
  ];
}

function pointer(name: string, data: string): DnsRecord {
  return { name, type: 'PTR', ttl: serviceTtl_s, data };
}

function srv(name: string, port: number, target: string): DnsRecord {
  return { name, type: 'SRV', ttl: hostTtl_s, data: { port, target, priority: 0, weight: 0 } };
}

/** `key=value` each, those first that clients need most (PWG 5100.14 table 1). */
function txtRecord({ attributes }: Service): string[] {
  const all = (name: string) => stringsOf(attributes, name);
  const [location = ''] = all('printer-location');
  const [model = ''] = all('printer-make-and-model');
  const [uuid = ''] = all('printer-uuid');
  const [page = ''] = all('printer-more-info');
  return [
    'txtvers=1',
    'qtotal=1',
    'priority=50',
    `rp=${resourcePath}`,
    `ty=${model}`,
    `product=(${model})`,
    `note=${location}`,
    `adminurl=${page}`,
    `pdl=${all('document-format-supported').join(',')}`,
    `URF=${all('urf-supported').join(',')}`,
    `UUID=${uuid.replace(/^urn:uuid:/, '')}`,
    'air=username,password',
    `Color=${isTrue(attributes, 'color-supported') ? 'T' : 'F'}`,
    `Duplex=${all('sides-supported').some((side) => side !== 'one-sided') ? 'T' : 'F'}`,
    'kind=document',
    'PaperMax=tabloid-A3',
  ].map((entry) => withinOctets(entry, maxTxtBytes));
}

function isTrue(attributes: readonly Attribute[], name: string): boolean {
  const [value] = find(attributes, name)?.values ?? [];
  return value?.syntax === 'boolean' && value.value;
}
