/** A transport without a network: nobody is heard, nobody is reached. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { Transport } from '../../mesh/ports.ts';

/** @param changes what it does all the same */
export function deafTransport(peer: string, changes: Partial<Transport> = {}): Transport {
  const nobody = () => Promise.reject(new InkmeshError('unavailable', 'there is no network'));
  return {
    peer,
    addresses: () => [],
    links: () => [],
    dial: nobody,
    probe: () => Promise.resolve(false),
    open: nobody,
    handle: () => Promise.resolve(),
    report: () => {},
    relayBy: () => {},
    reserveAt: nobody,
    endRelayed: () => {},
    relayed: () => ({ reservations: 0, circuits: 0, joining: 0, refused: {} }),
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    ...changes,
  };
}
