/** Delivery: from a stream of a document's octets to paper. One adapter for each URI scheme. */
import { InkmeshError } from '../../mesh/errors.ts';
import type { Ticket } from '../job.ts';
import { deliverIpp, probeIpp } from './ipp.ts';
import { deliverRaw, probeRaw } from './raw.ts';

export interface Delivery {
  printer: {
    name: string;
    uri: string;
    /** SHA-256 of the printer's TLS certificate (DER), hexadecimal; required for ipps */
    fingerprint?: string;
  };
  ticket: Ticket;
  user: string;
  /** read once, and not before `begin` */
  document: AsyncIterable<Uint8Array>;
  /** octets of the document */
  bytes: number;
  /** awaited after the printer was found ready and before the first octet of the document; throws to stop */
  begin(): Promise<void>;
  /** stops the delivery: what has begun is cancelled at the printer */
  signal: AbortSignal;
  /** @param bytes octets of the document that were handed on so far */
  onProgress?(bytes: number): void;
}

export interface Outcome {
  /**
   * `printed`: the printer said so. `sent`: all octets are there, more cannot be known. `failed`: nothing came out.
   * `interrupted`: something may have come out.
   */
  outcome: 'printed' | 'sent' | 'failed' | 'interrupted';
  /** for people; always there when nothing or not everything came out */
  reason?: string;
  /** performance.now() when the first octet of the document was handed on */
  firstByte_ms?: number;
  /** performance.now() when the last one was */
  lastByte_ms?: number;
}

export interface Probe {
  /** SHA-256 of the certificate (DER), lower-case hexadecimal; ipps only */
  fingerprint?: string;
  makeAndModel?: string;
  /** MIME media types */
  formats?: string[];
}

interface Adapter {
  deliver(delivery: Delivery): Promise<Outcome>;
  probe(uri: URL): Promise<Probe>;
}

const ipp: Adapter = { deliver: deliverIpp, probe: probeIpp };
const adapters: Readonly<Record<string, Adapter>> = {
  'ipp:': ipp,
  'ipps:': ipp,
  'socket:': { deliver: deliverRaw, probe: probeRaw },
};

/** @throws InkmeshError `bad-request` for a URI that no adapter takes */
function adapterOf(uri: string): Adapter {
  const scheme = URL.canParse(uri) ? new URL(uri).protocol : '';
  const adapter = Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined;
  if (adapter !== undefined) return adapter;
  throw new InkmeshError('bad-request', `${uri} is not a printer: use ipp://, ipps:// or socket://`);
}

/**
 * Prints a document, and follows it to its end where the printer can tell.
 * @returns how it ended, whatever happens at the printer
 * @throws whatever `begin` throws; InkmeshError `bad-request` for a printer's URI that no adapter takes
 */
export async function deliver(delivery: Delivery): Promise<Outcome> {
  return await adapterOf(delivery.printer.uri).deliver(delivery);
}

/**
 * What a printer says of itself; without a document.
 * @throws InkmeshError `unavailable` when it cannot be reached, `bad-request` for a URI that no adapter takes
 */
export async function probe(uri: string): Promise<Probe> {
  return await adapterOf(uri).probe(new URL(uri));
}
