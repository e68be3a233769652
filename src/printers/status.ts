/** How printers are: asked by SNMP and by IPP at once, whichever of both they speak. */
import { isIP } from 'node:net';
import { asInkmeshError, InkmeshError } from '../../mesh/errors.ts';
import type { Log } from '../../mesh/mod.ts';
import { remember } from '../../mesh/remember.ts';
import type { Attribute } from '../ipp/message.ts';
import { conditionLimits } from '../limits.ts';
import { type AskCondition, type Condition, hasStopped, mergedCondition } from './condition.ts';
import { conditionAttributes, conditionOfAttributes } from './ipp-condition.ts';
import { hostOf } from './identity.ts';
import { readCondition } from './printer-mib.ts';
import { type Agent, SnmpSession } from './snmp.ts';
import { type SnmpSettings, type Version, versionsOf } from './snmp-settings.ts';

/** A printer as it is asked. */
export interface Addressed {
  uri: string;
  /** other ways to the same printer */
  more?: readonly string[] | undefined;
  /** of its certificate, for ipps */
  fingerprint?: string | undefined;
}

/**
 * Get-Printer-Attributes; the signal ends it.
 * @throws InkmeshError `unavailable`, `timeout`, or `forbidden` for another certificate than the pinned one
 */
export type AskIpp = (
  printer: { uri: string; fingerprint?: string },
  names: readonly string[],
  signal: AbortSignal,
) => Promise<Attribute[]>;

export interface ConditionOptions {
  /** null: SNMP is not asked */
  snmp: SnmpSettings | null;
  askIpp: AskIpp;
  log: Log;
}

interface Hearing {
  /** the version that it has answered; undefined: none so far */
  version: Version | undefined;
  silentSince_ms: number;
}

export class Conditions {
  readonly #options: ConditionOptions;
  readonly #known = new Map<string, { host: string; asked: Promise<Condition>; at_ms: number }>();
  readonly #hearing = new Map<string, Hearing>();
  /** printers that have said how they are when they were asked last */
  readonly #heard = new Map<string, true>();

  constructor(options: ConditionOptions) {
    this.#options = options;
  }

