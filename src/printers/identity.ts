/** Who a printer is, whatever its address: its UUID, else its serial number, else where it is. */
import { printable } from '../../mesh/codec.ts';
import { InkmeshError } from '../../mesh/errors.ts';
import { stringsOf } from '../ipp/message.ts';
import { discoverLimits } from '../limits.ts';
import { readIdentity } from './printer-mib.ts';
import { SnmpSession } from './snmp.ts';
import { type SnmpSettings, versionsOf } from './snmp-settings.ts';
import type { AskIpp } from './status.ts';

export interface Identity {
  /** lower case, without `urn:uuid:` */
  uuid?: string;
  serial?: string;
  model?: string;
  /** MIME media types */
  formats?: string[];
}

export interface Asking {
  askIpp: AskIpp;
  /** null: SNMP is not asked */
  snmp: SnmpSettings | null;
}

const attributes = [
  'printer-uuid',
  'printer-make-and-model',
  'printer-device-id',
  'document-format-supported',
];

/** @returns what an IPP printer says of itself @throws as `AskIpp` does, and InkmeshError `timeout` */
export async function identifyByIpp(
  printer: { uri: string; fingerprint?: string },
  askIpp: AskIpp,
): Promise<Identity> {
  const signal = AbortSignal.timeout(discoverLimits.ask_ms);
  const late = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => late.reject(new InkmeshError('timeout', 'it does not answer IPP')));
  const found = await Promise.race([askIpp(printer, attributes, signal), late.promise]);
  const first = (name: string) => stringsOf(found, name)[0] ?? '';
  // IEEE 1284: MFG:Example;MDL:Laser 9;SN:4711;
  const [, serial = ''] = /(?:^|;)\s*(?:SN|SERN|SERIALNUMBER):([^;]*)/i.exec(first('printer-device-id')) ??
    [];
  return identity({
    uuid: uuidOf(first('printer-uuid')),
    serial,
    model: first('printer-make-and-model'),
    formats: stringsOf(found, 'document-format-supported').slice(0, discoverLimits.maxFormats),
  });
}

/** @returns what an agent says of itself, undefined when it is no printer @throws as `SnmpSession.get` does */
export async function identifyBySnmp(host: string, settings: SnmpSettings): Promise<Identity | undefined> {
  const asked = versionsOf(settings).map(async (version) => {
    const { askSnmp_ms: timeout_ms } = discoverLimits;
    const session = await SnmpSession.open({ host, settings, version, timeout_ms, retries: 0 });
    try {
      return await readIdentity(session);
    } finally {
      session.close();
    }
  });
  const found = await Promise.any(asked).catch((all: AggregateError) => Promise.reject(all.errors[0]));
  return found === undefined ? undefined : identity(found);
}

/**
 * What can be found out about the printer at a URI: by IPP where it speaks that, and by SNMP. Never fails: what is not
 * known is left out.
 */
export async function identify(
  printer: { uri: string; fingerprint?: string },
  { askIpp, snmp }: Asking,
): Promise<Identity> {
  const { protocol } = new URL(printer.uri);
  const host = hostOf(printer.uri);
  const unknown = (): Identity => ({});
  const [byIpp, bySnmp] = await Promise.all([
    /^ipps?:$/.test(protocol) ? identifyByIpp(printer, askIpp).catch(unknown) : unknown(),
    snmp === null || host === '' ? unknown() : identifyBySnmp(host, snmp).catch(unknown),
  ]);
  return { ...bySnmp, ...byIpp };
}

/** Bounded, and without what is empty. */
export function identity(said: { [name in keyof Identity]?: Identity[name] | undefined }): Identity {
  const texts = (['uuid', 'serial', 'model'] as const).flatMap((name) => {
    const text = printable(said[name] ?? '', discoverLimits.maxTextChars).trim();
    return text === '' ? [] : [[name, text] as const];
  });
  const formats = (said.formats ?? []).map((format) => printable(format, discoverLimits.maxTextChars));
  return { ...Object.fromEntries(texts), ...(formats.length === 0 ? {} : { formats }) };
}

/** `urn:uuid:` and capitals taken off; undefined for what is no UUID, or nobody's. */
export function uuidOf(text: string): string | undefined {
  const uuid = text.toLowerCase().replace(/^urn:uuid:/, '');
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid) && /[1-9a-f]/.test(uuid) ? uuid : undefined;
}

/** Without the brackets of IPv6; '' where a URI has no host. */
export function hostOf(uri: string): string {
  return URL.canParse(uri) ? new URL(uri).hostname.replace(/^\[(.*)\]$/, '$1') : '';
}

const defaultPorts: Readonly<Record<string, number>> = { 'ipp:': 631, 'ipps:': 631, 'socket:': 9100 };

/** Where a printer listens; undefined for what is not in the network. */
export function endpointIn(uri: string): { host: string; port: number } | undefined {
  const host = hostOf(uri);
  const { protocol, port } = new URL(uri);
  const usual = defaultPorts[protocol];
  return host === '' || usual === undefined ? undefined : { host, port: port === '' ? usual : Number(port) };
}

interface Placed {
  uuid?: string | undefined;
  serial?: string | undefined;
  hosts: readonly string[];
}

/**
 * Whether two are one printer: where both have a UUID that decides, else the serial number, else the address. One host
 * may have several printers.
 */
export function isSame(one: Placed, other: Placed): boolean {
  for (const name of ['uuid', 'serial'] as const) {
    if (one[name] !== undefined && other[name] !== undefined) return one[name] === other[name];
  }
  return one.hosts.some((host) => other.hosts.includes(host));
}
