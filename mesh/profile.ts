/**
 * The profiles of the certificates that `authority.ts` issues (RFC 5280): who may be certified by what, for how long,
 * and what every certificate has in common.
 */
import 'reflect-metadata';
import { BlockList, isIP } from 'node:net';
import { AsnConvert } from '@peculiar/asn1-schema';
import * as asn1 from '@peculiar/asn1-x509';
import * as x509 from '@peculiar/x509';
import { InkmeshError } from './errors.ts';

const hour_ms = 3_600_000;
const day_ms = 24 * hour_ms;
export const root_ms = 20 * 365 * day_ms;
export const issuer_ms = 5 * 365 * day_ms;
/** Nodes, users and TLS alike. */
export const leaf_ms = 90 * day_ms;
/** How far a certificate begins before it was made, for machines whose clocks are slow. */
const skew_ms = hour_ms;

export const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
const { digitalSignature, keyCertSign, cRLSign } = x509.KeyUsageFlags;

/** The names that a TLS certificate may carry: these, and what ends in them (RFC 5280 section 4.2.1.10). */
const privateDomains = ['inkmesh.internal', 'local', 'localhost'];

/** The addresses that a TLS certificate may carry: RFC 1918, RFC 3927, RFC 4193, RFC 4291 and loopback. */
const privateNetworks = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['::1', 128],
] as const;

const privateAddresses = new BlockList();
for (const [network, prefix] of privateNetworks) {
  privateAddresses.addSubnet(network, prefix, isIP(network) === 4 ? 'ipv4' : 'ipv6');
}

export interface Certification {
  readonly issuer: {
    readonly name: x509.Name;
    readonly publicKey: x509.PublicKeyType;
    readonly key: CryptoKey;
  };
  readonly subject: x509.Name;
  readonly publicKey: CryptoKey;
  /** milliseconds */
  readonly lifetime_ms: number;
  readonly extensions: x509.Extension[];
}

/** Signs a certificate that begins an hour before `now`. @returns DER */
export async function certify(what: Certification, now: number): Promise<Uint8Array> {
  const certificate = await x509.X509CertificateGenerator.create({
    issuer: what.issuer.name,
    subject: what.subject,
    publicKey: what.publicKey,
    signingKey: what.issuer.key,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    notBefore: wholeSeconds(now - skew_ms),
    notAfter: wholeSeconds(now + what.lifetime_ms),
    extensions: [
      ...what.extensions,
      await x509.SubjectKeyIdentifierExtension.create(what.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(what.issuer.publicKey),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

/** A name in UTF-8, whatever its characters. */
export function distinguishedName(attributes: Readonly<Record<string, string>>): x509.Name {
  return new x509.Name(
    Object.entries(attributes).map(([type, value]) => ({ [type]: [{ utf8String: value }] })),
  );
}

/** The extensions of a certificate authority with at most `pathLength` authorities below it. */
export function authorityProfile(pathLength: number): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
  ];
}

/** The extensions of a node, a user or a TLS server, for one use and under these names. */
export function leafProfile(usage: string, names: x509.JsonGeneralNames): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([usage]),
    new x509.SubjectAlternativeNameExtension(names),
  ];
}

/** Name constraints under which a TLS certificate can name nothing but this organisation's own machines. */
export function privateNamesOnly(): x509.Extension {
  const permitted = [
    ...privateDomains.map((domain) => ({ dNSName: domain })),
    ...privateNetworks.map(([network, prefix]) => ({ iPAddress: `${network}/${prefix}` })),
  ];
  return constraints({ permittedSubtrees: subtrees(permitted) });
}

/** Name constraints under which no TLS certificate is possible: the root is trusted by browsers for the other issuer. */
export function noTlsNames(): x509.Extension {
  const excluded = [{ dNSName: '' }, { iPAddress: '0.0.0.0/0' }, { iPAddress: '::/0' }];
  return constraints({ excludedSubtrees: subtrees(excluded) });
}

/** @throws InkmeshError `bad-request` unless `name` is a host name that a TLS certificate may carry */
export function checkPrivateDomain(name: string): void {
  const isHost = name.length <= 253 && /^(?!-)[a-z0-9-]{1,63}(?:\.(?!-)[a-z0-9-]{1,63})*$/.test(name);
  if (!isHost || !privateDomains.some((domain) => name === domain || name.endsWith(`.${domain}`))) {
    throw new InkmeshError(
      'bad-request',
      `${JSON.stringify(name.slice(0, 253))} needs a certificate of a public CA: ` +
        `only lower-case names that end in ${privateDomains.join(', ')} can be certified here`,
    );
  }
}

/** @throws InkmeshError `bad-request` unless `address` is an address that a TLS certificate may carry */
export function checkPrivateAddress(address: string): void {
  const version = isIP(address);
  // no zone and no dotted quad within IPv6: a certificate holds the bare octets
  const isPlain = version === 4 || /^[0-9a-fA-F:]+$/.test(address);
  if (version === 0 || !isPlain || !privateAddresses.check(address, version === 4 ? 'ipv4' : 'ipv6')) {
    throw new InkmeshError(
      'bad-request',
      `${JSON.stringify(address.slice(0, 64))} is not a private address, and only these can be certified`,
    );
  }
}

/** Certificates count in seconds. */
function wholeSeconds(time_ms: number): Date {
  return new Date(Math.floor(time_ms / 1000) * 1000);
}

function subtrees(bases: Partial<asn1.GeneralName>[]): asn1.GeneralSubtrees {
  return new asn1.GeneralSubtrees(
    bases.map((base) => new asn1.GeneralSubtree({ base: new asn1.GeneralName(base) })),
  );
}

function constraints(subtrees: Partial<asn1.NameConstraints>): x509.Extension {
  const value = AsnConvert.serialize(new asn1.NameConstraints(subtrees));
  return new x509.Extension(asn1.id_ce_nameConstraints, true, value);
}
