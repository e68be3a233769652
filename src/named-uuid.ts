import { createHash } from 'node:crypto';

/** The one UUID of a name, whoever asks (RFC 9562 section 5.8: version 8), in lower case. */
export function namedUuid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  const [low, mid, high, clock, node] = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return [low, mid, high, clock, node].join('-');
}
