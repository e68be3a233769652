/** Printers that advertise themselves by DNS-SD over multicast DNS (RFC 6763, Bonjour Printing Specification 1.2.1). */
import type { ResponsePacket } from 'multicast-dns';
import { printable } from '../../mesh/codec.ts';
import { lanInterfaces, lanSocket } from '../../mesh/mod.ts';
import { discoverLimits } from '../limits.ts';
import { type Identity, identity, uuidOf } from './identity.ts';

export interface Advertised extends Identity {
  /** as print dialogs show it */
  name: string;
  /** where it is, as it says */
  location?: string;
  hosts: string[];
  /** undefined for LPD, which nothing here speaks */
  uri: string | undefined;
}

type DnsRecord = NonNullable<ResponsePacket['answers']>[number];

interface Said {
  answers?: readonly DnsRecord[] | undefined;
  additionals?: readonly DnsRecord[] | undefined;
}

type Question = { name: string; type: 'PTR' | 'SRV' | 'TXT' | 'A' };

const schemes = {
  '_ipps._tcp.local': 'ipps',
  '_ipp._tcp.local': 'ipp',
  '_pdl-datastream._tcp.local': 'socket',
  '_printer._tcp.local': 'lpd',
} as const;
type Service = keyof typeof schemes;
const services = Object.keys(schemes) as Service[];
/** our own, which are no printers */
const ownHost = /^inkmesh-.*\.local$/;

/** Asks every LAN that this machine is in, and waits. */
export async function browsePrinters(): Promise<Advertised[]> {
  const heard = new Heard();
  const sockets = lanInterfaces().map(({ address }) => lanSocket(address));
  const ask = () => {
    const questions = heard.questions();
    for (const socket of sockets) socket.query(questions);
  };
  for (const socket of sockets) socket.on('response', (packet) => heard.note(packet));
  const again = setInterval(ask, discoverLimits.browseAgain_ms);
  try {
    ask();
    if (sockets.length > 0) await new Promise((resolve) => setTimeout(resolve, discoverLimits.browse_ms));
  } finally {
    clearInterval(again);
    for (const socket of sockets) socket.destroy();
  }
  return heard.printers();
}

/** What answers have said so far. */
export class Heard {
  readonly #instances = new Map<string, Service>();
  readonly #places = new Map<string, { host: string; port: number }>();
  readonly #texts = new Map<string, Map<string, string>>();
  readonly #addresses = new Map<string, Set<string>>();

  note({ answers = [], additionals = [] }: Said): void {
    const records = [...answers, ...additionals].slice(0, discoverLimits.maxRecordsPerPacket);
    for (const record of records) this.#noteRecord(record);
  }

  /** What is still to be asked: all services, and what answers have left out. */
  questions(): Question[] {
    const lacking = [...this.#instances.keys()].flatMap((name): Question[] => [
      ...(this.#places.has(name) ? [] : [{ name, type: 'SRV' as const }]),
      ...(this.#texts.has(name) ? [] : [{ name, type: 'TXT' as const }]),
    ]);
    const hosts = [...this.#places.values()].map(({ host }) => host).filter((host) =>
      !this.#addresses.has(host)
    );
    const addresses = [...new Set(hosts)].map((name) => ({ name, type: 'A' as const }));
    // so many as fit into a packet
    return [
      ...services.map((name) => ({ name, type: 'PTR' as const })),
      ...[...lacking, ...addresses].slice(0, 24),
    ];
  }

  printers(): Advertised[] {
    return [...this.#instances].flatMap(([instance, service]): Advertised[] => {
      const place = this.#places.get(instance);
      if (place === undefined || ownHost.test(place.host)) return [];
      const hosts = [...this.#addresses.get(place.host) ?? []];
      const [address] = hosts;
      if (address === undefined) return [];
      const text = (key: string) => this.#texts.get(instance)?.get(key) ?? '';
      const scheme = schemes[service];
      const path = scheme === 'socket' ? '' : `/${plainPath(text('rp').replace(/^\/+/, ''))}`;
      const uri = `${scheme}://${address}:${place.port}${path}`;
      const location = shown(text('note'));
      return [{
        ...identity({
          uuid: uuidOf(text('uuid')),
          serial: text('usb_sn'),
          model: text('ty'),
          formats: formatsOf(text('pdl')),
        }),
        ...(location === '' ? {} : { location }),
        name: shown(instance.slice(0, -service.length - 1)),
        hosts,
        uri: scheme === 'lpd' || !URL.canParse(uri) ? undefined : new URL(uri).href,
      }];
    });
  }

  #noteRecord(record: DnsRecord): void {
    const { maxInstances } = discoverLimits;
    if (record.type === 'PTR') {
      const service = services.find((known) => known === record.name.toLowerCase());
      const isRoom = this.#instances.size < maxInstances;
      if (service !== undefined && isRoom && record.data.toLowerCase().endsWith(`.${service}`)) {
        this.#instances.set(record.data, service);
      }
    } else if (record.type === 'SRV' && this.#instances.has(record.name)) {
      this.#places.set(record.name, { host: record.data.target.toLowerCase(), port: record.data.port });
    } else if (record.type === 'TXT' && this.#instances.has(record.name)) {
      this.#texts.set(record.name, textOf(record.data));
    } else if (record.type === 'A') {
      const host = record.name.toLowerCase();
      const known = this.#addresses.get(host) ?? new Set();
      if (known.size < discoverLimits.maxAddresses) known.add(record.data);
      if (this.#addresses.size < maxInstances) this.#addresses.set(host, known);
    }
  }
}

const shown = (text: string) => printable(text, discoverLimits.maxTextChars).trim();

/** Keys count in any case (RFC 6763 section 6.4). */
function textOf(data: string | Buffer | (string | Buffer)[]): Map<string, string> {
  const entries = [data].flat().slice(0, 64).map((entry) => entry.toString());
  return new Map(entries.map((entry) => {
    const at = entry.indexOf('=');
    return at < 0 ? [entry.toLowerCase(), ''] : [entry.slice(0, at).toLowerCase(), entry.slice(at + 1)];
  }));
}

function formatsOf(pdl: string): string[] {
  return pdl.split(',').filter((format) => /^[\w.+-]+\/[\w.+-]+$/.test(format)).slice(
    0,
    discoverLimits.maxFormats,
  );
}

/** Anybody on the LAN can say it, and administrators paste it: nothing in it means anything to a shell. */
function plainPath(path: string): string {
  return path.replace(
    /[^\w.~/-]/gu,
    (char) => `%${Buffer.from(char).toString('hex').replace(/..(?=.)/g, '$&%')}`,
  );
}