  /** @returns what asks this printer; who asks within half a second gets the answer that another one got */
  conditionOf(printer: Addressed): AskCondition {
    const ask = async (signal: AbortSignal) => {
      signal.throwIfAborted();
      const { promise: aborted, reject } = Promise.withResolvers<never>();
      const abort = () => reject(new InkmeshError('unavailable', 'the question was withdrawn'));
      signal.addEventListener('abort', abort, { once: true });
      try {
        return await Promise.race([this.#shared(printer), aborted]);
      } finally {
        signal.removeEventListener('abort', abort);
      }
    };
    return Object.assign(ask, { heard: this.#heard.has(keyOf(printer)) });
  }

  /**
   * The next question to the printers at an IP address is asked, whatever was answered a moment ago, and by SNMP too;
   * printers that are known by a name count as well, as it may be theirs.
   */
  forget(address: string): void {
    const isThere = (host: string) => host === address || isIP(host) === 0;
    for (const [key, { host }] of this.#known) if (isThere(host)) this.#known.delete(key);
    for (const [host, { version }] of this.#hearing) {
      if (isThere(host) && version === undefined) this.#hearing.delete(host);
    }
  }

  #shared(printer: Addressed): Promise<Condition> {
    const key = keyOf(printer);
    const now_ms = performance.now();
    const known = this.#known.get(key);
    if (known !== undefined && now_ms - known.at_ms < conditionLimits.cache_ms) return known.asked;
    // it holds from when it was answered; until then everybody waits for it
    const entry = { host: hostOf(printer.uri), asked: this.#ask(printer), at_ms: Infinity };
    const answered = () => void (entry.at_ms = performance.now());
    entry.asked.then(({ activity }) => {
      answered();
      this.#heard.delete(key);
      if (activity !== 'unknown') remember(this.#heard, key, true, conditionLimits.maxKnown);
    }, answered);
    this.#known.delete(key);
    remember(this.#known, key, entry, conditionLimits.maxKnown);
    return entry.asked;
  }

  async #ask(printer: Addressed): Promise<Condition> {
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), conditionLimits.ask_ms);
    const ipp = inTime(this.#askIpp(printer, over.signal), over.signal);
    const snmp = inTime(this.#askSnmp(hostOf(printer.uri)), over.signal);
    try {
      const first = await Promise.any([ipp, snmp].map(async (asked) => await asked ?? Promise.reject()))
        .catch(() => undefined);
      if (first === undefined) return this.#unanswered(await settled(ipp), await settled(snmp));
      // IPP would make it no better, and knows less
      const bySnmp = await within(snmp.catch(() => undefined), 0);
      if (bySnmp !== undefined && hasStopped(bySnmp)) return bySnmp;
      const both = Promise.all([ipp, snmp].map((asked) => asked.catch(() => undefined)));
      const answers = await within(both, conditionLimits.grace_ms) ?? [first];
      return answers.filter((answer) => answer !== undefined).reduce(mergedCondition);
    } finally {
      clearTimeout(timer);
      over.abort();
    }
  }

  /** @throws InkmeshError what went wrong, where that can be told */
  #unanswered(...answers: (Condition | InkmeshError | undefined)[]): Condition {
    const errors = answers.filter((answer) => answer instanceof InkmeshError);
    const telling = errors.find(({ code }) => code === 'forbidden' || code === 'corrupt') ?? errors[0];
    if (telling === undefined) return { activity: 'unknown', reasons: [] };
    if (telling.code === 'forbidden') throw telling;
    const why = `the printer does not answer: is it switched on, and in the network? (${telling.message})`;
    throw new InkmeshError('unavailable', why);
  }

  /** @returns undefined for a printer that speaks no IPP */
  async #askIpp(
    { uri, more = [], fingerprint }: Addressed,
    signal: AbortSignal,
  ): Promise<Condition | undefined> {
    const spoken = [uri, ...more].find((known) => /^ipps?:/.test(known));
    if (spoken === undefined) return undefined;
    const printer = { uri: spoken, ...(fingerprint === undefined ? {} : { fingerprint }) };
    return conditionOfAttributes(await this.#options.askIpp(printer, conditionAttributes, signal));
  }

  /** @returns undefined where no SNMP is asked for, or spoken */
  async #askSnmp(host: string): Promise<Condition | undefined> {
    const { snmp } = this.#options;
    // a print queue of this machine has no host
    if (snmp === null || host === '') return undefined;
    const hearing = this.#hearing.get(host);
    const isDeaf = hearing !== undefined && hearing.version === undefined &&
      performance.now() - hearing.silentSince_ms < conditionLimits.deaf_ms;
    if (isDeaf) return undefined;
    const versions = hearing?.version === undefined ? versionsOf(snmp) : [hearing.version];
    try {
      const [version, condition] = await firstOf(
        versions.map(async (version) =>
          [version, await askBySnmp({ host, settings: snmp, version })] as const
        ),
      );
      this.#hear(host, condition === undefined ? undefined : version);
      return condition;
    } catch (thrown) {
      if (hearing?.version !== undefined) throw thrown;
      this.#hear(host, undefined);
      const { code, message } = asInkmeshError(thrown);
      if (code === 'timeout') return undefined;
      this.#options.log('warn', 'a printer cannot be asked by SNMP', { host, reason: message });
      throw thrown;
    }
  }

  #hear(host: string, version: Version | undefined): void {
    this.#hearing.delete(host);
    const hearing = { version, silentSince_ms: performance.now() };
    remember(this.#hearing, host, hearing, conditionLimits.maxKnown);
  }
}

const keyOf = ({ uri, more = [], fingerprint = '' }: Addressed): string =>
  JSON.stringify([uri, more, fingerprint]);

async function askBySnmp(agent: Agent): Promise<Condition | undefined> {
  const session = await SnmpSession.open(agent);
  try {
    return await readCondition(session);
  } finally {
    session.close();
  }
}

/** The first that succeeds. @throws what the first of them throws, when none does */
async function firstOf<T>(asked: readonly Promise<T>[]): Promise<T> {
  return await Promise.any(asked).catch((all: AggregateError) => Promise.reject(all.errors[0]));
}

async function settled<T>(asked: Promise<T>): Promise<T | InkmeshError> {
  return await asked.catch(asInkmeshError);
}

/** What was asked, until the signal: a name server may be silent too. @throws InkmeshError `timeout` */
async function inTime<T>(asked: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => {});
  signal.addEventListener('abort', () => reject(new InkmeshError('timeout', 'no answer came in time')));
  return await Promise.race([asked, late]);
}

/** Undefined when it takes longer. */
async function within<T>(asked: Promise<T>, limit_ms: number): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), limit_ms);
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
