/** The DNS records of one responder on one interface, as it is asked for them: nothing is sent or received here. */
import type { QueryPacket } from 'multicast-dns';
import { type DnsRecord, hostTtl_s } from './advertise.ts';

export type Question = NonNullable<QueryPacket['questions']>[number];

export class RecordSet {
  readonly all: readonly DnsRecord[];
  readonly host: string;
  /** what this node alone says */
  readonly own: DnsRecord;
  /** the host has addresses of one type alone, and nobody needs to wait for others (RFC 6762 section 6.1) */
  readonly #noOther: DnsRecord;

  /**
   * @param shared what every responder says alike
   * @param address IPv4, of `host`
   */
  constructor(shared: readonly DnsRecord[], host: string, address: string) {
    this.host = host;
    this.own = this.addressRecord(address);
    this.all = [...shared, this.own];
    this.#noOther = { name: host, type: 'NSEC', ttl: hostTtl_s, data: { nextDomain: host, rrtypes: ['A'] } };
  }

  addressRecord(address: string, ttl = hostTtl_s): DnsRecord {
    return { name: this.host, type: 'A', ttl, data: address };
  }

  /** @param known answers that the asker has already, and for a while yet (RFC 6762 section 7.1) */
  answersTo(question: Question, known: readonly DnsRecord[]): DnsRecord[] {
    const { name, type }: { name: string; type: string } = question;
    const found = this.all.filter((record) =>
      isName(record.name, name) && (type === 'ANY' || record.type === type)
    );
    if (found.length === 0 && type === 'AAAA' && isName(name, this.host)) return [this.#noOther];
    return found.filter((answer) =>
      !known.some((other) => isSame(answer, other) && ttlOf(other) >= ttlOf(answer) / 2)
    );
  }

  /** What whoever has got these answers will ask for next (RFC 6763 section 12). */
  additionals(answers: readonly DnsRecord[]): DnsRecord[] {
    const instances = new Set(answers.flatMap((answer) => answer.type === 'PTR' ? [answer.data] : []));
    const services = this.all.filter(({ name, type }) =>
      instances.has(name) && (type === 'SRV' || type === 'TXT')
    );
    const needsHost = [...answers, ...services].some(({ type }) => type === 'SRV');
    return [...services, ...(needsHost ? [this.own] : [])];
  }

  has(record: DnsRecord): boolean {
    return this.all.some((own) => isSame(own, record));
  }

  /** The address that somebody gives for the host, if that is what a record says. */
  addressIn(record: DnsRecord): string | undefined {
    return record.type === 'A' && isName(record.name, this.host) ? record.data : undefined;
  }
}

/** Seconds; 0 takes a record back (RFC 6762 section 10.1). */
export function ttlOf(record: DnsRecord): number {
  return 'ttl' in record ? record.ttl ?? 0 : 0;
}

const isName = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();

function isSame(one: DnsRecord, other: DnsRecord): boolean {
  const data = (record: DnsRecord) => 'data' in record ? JSON.stringify(plain(record.data)) : '';
  return one.type === other.type && isName(one.name, other.name) && data(one) === data(other);
}

/** Data as text, whether it is to be encoded or has been decoded. */
function plain(data: unknown): unknown {
  if (Array.isArray(data)) return data.map(plain);
  if (data instanceof Uint8Array) return Buffer.from(data).toString('utf8');
  if (typeof data !== 'object' || data === null) return data;
  return Object.entries(data).sort(([a], [b]) => a < b ? -1 : 1);
}
