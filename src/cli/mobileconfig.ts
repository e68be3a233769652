/** A configuration profile for iOS, iPadOS and macOS (Apple Configuration Profile Reference): a printer, and whom to trust. */
import { namedUuid } from '../named-uuid.ts';
import { resourcePath } from '../submit/advertise.ts';

export interface ProfileOptions {
  organisation: string;
  /** SHA-256 of the organisation's root in hexadecimal */
  fingerprint: string;
  /** DER */
  root: Uint8Array;
  site: string;
  /** the host name of the site's queue, and its port for IPPS */
  host: string;
  port: number;
}

/**
 * The profile as a property list in XML. It has the same identifiers each time, so that a device replaces what it has.
 */
export function mobileConfig(options: ProfileOptions): string {
  const { organisation, root, site, host, port } = options;
  const certificate = payload(options, 'com.apple.security.root', 'root', `${organisation}: certificate`, {
    PayloadCertificateFileName: 'root.cer',
    PayloadContent: root,
  });
  const printer = payload(options, 'com.apple.airprint', 'airprint', `Printer of ${site}`, {
    AirPrint: [{ IPAddress: host, ResourcePath: `/${resourcePath}`, Port: port, ForceTLS: true }],
  });
  const profile = payload(options, 'Configuration', 'profile', `${organisation}: printing at ${site}`, {
    PayloadOrganization: organisation,
    PayloadDescription:
      `Adds the printer ${host}, and trusts the certificates of ${organisation} for its own names.`,
    PayloadContent: [certificate, printer],
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    `<plist version="1.0">${xml(profile)}</plist>`,
    '',
  ].join('\n');
}

type Plist = string | number | boolean | Uint8Array | readonly Plist[] | { readonly [key: string]: Plist };

function payload(
  { fingerprint, site }: ProfileOptions,
  type: string,
  part: string,
  name: string,
  content: Readonly<Record<string, Plist>>,
): Plist {
  const identifier = `internal.inkmesh.${fingerprint.slice(0, 16)}.${site}.${part}`;
  return {
    PayloadType: type,
    PayloadVersion: 1,
    PayloadIdentifier: identifier,
    PayloadUUID: namedUuid(`inkmesh ${identifier}`).toUpperCase(),
    PayloadDisplayName: name,
    ...content,
  };
}

function xml(value: Plist): string {
  if (typeof value === 'string') return `<string>${escaped(value)}</string>`;
  if (typeof value === 'number') return `<integer>${value}</integer>`;
  if (typeof value === 'boolean') return value ? '<true/>' : '<false/>';
  if (value instanceof Uint8Array) return `<data>${value.toBase64()}</data>`;
  if (isList(value)) return `<array>${value.map(xml).join('')}</array>`;
  const entries = Object.entries(value).map(([key, part]) => `<key>${escaped(key)}</key>${xml(part)}`);
  return `<dict>\n${entries.join('\n')}\n</dict>`;
}

const isList = (value: Plist): value is readonly Plist[] => Array.isArray(value);

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
const escaped = (text: string) => text.replace(/[&<>]/g, (character) => entities[character] ?? '');
