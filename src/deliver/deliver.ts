/** Delivery: from a stream of a document's octets to paper. One adapter for each URI scheme. */
import process from 'node:process';
import { printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import type { PrinterOptions, Ticket } from '../job.ts';
import { type DeliverLimits, deliverLimits } from '../limits.ts';
import type { AskCondition } from '../printers/condition.ts';
import { deliverIpp, probeIpp } from './ipp.ts';
import { IppPool } from './ipp-pool.ts';
import { cupsAddress, deliverSpooler, probeSpooler } from './queue.ts';
import { deliverRaw, probeRaw } from './raw.ts';
import { reasonOf } from './source.ts';
import { Turns } from './turns.ts';
import { Waiting } from './waiting.ts';

export interface Delivery {
  printer: {
    name: string;
    uri: string;
    /** further addresses: one is tried when the document was not asked for at those before it */
    more?: readonly string[] | undefined;
    /** SHA-256 of the printer's TLS certificate (DER), hexadecimal; required for ipps */
    fingerprint?: string | undefined;
    /** what it takes, as the directory knows; RAW printers do not tell it themselves */
    formats?: readonly string[] | undefined;
  };
  /** the printer as it is known now: asked when its turn has come; throws where it is known no more */
  known?(): Delivery['printer'];
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
  /** how the printer says it is, where it can be asked beside its address */
  condition?: AskCondition;
  /** @param bytes octets of the document that were handed on so far */
  onProgress?(bytes: number): void;
  /** @param reason why nothing moves at the printer, for people; null when it goes on */
  onWaiting?(reason: string | null): void;
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
  /** SHA-256 of the certificate that an ipps printer has shown, when it is not the accepted one */
  wrongCertificate?: string;
}

/** One address of a printer is tried. */
export interface Attempt extends Delivery {
  readonly target: URL;
  readonly limits: DeliverLimits;
  readonly waiting: Waiting;
  readonly pool: IppPool;
  /** whether what the printer says of sheets that came out is to be trusted */
  readonly countsSheets: boolean;
}

/** What an adapter says: `elsewhere` when the printer was not reached, and the document was not asked for. */
export interface Attempted extends Outcome {
  elsewhere?: true;
}

export interface Probe {
  /** SHA-256 of the certificate (DER), lower-case hexadecimal; ipps only */
  fingerprint?: string;
  makeAndModel?: string;
  /** MIME media types */
  formats?: string[];
  options?: PrinterOptions;
}

interface Adapter {
  deliver(attempt: Attempt): Promise<Attempted>;
  probe(uri: URL): Promise<Probe>;
  /** deliveries at a time at one address */
  abreast(limits: DeliverLimits): number;
}

const ipp: Adapter = { deliver: deliverIpp, probe: probeIpp, abreast: ({ abreast }) => abreast };
/** CUPS counts sheets of what its filters have made of a document, if at all. */
const cups: Adapter = {
  ...ipp,
  deliver: (attempt) => deliverIpp({ ...attempt, target: cupsAddress(attempt.target), countsSheets: false }),
  probe: (uri) => probeIpp(cupsAddress(uri)),
};
const spooler: Adapter = { ...ipp, deliver: deliverSpooler, probe: probeSpooler };
const raw: Adapter = { deliver: deliverRaw, probe: probeRaw, abreast: ({ abreastRaw }) => abreastRaw };

/** @param platform whose spooler `system:` is */
const adaptersOf = (platform: NodeJS.Platform): Readonly<Record<string, Adapter>> => ({
  'ipp:': ipp,
  'ipps:': ipp,
  'socket:': raw,
  'system:': platform === 'win32' ? spooler : cups,
});
const adapters = adaptersOf(process.platform);

/** Whether an address is a print queue of the operating system, which keeps documents unencrypted. */
export const isSystemQueue = (uri: string): boolean => uri.startsWith('system:');

/** @throws InkmeshError `bad-request` for a URI that no adapter takes */
function adapterOf(uri: string): Adapter {
  const scheme = URL.canParse(uri) ? new URL(uri).protocol : '';
  const adapter = Object.hasOwn(adapters, scheme) ? adapters[scheme] : undefined;
  if (adapter !== undefined) return adapter;
  const message = `${uri} is not a printer: use ipp://, ipps://, socket:// or system:QUEUE`;
  throw new InkmeshError('bad-request', message);
}

export interface DelivererOptions {
  /** whether this machine's own print queues may be used: they keep what is printed unencrypted */
  systemQueues?: boolean;
  limits?: DeliverLimits;
}

/** What a node knows of its printers from one delivery to the next. */
export class Deliverer {
  readonly #systemQueues: boolean;
  readonly #limits: DeliverLimits;
  readonly #turns: Turns;
  readonly #pool: IppPool;

  constructor({ systemQueues = false, limits = deliverLimits }: DelivererOptions = {}) {
    this.#systemQueues = systemQueues;
    this.#limits = limits;
    this.#turns = new Turns(limits);
    this.#pool = new IppPool(limits);
  }

  /** Closes idle connections. */
  close(): void {
    this.#pool.close();
  }

  /**
   * Prints a document, and follows it to its end where the printer can tell. The next address of a printer is tried
   * while no octet of the document has been asked for.
   * @returns how it ended, whatever happens at the printer
   * @throws whatever `begin` and `known` throw; InkmeshError `bad-request` for a printer's URI that no adapter takes
   */
  async deliver(delivery: Delivery): Promise<Outcome> {
    const { printer: { uri, more = [] }, signal } = delivery;
    const targets = [uri, ...more].map((target) => ({ target, adapter: adapterOf(target) }));
    let begun: Promise<void> | undefined;
    const begin = () => begun ??= delivery.begin();
    const before: string[] = [];
    for (const { target, adapter } of targets) {
      const { elsewhere, ...outcome } = await this.#attempt({ ...delivery, begin }, target, adapter);
      const last = before.length === targets.length - 1;
      if (elsewhere === undefined || last || signal.aborted) {
        return withReasons(outcome, before, this.#limits.maxReasonChars);
      }
      before.push(`${target}: ${outcome.reason}`);
    }
    throw new TypeError('a printer has an address');
  }

  async #attempt(delivery: Delivery, uri: string, adapter: Adapter): Promise<Attempted> {
    if (isSystemQueue(uri) && !this.#systemQueues) {
      return { outcome: 'failed', reason: notAllowed, elsewhere: true };
    }
    const limits = this.#limits;
    const waiting = new Waiting({ ...delivery, limits });
    const target = new URL(uri);
    let pass: () => void;
    try {
      // a line is no fault of the printer
      const inLine = () => waiting.note('other documents are on their way to the printer', false);
      pass = await this.#turns.take(placeOf(target), adapter.abreast(limits), delivery.signal, inLine);
    } catch (thrown) {
      return { outcome: 'failed', reason: reasonOf(thrown) };
    }
    try {
      waiting.note(null);
      // much may have become of it while others were first
      const printer = delivery.known?.() ?? delivery.printer;
      if (![printer.uri, ...printer.more ?? []].includes(uri)) {
        return { outcome: 'failed', reason: `${printer.name} has another address now: print again` };
      }
      return await adapter.deliver({
        ...{ ...delivery, printer, target, limits, waiting },
        ...{ pool: this.#pool, countsSheets: true },
      });
    } finally {
      pass();
    }
  }
}

const ports: Readonly<Record<string, string>> = { 'ipp:': '631', 'ipps:': '631', 'socket:': '9100' };

/** One place for all ways to a printer that share their turns: with and without TLS, with a port and without. */
function placeOf({ protocol, hostname, port, href }: URL): string {
  if (hostname === '') return href;
  return `${protocol.replace('ipps:', 'ipp:')}${hostname}:${port || ports[protocol]}`;
}

const notAllowed =
  'this node may not use the print queues of its machine, which keep documents unencrypted: ' +
  'set systemQueues in its configuration';

/**
 * Why the addresses before this one were of no use is of interest only when it was of none either. Whatever a printer has
 * said becomes a line that is fit to be read.
 */
function withReasons({ reason, ...outcome }: Outcome, before: readonly string[], maxChars: number): Outcome {
  const isOut = outcome.outcome === 'printed' || outcome.outcome === 'sent';
  const reasons = [reason, ...(isOut ? [] : before)].filter((known) => known !== undefined);
  return reasons.length === 0 ? outcome : { ...outcome, reason: printable(reasons.join('; '), maxChars) };
}

/**
 * What a printer says of itself; without a document.
 * @throws InkmeshError `unavailable` when it cannot be reached, `bad-request` for a URI that no adapter takes
 */
export async function probe(uri: string): Promise<Probe> {
  return await adapterOf(uri).probe(new URL(uri));
}
