/**
 * How who is no member finds a registrar: directly, or where only a cloud node can be reached through that one. It tells
 * which registrars are connected to it and lets through what it takes to join, little and not for long (joiners.ts). Noise
 * runs from end to end: it sees no secret, and issues nothing.
 */
import * as v from 'valibot';
import { meshAddress, reservationAt, socketTarget } from './address.ts';
import { InkmeshError } from './errors.ts';
import { dialTimeout_ms, maxRegistrarsTold } from './limits.ts';
import { peerId } from './names.ts';
import type { Clock, Link, Transport } from './ports.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';
import { deadline } from './timing.ts';

const registrarsReply = v.strictObject({
  /** connected to the callee */
  registrars: v.pipe(v.array(peerId), v.maxLength(maxRegistrarsTold)),
});

const registrarsMethod: Method<typeof noReply, typeof registrarsReply> = {
  name: 'registrars',
  request: noReply,
  reply: registrarsReply,
  admission: 'anyone',
};

/** On a cloud node. @param registrars PeerIds of those that are connected */
export async function serveLead(rpc: Rpc, registrars: () => readonly string[]): Promise<void> {
  await rpc.handle(
    registrarsMethod,
    () => Promise.resolve({ reply: { registrars: registrars().slice(0, maxRegistrarsTold) } }),
  );
}

export interface LeadOptions {
  /** of a host that is no member */
  transport: Transport;
  rpc: Rpc;
  clock: Clock;
}

/** Dials a registrar. @throws InkmeshError `unavailable` */
export type Way = () => Promise<Link>;

/**
 * The ways to registrars by one address: that of a registrar itself, or of a cloud node, which is reached by WebSocket.
 * @param address HOST:PORT, URL or multiaddr
 * @throws InkmeshError `unavailable` when a cloud node does not answer, or has no registrar; `bad-request`
 */
export async function waysBy(address: string, { transport, rpc, clock }: LeadOptions): Promise<Way[]> {
  const first = meshAddress(address);
  const dial = async (peer: string | null, at: string): Promise<Link> => {
    const { signal, done } = deadline(clock, dialTimeout_ms);
    try {
      return await transport.dial(peer, [at], signal);
    } catch (cause) {
      const message =
        `no registrar answers at ${address}: is it running, and does the firewall let TCP through?`;
      throw new InkmeshError('unavailable', message, {}, { cause });
    } finally {
      done();
    }
  };
  if (socketTarget(first) === undefined) return [() => dial(null, first)];
  const cloud = await dial(null, first);
  const { reply: { registrars } } = await rpc.call(cloud.peer, registrarsMethod, {}, { link: cloud });
  if (registrars.length === 0) {
    throw new InkmeshError(
      'unavailable',
      `no registrar is connected to the cloud node at ${address} now: start one, and try again`,
    );
  }
  return registrars.map((peer) => () => dial(peer, reservationAt(first, cloud.peer)));
}
