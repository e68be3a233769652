/**
 * mDNS on every LAN that this machine is in. The package hears on all interfaces and sends on one; a workstation with a
 * dock, a radio and a VPN would be found on one of them at best. And it asks and answers as often as it can, which among
 * a thousand nodes would be all that a LAN carries: here questions become rare (RFC 6762 section 5.2), and who has
 * asked is answered by a few, whichever draw the shortest delays (section 6).
 */
import type { PeerDiscovery } from '@libp2p/interface';
import { mdns } from '@libp2p/mdns';
import multicastDns, { type MulticastDNS, type Options } from 'multicast-dns';
import { networkInterfaces } from 'node:os';
import {
  maxInterfaces,
  mdnsAnswerDelay_ms,
  mdnsAnswers,
  mdnsInterval_ms,
  mdnsIntervalMax_ms,
} from './limits.ts';
import type { Clock } from './ports.ts';
import { fraction } from './timing.ts';

/** The package's socket, with what its types leave out: every query and answer goes out by `send`. */
interface Socket {
  send(packet: Packet): void;
  destroy(): void;
  on(event: 'response', listener: (packet: Packet) => void): unknown;
}

interface Packet {
  type: 'query' | 'response';
  answers?: readonly { name: string }[];
}

/** The package's discovery, which has its socket while it runs. */
type Lan = PeerDiscovery & { mdns?: Socket; start(): Promise<void>; stop(): Promise<void> };

export interface LanOptions {
  serviceTag: string;
  clock: Clock;
}

/** Discovery of peers by mDNS, on all interfaces, those included that come while it runs. */
export function lanDiscovery(
  options: LanOptions,
): (components: Parameters<ReturnType<typeof mdns>>[0]) => PeerDiscovery {
  return (components) => {
    const { serviceTag } = options;
    const lan = mdns({ serviceTag, interval: mdnsInterval_ms })(components) as Lan;
    const senders = new Senders();
    const [start, stop] = [lan.start.bind(lan), lan.stop.bind(lan)];
    lan.start = async () => {
      await start();
      if (lan.mdns !== undefined) takeOver(lan.mdns, senders, options);
    };
    lan.stop = async () => {
      await stop();
      senders.close();
    };
    return lan;
  };
}

/** Has everything that the package sends go out by the senders, paced. */
function takeOver(socket: Socket, senders: Senders, { serviceTag, clock }: LanOptions): void {
  const sendByDefault = socket.send;
  const send = (packet: Packet) => {
    if (!senders.send(packet)) sendByDefault(packet);
  };
  let interval_ms = mdnsInterval_ms;
  let asked_ms = -Infinity;
  let heard = 0;
  let answering = false;
  socket.on('response', ({ answers }) => {
    if (answers?.some(({ name }) => name === serviceTag)) heard++;
  });
  const ask = (packet: Packet) => {
    const isNew = senders.refresh();
    if (isNew) interval_ms = mdnsInterval_ms;
    const now_ms = clock.monotonic_ms();
    if (!isNew && now_ms - asked_ms < interval_ms) return;
    asked_ms = now_ms;
    interval_ms = Math.min(2 * interval_ms, mdnsIntervalMax_ms);
    send(packet);
  };
  const answer = (packet: Packet) => {
    if (answering) return;
    answering = true;
    const before = heard;
    clock.after(mdnsAnswerDelay_ms * fraction(), () => {
      answering = false;
      if (heard - before < mdnsAnswers) send(packet);
    });
  };
  socket.send = (packet) => packet.type === 'query' ? ask(packet) : answer(packet);
}

/** A socket for each interface, to send from. */
class Senders {
  readonly #sockets = new Map<string, Socket>();

  /** False when there is no interface but loopback. */
  send(packet: Packet): boolean {
    for (const socket of this.#sockets.values()) socket.send(packet);
    return this.#sockets.size > 0;
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#sockets.clear();
  }

  /** Follows the interfaces as they come and go. True when there is a new one. */
  refresh(): boolean {
    let isNew = false;
    const addresses = new Set(lanInterfaces().map(({ address }) => address));
    for (const [address, socket] of this.#sockets) {
      if (addresses.has(address)) continue;
      socket.destroy();
      this.#sockets.delete(address);
    }
    for (const address of addresses) {
      if (this.#sockets.has(address)) continue;
      this.#sockets.set(address, lanSocket(address) as unknown as Socket);
      isNew = true;
    }
    return isNew;
  }
}

/** The DNS-SD service that an organisation's nodes find each other by. @param organisation SHA-256 of its root, in hex */
export function meshService(organisation: string): string {
  return `_inkmesh-${organisation.slice(0, 12)}._udp.local`;
}

/** An IPv4 address of this machine. */
export interface LanInterface {
  readonly address: string;
  readonly netmask: string;
}

/**
 * The first IPv4 address of each interface but loopback, of at most `maxInterfaces`.
 * @param only the one address that counts; all without it
 */
export function lanInterfaces(only?: string): LanInterface[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.filter(({ family, internal, address }) =>
      family === 'IPv4' && !internal && (only === undefined || address === only)
    ).slice(0, 1)
  ).map(({ address, netmask }) => ({ address, netmask })).slice(0, maxInterfaces);
}

/** A socket that speaks mDNS on the interface with this address. */
export function lanSocket(address: string): MulticastDNS {
  // bound to all addresses: one that is bound to its own gets no multicast
  const options: Options & { bind: string } = { interface: address, bind: '0.0.0.0' };
  // an interface that takes no multicast is no LAN, and the others go on
  return multicastDns(options).on('error', () => {});
}
