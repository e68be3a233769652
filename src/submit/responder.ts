/**
 * A multicast DNS responder (RFC 6762) for records that several nodes state alike. All are shared records: none is
 * probed for, none carries the cache-flush bit, and of a host name each node gives its own addresses. So a second
 * responder is no conflict, and what one says takes nothing away from what the other has said.
 */
import { BlockList, isIPv4 } from 'node:net';
import type { MulticastDNS, QueryPacket, ResponsePacket } from 'multicast-dns';
import { type LanInterface, lanInterfaces, lanSocket, type Log } from '../../mesh/mod.ts';
import { mdnsLimits } from '../limits.ts';
import type { DnsRecord } from './advertise.ts';
import { type Question, RecordSet, ttlOf } from './record-set.ts';

/** Where a packet comes from. */
interface Source {
  readonly address: string;
  readonly port: number;
}

const mdnsPort = 5353;
/** of an answer to a client that does not follow what is said later */
const plainTtl_s = 10;

export interface ResponderOptions {
  /** the same at every node that answers for them */
  records: readonly DnsRecord[];
  /** host name of which this node gives its addresses */
  host: string;
  /** the only address to be given; every interface's own without it */
  address: string | undefined;
  log: Log;
}

export class Responder {
  readonly #options: ResponderOptions;
  readonly #lans = new Map<string, Lan>();
  readonly #look: ReturnType<typeof setInterval>;

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#refresh();
    this.#look = setInterval(() => this.#refresh(), mdnsLimits.interfaceLook_ms);
  }

  /** Has clients forget the addresses that others have given for the host: those nodes are gone. */
  forgetOthers(): void {
    for (const lan of this.#lans.values()) lan.forgetOthers();
  }

  /** @param alone whether no other node goes on answering for these records */
  async close(alone: boolean): Promise<void> {
    clearInterval(this.#look);
    await Promise.all([...this.#lans.values()].map((lan) => lan.close(alone)));
    this.#lans.clear();
  }

  /** Follows the interfaces as they come and go; one that could not be opened is tried again. */
  #refresh(): void {
    const present = new Map(lanInterfaces(this.#options.address).map((own) => [own.address, own]));
    for (const [address, lan] of this.#lans) {
      if (present.has(address) && !lan.failed) continue;
      void lan.close(false);
      this.#lans.delete(address);
    }
    for (const [address, own] of present) {
      if (!this.#lans.has(address)) this.#lans.set(address, new Lan(own, this.#options));
    }
  }
}

/** The responder on one interface. */
class Lan {
  readonly #own: LanInterface;
  readonly #records: RecordSet;
  readonly #subnet: BlockList;
  readonly #socket: MulticastDNS;
  /** addresses that other nodes have given for the host */
  readonly #others = new Set<string>();
  /** when each was said last, so that no flood of questions makes one of answers */
  readonly #said_ms = new Map<DnsRecord, number>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #rescuing = false;
  #ready = false;
  #failed = false;

  constructor(own: LanInterface, { records, host, log }: ResponderOptions) {
    this.#own = own;
    this.#records = new RecordSet(records, host, own.address);
    this.#subnet = subnetOf(own);
    this.#socket = lanSocket(own.address);
    this.#socket.on('error', ({ message }) => {
      log('warn', 'the site’s printer cannot be advertised', { address: own.address, reason: message });
      this.#failed = !this.#ready;
    });
    this.#socket.on('query', (packet, from) => this.#asked(packet, from));
    this.#socket.on('response', (packet, from) => this.#heard(packet, from));
    this.#socket.once('ready', () => {
      this.#ready = true;
      // the other nodes' addresses, to know which to take back when they are gone
      this.#socket.query({ questions: [{ name: host, type: 'A' }] });
      this.#announce();
      this.#after(mdnsLimits.announceAgain_ms, () => this.#announce());
    });
  }

  /** whether its socket could not be opened */
  get failed(): boolean {
    return this.#failed;
  }

  forgetOthers(): void {
    const gone = [...this.#others].map((address) => this.#records.addressRecord(address, 0));
    this.#others.clear();
    void this.#send(gone);
    // some clients forget the name with an address of it
    void this.#send([this.#records.own]);
  }

  async close(alone: boolean): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#socket.removeAllListeners('query').removeAllListeners('response');
    const left = alone ? this.#records.all : [this.#records.own];
    const told = this.#send(left.map((record) => withTtl(record, 0)));
    // what cannot be sent in time expires by itself
    await Promise.race([told, new Promise((resolve) => setTimeout(resolve, mdnsLimits.goodbye_ms))]);
    await new Promise<void>((resolve) => this.#socket.destroy(resolve));
  }

  #announce(): void {
    void this.#send(this.#records.all);
  }

  #asked(packet: QueryPacket, from: Source): void {
    // port 0 is a source that takes no answer (RFC 768): nothing can be sent to it
    if (from.port === 0 || !this.#isNear(from.address)) return;
    const questions = (packet.questions ?? []).slice(0, mdnsLimits.maxQuestions);
    for (const question of questions) {
      const answers = this.#records.answersTo(question, packet.answers ?? []);
      if (answers.length === 0) continue;
      if (from.port === mdnsPort) this.#answer(answers);
      else this.#reply(packet, question, answers, from);
    }
  }

  /** To everybody, after a moment, as others may answer the same question. */
  #answer(answers: readonly DnsRecord[]): void {
    const now_ms = performance.now();
    const { delayMin_ms, delayMax_ms, answerAgain_ms } = mdnsLimits;
    const due = answers.filter((record) =>
      now_ms - (this.#said_ms.get(record) ?? -Infinity) >= answerAgain_ms
    );
    for (const record of due) this.#said_ms.set(record, now_ms);
    if (due.length === 0) return;
    this.#after(delayMin_ms + Math.random() * (delayMax_ms - delayMin_ms), () => {
      void this.#send(due, this.#records.additionals(due));
    });
  }

  /** To a client that knows DNS but not mDNS (RFC 6762 section 6.7). */
  #reply(query: QueryPacket, question: Question, answers: readonly DnsRecord[], to: Source): void {
    const short = answers.map((answer) => withTtl(answer, Math.min(plainTtl_s, ttlOf(answer))));
    this.#socket.respond({ id: query.id, questions: [question], answers: short }, to);
  }

  #heard(packet: ResponsePacket, { address }: Source): void {
    if (!this.#isNear(address) || address === this.#own.address) return;
    for (const answer of [...packet.answers ?? [], ...packet.additionals ?? []]) {
      const isWithdrawn = ttlOf(answer) === 0;
      const other = this.#records.addressIn(answer);
      if (other !== undefined && isWithdrawn) this.#others.delete(other);
      else if (other !== undefined && other !== this.#own.address) this.#meet(other);
      if (isWithdrawn && this.#records.has(answer)) this.#rescue();
    }
  }

  #meet(address: string): void {
    if (this.#others.size < mdnsLimits.maxOthers) this.#others.add(address);
  }

  /** Somebody has taken back what this node still says: clients hear it again before they have forgotten it. */
  #rescue(): void {
    if (this.#rescuing) return;
    this.#rescuing = true;
    this.#after(mdnsLimits.delayMax_ms, () => this.#announce());
    this.#after(mdnsLimits.answerAgain_ms, () => this.#rescuing = false);
  }

  #isNear(address: string): boolean {
    return isIPv4(address) && this.#subnet.check(address, 'ipv4');
  }

  /** In packets that pass any LAN whole. */
  async #send(answers: readonly DnsRecord[], additionals: readonly DnsRecord[] = []): Promise<void> {
    const rest = [...answers];
    let extra = [...additionals];
    while (rest.length > 0) {
      const part = rest.splice(0, mdnsLimits.recordsPerPacket);
      await new Promise<void>((resolve) => {
        this.#socket.respond({ answers: part, additionals: extra }, () => resolve());
      });
      extra = [];
    }
  }

  #after(delay_ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delay_ms);
    this.#timers.add(timer);
  }
}

const withTtl = (record: DnsRecord, ttl: number) => ({ ...record, ttl }) as DnsRecord;

function subnetOf({ address, netmask }: LanInterface): BlockList {
  const prefix = netmask.split('.').reduce(
    (bits, octet) => bits + Number(octet).toString(2).replaceAll('0', '').length,
    0,
  );
  const subnet = new BlockList();
  subnet.addSubnet(address, prefix, 'ipv4');
  return subnet;
}
