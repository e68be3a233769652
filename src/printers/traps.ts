/**
 * SNMP traps (RFC 3416 section 4.2.6): a printer that sends one has something to say, and is asked anew at once. What
 * the trap itself says is not looked at, so that nobody can say anything in a printer's name.
 */
import { createSocket } from 'node:dgram';
import type { AddressInfo } from 'node:net';
import type { Log } from '../../mesh/mod.ts';
import { trapLimits } from '../limits.ts';

export interface Traps {
  /** where they are heard; 0 where that is not possible */
  readonly port: number;
  close(): void;
}

/**
 * @param port UDP; 0 for any
 * @param heard told from which IP address one came, not more often than `trapLimits` say
 */
export async function hearTraps(port: number, heard: (address: string) => void, log: Log): Promise<Traps> {
  const socket = createSocket({ type: 'udp4' });
  let window_ms = 0;
  let inWindow = 0;
  socket.on('message', (_datagram, { address }) => {
    const now_ms = performance.now();
    if (now_ms - window_ms > trapLimits.window_ms) [window_ms, inWindow] = [now_ms, 0];
    if (++inWindow <= trapLimits.perWindow) heard(address);
  });
  const opened = new Promise<boolean>((resolve) => {
    socket.on('error', ({ message }) => {
      log('warn', 'SNMP traps cannot be heard', { port, reason: message });
      resolve(false);
    });
    socket.bind(port, () => resolve(true));
  });
  const isOpen = await opened;
  return {
    port: isOpen ? (socket.address() as AddressInfo).port : 0,
    close: () => {
      if (isOpen) socket.close();
    },
  };
}
