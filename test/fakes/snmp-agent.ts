/** A UDP agent that answers SNMP as a test tells it to: octets made by hand, so that they can be wrong. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

/** What is needed of a question to answer it. */
export interface Question {
  version: number;
  /** of the message in v3, of the PDU in v1 and v2c */
  id: number;
  /** the objects that are asked for; none in an encrypted question */
  oids: string[];
}

export interface SnmpAgent {
  readonly port: number;
  /** datagrams that came */
  questions: number;
  stop(): Promise<void>;
}

export type Say = (datagram: Uint8Array) => void;

/** @param answer says nothing, one datagram or many, from the agent's port; `other` says it from another one */
export async function startSnmpAgent(
  answer: (question: Question, say: Say, other: Say) => void,
): Promise<SnmpAgent> {
  const [socket, elsewhere] = [createSocket('udp4'), createSocket('udp4')];
  for (const each of [socket, elsewhere]) await new Promise<void>((done) => each.bind(0, '127.0.0.1', done));
  let isOpen = true;
  const from = (from: Socket, { port, address }: RemoteInfo): Say => (datagram) => {
    if (isOpen) from.send(datagram, port, address);
  };
  socket.on('message', (datagram, asker) => {
    agent.questions += 1;
    answer(questionOf(datagram), from(socket, asker), from(elsewhere, asker));
  });
  const agent: SnmpAgent = {
    port: socket.address().port,
    questions: 0,
    stop: async () => {
      isOpen = false;
      await Promise.all([socket, elsewhere].map((each) => new Promise<void>((done) => each.close(done))));
    },
  };
  return agent;
}

interface Tlv {
  tag: number;
  content: Uint8Array;
  end: number;
}

function tlvAt(octets: Uint8Array, at: number): Tlv {
  const first = octets[at + 1] ?? 0;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + lengthBytes;
  const length = lengthBytes === 0 ? first : integerIn(octets.subarray(at + 2, start));
  return { tag: octets[at] ?? 0, content: octets.subarray(start, start + length), end: start + length };
}

function partsOf(octets: Uint8Array): Tlv[] {
  const parts: Tlv[] = [];
  for (let at = 0; at < octets.length; at = parts.at(-1)?.end ?? octets.length) parts.push(tlvAt(octets, at));
  return parts;
}

const integerIn = (octets: Uint8Array) => octets.reduce((sum, octet) => sum * 256 + octet, 0);
const contentOf = (part: Tlv | undefined) => part?.content ?? new Uint8Array();

function questionOf(datagram: Uint8Array): Question {
  const [version, second, third] = partsOf(tlvAt(datagram, 0).content);
  const number = integerIn(contentOf(version));
  if (number === 3) {
    const [id] = partsOf(contentOf(second));
    return { version: number, id: integerIn(contentOf(id)), oids: [] };
  }
  const [id, , , list] = partsOf(contentOf(third));
  const oids = partsOf(contentOf(list)).map(({ content }) => oidIn(contentOf(partsOf(content)[0])));
  return { version: number, id: integerIn(contentOf(id)), oids };
}

function oidIn(octets: Uint8Array): string {
  const numbers: number[] = [];
  let number = 0;
  for (const octet of octets) {
    number = number * 128 + (octet & 0x7f);
    if (octet < 0x80) {
      numbers.push(number);
      number = 0;
    }
  }
  const [first = 0, ...rest] = numbers;
  return [Math.floor(first / 40), first % 40, ...rest].join('.');
}

export function tlv(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...size), content]);
}

export function integerTlv(value: number): Uint8Array {
  return tlv(2, Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
}

export const octetsTlv = (octets: Uint8Array | string) => tlv(4, Buffer.from(octets));

export function oidTlv(oid: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = oid.split('.').map(Number);
  const octets = [first * 40 + second, ...rest].flatMap((number) => {
    const low = [number & 0x7f];
    for (let high = Math.floor(number / 128); high > 0; high = Math.floor(high / 128)) {
      low.unshift((high & 0x7f) | 0x80);
    }
    return low;
  });
  return tlv(6, Uint8Array.from(octets));
}

const getResponse = 0xa2;
const report = 0xa8;

function pdu(tag: number, id: number, varbinds: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const list = varbinds.map(([oid, value]) => tlv(0x30, oidTlv(oid), value));
  return tlv(tag, integerTlv(id), integerTlv(0), integerTlv(0), tlv(0x30, ...list));
}

/** An answer in SNMPv2c. */
export function answerTo(
  id: number,
  varbinds: readonly (readonly [string, Uint8Array])[],
  community = 'public',
): Uint8Array {
  return tlv(0x30, integerTlv(1), octetsTlv(community), pdu(getResponse, id, varbinds));
}

/** An answer, or a report, in SNMPv3 that nothing protects. */
export function unprotected(
  id: number,
  varbinds: readonly (readonly [string, Uint8Array])[],
  kind: 'answer' | 'report',
): Uint8Array {
  const engine = octetsTlv('engine-of-a-rogue');
  const header = tlv(0x30, integerTlv(id), integerTlv(65507), octetsTlv(Uint8Array.of(0)), integerTlv(3));
  const security = tlv(
    0x30,
    engine,
    integerTlv(1),
    integerTlv(1),
    octetsTlv(''),
    octetsTlv(''),
    octetsTlv(''),
  );
  const body = pdu(kind === 'report' ? report : getResponse, id, varbinds);
  return tlv(0x30, integerTlv(3), header, octetsTlv(security), tlv(0x30, engine, octetsTlv(''), body));
}
