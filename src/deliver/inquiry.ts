/** Get-Printer-Attributes on a connection of its own: what a printer is, and how it is, without a document. */
import type { Attribute } from '../ipp/message.ts';
import { deliverLimits } from '../limits.ts';
import { printerAttributes } from './ipp-capabilities.ts';
import { IppSession } from './ipp-session.ts';

/**
 * @param printer with `fingerprint`, the certificate that it must show; without, any
 * @throws what `IppSession.ask` throws, and InkmeshError `unavailable` when the printer refuses
 */
export async function inquire(
  { uri, fingerprint }: { uri: string; fingerprint?: string },
  names: readonly string[],
  signal: AbortSignal,
): Promise<Attribute[]> {
  const pin = fingerprint === undefined ? {} : { pin: { fingerprint } };
  const session = new IppSession({ uri: new URL(uri), user: 'inkmesh', limits: deliverLimits, ...pin });
  try {
    return await printerAttributes(session, names, signal);
  } finally {
    session.close();
  }
}
