/** SNMP (v1, v2c, v3 with USM) to one agent, which is bounded in time, in rows and in octets whatever it says. */
import { lookup } from 'node:dns/promises';
import { printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { snmpLimits } from '../limits.ts';
import type { SnmpSettings, Version } from './snmp-settings.ts';
import { boundKeyCache, dgramTo, library, type Session, type User, type Varbind } from './net-snmp.ts';

/** An integer, octets, or an object identifier as `1.3.6`; undefined where there is none. */
export type Value = number | Uint8Array | string | undefined;

export interface Agent {
  /** IP address or host name */
  host: string;
  settings: SnmpSettings;
  version: Version;
  /** how long each question may take, and how often it is repeated */
  timeout_ms?: number;
  retries?: number;
}

export class SnmpSession {
  readonly #session: Session;
  readonly #version: Version;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #closed: Promise<never>;
  #end: (error: InkmeshError) => void = () => {};
  #isOpen = true;
  #unreadable = false;

  private constructor({ settings, version, ...agent }: Agent, address: string, family: number) {
    this.#version = version;
    this.#closed = new Promise((_, reject) => this.#end = reject);
    this.#closed.catch(() => {});
    const failed = (error: Error) => {
      this.#end(new InkmeshError('unavailable', `SNMP to the printer failed: ${error.message}`));
      this.close();
    };
    const options = {
      port: settings.port,
      transport: family === 6 ? 'udp6' : 'udp4',
      timeout: agent.timeout_ms ?? snmpLimits.timeout_ms,
      retries: agent.retries ?? snmpLimits.retries,
      dgramModule: dgramTo(address, settings.port, failed),
    };
    if (version === '3') {
      boundKeyCache();
      const user = userOf(settings);
      this.#session = library.createV3Session(address, user, { ...options, version: library.Version3 });
      onlyProtected(this.#session, user);
    } else {
      const known = version === '1' ? library.Version1 : library.Version2c;
      this.#session = library.createSession(address, settings.community, { ...options, version: known });
    }
    // of answers that cannot be read
    this.#session.on('error', () => this.#unreadable = true);
    this.#timer = setTimeout(() => {
      this.#end(new InkmeshError('timeout', 'the printer does not finish its answers to SNMP'));
      this.close();
    }, snmpLimits.session_ms);
  }

  /** @throws InkmeshError `unavailable` for a host name that means nothing; `bad-request` for v3 without a user */
  static async open(agent: Agent): Promise<SnmpSession> {
    const found = await lookup(agent.host).catch(() => undefined);
    if (found === undefined) {
      throw new InkmeshError('unavailable', `no address is known for the printer’s name ${agent.host}`);
    }
    return new SnmpSession(agent, found.address, found.family);
  }

  /**
   * The values of objects, undefined where the agent has none.
   * @throws InkmeshError `timeout` when it is silent, `forbidden` when it refuses the user, `corrupt` when its answers
   * cannot be read, else `unavailable`
   */
  async get(oids: readonly string[]): Promise<Value[]> {
    const found = this.#version === '1'
      ? (await this.#each(oids, (oid, done) => this.#session.get([oid], done))).flat()
      : await this.#ask<Varbind[]>((done) => this.#session.get(oids, done));
    return oids.map((oid, i) => {
      const varbind = found[i];
      return varbind?.oid === oid ? valueOf(varbind) : undefined;
    });
  }

  /**
   * Rows of a table by their index, a value for each column. Columns end where their objects do, where the agent goes
   * back instead of forth, and after `maxRows`. @throws as `get` does
   */
  async rows(columns: readonly string[], maxRows: number): Promise<Map<string, Value[]>> {
    const rows = new Map<string, Value[]>();
    const at = [...columns];
    let open = columns.map((_, column) => column);
    for (let round = 0; open.length > 0 && round <= maxRows; round++) {
      const repetitions = Math.min(maxRows - rows.size + 1, snmpLimits.repetitions);
      const answers = await this.#next(open.map((column) => at[column] ?? ''), repetitions);
      open = open.filter((column, i) => {
        const prefix = columns[column] ?? '';
        const varbinds = answers[i] ?? [];
        for (const varbind of varbinds) {
          const value = valueOf(varbind);
          if (value === undefined || !follows(prefix, at[column] ?? '', varbind.oid)) return false;
          at[column] = varbind.oid;
          const index = varbind.oid.slice(prefix.length + 1);
          const row = rows.get(index) ?? columns.map(() => undefined);
          if (!rows.has(index) && rows.size >= maxRows) return false;
          row[column] = value;
          rows.set(index, row);
        }
        return varbinds.length > 0;
      });
    }
    return rows;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#end(new InkmeshError('unavailable', 'the SNMP session is closed'));
    this.#session.close();
  }

  /** What comes behind each of `oids`. */
  async #next(oids: readonly string[], repetitions: number): Promise<Varbind[][]> {
    if (this.#version !== '1') {
      return await this.#ask<Varbind[][]>((done) => this.#session.getBulk(oids, 0, repetitions, done));
    }
    return await this.#each(oids, (oid, done) => this.#session.getNext([oid], done));
  }

  /** One by one: in SNMPv1 what does not exist spoils the answer for the others (RFC 1157 section 4.1.2). */
  async #each(
    oids: readonly string[],
    call: (oid: string, done: (error: Error | null, answer: Varbind[]) => void) => void,
  ): Promise<Varbind[][]> {
    const answers: Varbind[][] = [];
    for (const oid of oids) {
      answers.push(
        await this.#ask<Varbind[]>((done) => call(oid, done)).catch((error: InkmeshError) => {
          if (error.code === 'not-found') return [];
          throw error;
        }),
      );
    }
    return answers;
  }

  async #ask<T>(call: (done: (error: Error | null, answer: T) => void) => void): Promise<T> {
    const answered = new Promise<T>((resolve, reject) => {
      if (!this.#isOpen) return;
      call((error, answer) => error === null ? resolve(answer) : reject(this.#explained(error)));
    });
    answered.catch(() => {});
    return await Promise.race([answered, this.#closed]);
  }

  /** Without the package's error as its cause, which may have keys in it. */
  #explained(error: Error & { status?: number }): InkmeshError {
    if (error.name === 'RequestTimedOutError') {
      return this.#unreadable
        ? new InkmeshError('corrupt', 'the printer’s answers to SNMP cannot be read')
        : new InkmeshError('timeout', 'the printer does not answer SNMP');
    }
    if (error.name === 'ResponseInvalidError') {
      return this.#version === '3'
        ? new InkmeshError(
          'forbidden',
          'the printer refuses the SNMP user or its keys: see snmp in config.json',
        )
        : new InkmeshError('corrupt', 'the printer’s answer to SNMP does not fit the question');
    }
    const noSuchName = 2;
    return error.name === 'RequestFailedError' && error.status === noSuchName
      ? new InkmeshError('not-found', 'the printer has no such object')
      : new InkmeshError('unavailable', `the printer refuses SNMP: ${printable(error.message, 100)}`);
  }
}

function userOf(settings: SnmpSettings): User {
  const { user, authKey, privKey } = settings;
  if (user === undefined || authKey === undefined) {
    throw new InkmeshError('bad-request', 'SNMPv3 needs user and authKey: see snmp in config.json');
  }
  const authProtocol = library.AuthProtocols[settings.authProtocol];
  const auth = { name: user, authProtocol, authKey };
  if (privKey === undefined) return { ...auth, level: library.SecurityLevel.authNoPriv };
  const privProtocol = library.PrivProtocols[settings.privProtocol];
  return { ...auth, level: library.SecurityLevel.authPriv, privProtocol, privKey };
}

/** The package takes an answer without authentication for one to a question with it (RFC 3414 section 3.2). */
function onlyProtected(session: Session, { level }: User): void {
  const take = session.onSimpleGetResponse;
  session.onSimpleGetResponse = (request, message) => {
    const isPrivate = level !== library.SecurityLevel.authPriv || message.hasPrivacy();
    if (message.hasAuthentication() && isPrivate) take.call(session, request, message);
    else request.responseCb(Object.assign(new Error('unprotected'), { name: 'ResponseInvalidError' }));
  };
}

function valueOf(varbind: Varbind): Value {
  if (library.isVarbindError(varbind)) return undefined;
  const { value } = varbind;
  if (typeof value === 'number' || typeof value === 'string' || value instanceof Uint8Array) return value;
  return undefined;
}

/** Whether an object is of the column `prefix`, and comes after `last`. */
function follows(prefix: string, last: string, oid: string): boolean {
  if (!oid.startsWith(`${prefix}.`) || oid.length > snmpLimits.maxOidChars) return false;
  const [before, after] = [last, oid].map((text) => text.split('.').map(Number));
  const at = after?.findIndex((number, i) => number !== before?.[i]) ?? -1;
  return at >= 0 && (after?.[at] ?? 0) > (before?.[at] ?? -1);
}

export function integerOf(value: Value): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

/** A text as people may see it; undefined where it says nothing. */
export function textOf(value: Value): string | undefined {
  if (!(value instanceof Uint8Array)) return undefined;
  const octets = value.subarray(0, snmpLimits.maxTextBytes);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(octets);
  } catch {
    // what is not UTF-8 is mostly Latin-1
    text = new TextDecoder('windows-1252').decode(octets);
  }
  const shown = printable(text, snmpLimits.maxTextBytes).trim();
  return shown === '' ? undefined : shown;
}
