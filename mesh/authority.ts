/**
 * The issuing side of the organisation's X.509 hierarchy, which `certificate.ts` describes and checks: what a registrar
 * does with its two issuers, what makes an organisation, and the files and requests that keys travel in.
 */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { Decrypter, Encrypter, generateX25519Identity } from 'age-encryption';
import * as v from 'valibot';
import { nodeSubject, readTrust, type Trust, urns, userSubject } from './certificate.ts';
import { check, text } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { organisationName, type Role } from './names.ts';
import {
  authorityProfile,
  certify,
  checkPrivateAddress,
  checkPrivateDomain,
  clientAuth,
  distinguishedName,
  issuer_ms,
  leaf_ms,
  leafProfile,
  noTlsNames,
  privateNamesOnly,
  root_ms,
  serverAuth,
} from './profile.ts';

const maxRequestBytes = 2048;
const maxPemChars = 8192;
const maxTlsNames = 32;

/** log2 of scrypt's N: below age's default, as the passphrase is random and not a person's choice. */
const scryptWorkFactor = 14;

/** The attribute `uid` (RFC 4519 section 2.39). */
const userId = '0.9.2342.19200300.100.1.1';

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export interface Issuer {
  readonly der: Uint8Array;
  /** private, P-256 */
  readonly key: CryptoKey;
}

/** What a registrar holds. */
export interface Authority {
  readonly trust: Trust;
  readonly meshIssuer: Issuer;
  readonly tlsIssuer: Issuer;
}

/** Certificate and PKCS#8 private key, both in PEM. */
const issuerFile = v.strictObject({
  certificate: v.pipe(v.string(), v.maxLength(maxPemChars)),
  key: v.pipe(v.string(), v.maxLength(maxPemChars)),
});

const authorityFile = v.strictObject({
  root: v.pipe(v.string(), v.maxLength(maxPemChars)),
  meshIssuer: issuerFile,
  tlsIssuer: issuerFile,
});

/** An Authority as JSON; it is as secret as the keys in it. */
export type AuthorityFile = v.InferOutput<typeof authorityFile>;

export interface NodeSubject {
  readonly name: string;
  readonly site: string;
  readonly peerId: string;
  readonly roles: readonly Role[];
  readonly publicKey: CryptoKey;
}

export interface UserSubject {
  readonly user: string;
  readonly device: string;
  readonly roles: readonly Role[];
  readonly publicKey: CryptoKey;
}

export interface TlsSubject {
  readonly publicKey: CryptoKey;
  readonly commonName: string;
  /** at most 32, in the domains `inkmesh.internal`, `local` or `localhost` */
  readonly dnsNames: readonly string[];
  /** at most 32 private or loopback addresses, IPv4 or IPv6 */
  readonly addresses: readonly string[];
}

/**
 * Makes an organisation: its root, which is returned only encrypted, and its two issuers.
 * @param name 1 to 64 printable characters
 * @param now milliseconds since the epoch
 * @returns `rootFile`: certificate and PKCS#8 key of the root in PEM, encrypted in the age format (age-encryption.org/v1,
 * scrypt) under `passphrase`, 125 random bits in groups of base32. Neither is kept anywhere else.
 * @throws InkmeshError `bad-request` if the name is not one
 */
export async function createOrganisation(
  name: string,
  now: number,
): Promise<{ authority: Authority; rootFile: Uint8Array; passphrase: string }> {
  const organisation = check(organisationName, name);
  const named = (title: string) =>
    distinguishedName({ O: organisation, CN: `${organisation} inkmesh ${title}` });
  const keys = await generateKeys();
  const root = { name: named('root'), publicKey: keys.publicKey, key: keys.privateKey };
  const rootDer = await certify({
    issuer: root,
    subject: root.name,
    publicKey: keys.publicKey,
    lifetime_ms: root_ms,
    extensions: authorityProfile(1),
  }, now);
  const makeIssuer = async (title: string, usage: string, constraints: x509.Extension): Promise<Issuer> => {
    const own = await generateKeys();
    const der = await certify({
      issuer: root,
      subject: named(title),
      publicKey: own.publicKey,
      lifetime_ms: issuer_ms,
      extensions: [...authorityProfile(0), new x509.ExtendedKeyUsageExtension([usage]), constraints],
    }, now);
    return { der, key: own.privateKey };
  };
  const authority = {
    trust: await readTrust(rootDer),
    meshIssuer: await makeIssuer('mesh issuer', clientAuth, noTlsNames()),
    tlsIssuer: await makeIssuer('TLS issuer', serverAuth, privateNamesOnly()),
  };
  const { file, passphrase } = await lock(toPem('CERTIFICATE', rootDer) + await exportKey(keys.privateKey));
  return { authority, rootFile: file, passphrase };
}

/** Encrypts in the age format (scrypt) under a fresh passphrase of 125 random bits. */
export async function lock(
  content: string | Uint8Array,
): Promise<{ file: Uint8Array; passphrase: string }> {
  const passphrase = newPassphrase();
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(scryptWorkFactor);
  return { file: await encrypter.encrypt(content), passphrase };
}

/** The reverse of `lock`. @throws InkmeshError `unauthenticated` for another passphrase, or a damaged file */
export async function unlock(file: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  try {
    return await decrypter.decrypt(file, 'uint8array');
  } catch (cause) {
    throw new InkmeshError('unauthenticated', 'the passphrase does not open this file', {}, { cause });
  }
}

/** The authority as JSON, for the registrar's data directory: the caller sees to its mode and to its fsync. */
export async function exportAuthority(authority: Authority): Promise<AuthorityFile> {
  const file = async ({ der, key }: Issuer) => ({
    certificate: toPem('CERTIFICATE', der),
    key: await exportKey(key),
  });
  return {
    root: toPem('CERTIFICATE', authority.trust.root),
    meshIssuer: await file(authority.meshIssuer),
    tlsIssuer: await file(authority.tlsIssuer),
  };
}

/**
 * @param file what `exportAuthority` gave, as JSON gives it back
 * @throws InkmeshError `bad-request`, also if a key is not its certificate's or an issuer not of this root
 */
export async function importAuthority(file: unknown): Promise<Authority> {
  const pems = check(authorityFile, file);
  const trust = await readTrust(fromPem(pems.root));
  const root = new x509.X509Certificate(new Uint8Array(trust.root));
  const issuer = async (pem: AuthorityFile['meshIssuer'], what: string): Promise<Issuer> => {
    const der = fromPem(pem.certificate);
    const keys = await importKeyPair(pem.key);
    const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey));
    const certificate = new x509.X509Certificate(new Uint8Array(der));
    if (spki.toHex() !== new Uint8Array(certificate.publicKey.rawData).toHex()) {
      throw new InkmeshError('bad-request', `the key of the ${what} is not the one in its certificate`);
    }
    if (!await certificate.verify({ publicKey: root.publicKey, signatureOnly: true })) {
      throw new InkmeshError(
        'bad-request',
        `the ${what} was not issued by the root of ${trust.organisation}`,
      );
    }
    return { der, key: keys.privateKey };
  };
  return {
    trust,
    meshIssuer: await issuer(pems.meshIssuer, 'mesh issuer'),
    tlsIssuer: await issuer(pems.tlsIssuer, 'TLS issuer'),
  };
}

/** Certifies a node for 90 days. @returns DER @throws InkmeshError `bad-request` if a name or role is not one */
export function issueNode(authority: Authority, subject: NodeSubject, now: number): Promise<Uint8Array> {
  const { publicKey, ...names } = subject;
  const { name, site, peerId, roles } = check(nodeSubject, names);
  const extensions = leafProfile(clientAuth, urns({ node: name, site, peer: peerId, role: roles }));
  return issueLeaf(authority.meshIssuer, distinguishedName({ CN: name }), publicKey, extensions, now);
}

/** Certifies a user's device for 90 days. @returns DER @throws InkmeshError `bad-request` as above */
export function issueUser(authority: Authority, subject: UserSubject, now: number): Promise<Uint8Array> {
  const { publicKey, ...names } = subject;
  const { user, device, roles } = check(userSubject, names);
  const extensions = leafProfile(clientAuth, urns({ user, device, role: roles }));
  // a common name with a dot in it would be held against the issuer's name constraints, as if it were a host
  const named = distinguishedName({ [userId]: user });
  return issueLeaf(authority.meshIssuer, named, publicKey, extensions, now);
}

/**
 * Certifies the names that a node serves TLS under, for 90 days.
 * @returns DER
 * @throws InkmeshError `bad-request` for a name or an address that is not private: the issuer's name constraints would
 * make every client refuse the certificate
 */
export function issueTls(authority: Authority, subject: TlsSubject, now: number): Promise<Uint8Array> {
  const commonName = check(v.pipe(text(64), v.minLength(1)), subject.commonName);
  const { dnsNames, addresses } = subject;
  if (dnsNames.length > maxTlsNames || addresses.length > maxTlsNames) {
    throw new InkmeshError('bad-request', `a TLS certificate takes at most ${maxTlsNames} names`);
  }
  if (dnsNames.length + addresses.length === 0) {
    throw new InkmeshError('bad-request', 'a TLS certificate needs a name or an address');
  }
  for (const name of dnsNames) checkPrivateDomain(name);
  for (const address of addresses) checkPrivateAddress(address);
  const extensions = leafProfile(serverAuth, [
    ...dnsNames.map((value) => ({ type: 'dns', value } as const)),
    ...addresses.map((value) => ({ type: 'ip', value } as const)),
  ]);
  return issueLeaf(
    authority.tlsIssuer,
    distinguishedName({ CN: commonName }),
    subject.publicKey,
    extensions,
    now,
  );
}

/** The public key in a certificate (DER), as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
export function tlsKeyOf(der: Uint8Array): Uint8Array {
  return new Uint8Array(new x509.X509Certificate(new Uint8Array(der)).publicKey.rawData);
}

/** When a certificate (DER) ends, milliseconds since the epoch. */
export function endOf(der: Uint8Array): number {
  return new x509.X509Certificate(new Uint8Array(der)).notAfter.getTime();
}

/** A PKCS#10 request without names (RFC 2986): it proves that whoever asks has the key, and says nothing else. */
export async function createRequest(keys: CryptoKeyPair): Promise<Uint8Array> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  return new Uint8Array(request.rawData);
}

/**
 * The public key of a request (at most 2 KiB), once its proof of possession holds; names in it count for nothing.
 * @throws InkmeshError `bad-request`
 */
export async function readRequest(der: Uint8Array): Promise<CryptoKey> {
  if (der.length > maxRequestBytes) {
    throw new InkmeshError('bad-request', `the certificate request has more than ${maxRequestBytes} bytes`);
  }
  let key: CryptoKey;
  let isProven: boolean;
  try {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(der));
    key = await request.publicKey.export(P256, ['verify']);
    isProven = await request.verify();
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the certificate request cannot be read', {}, { cause });
  }
  if (!isProven) throw new InkmeshError('bad-request', 'the certificate request is not signed with its key');
  return key;
}

/** A fresh P-256 pair for ES256; the private key can be exported, to be kept in a file. */
export function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(P256, true, ['sign', 'verify']);
}

/** A fresh age identity (X25519, `AGE-SECRET-KEY-1…`): what is sealed to this node is opened with it. */
export function generateSealKey(): Promise<string> {
  return generateX25519Identity();
}

/** Textual encoding of PKIX structures (RFC 7468). @param label such as `CERTIFICATE` */
export function toPem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** The bytes of the one PEM block in `pem` (at most 8192 characters). @throws InkmeshError `bad-request` */
export function fromPem(pem: string): Uint8Array {
  const form = /^\s*-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+)-----END \1-----\s*$/;
  const [, , base64] = (pem.length <= maxPemChars ? form.exec(pem) : null) ?? [];
  try {
    if (base64 !== undefined) return Uint8Array.fromBase64(base64);
  } catch (cause) {
    throw new InkmeshError('bad-request', 'the PEM block is damaged', {}, { cause });
  }
  throw new InkmeshError('bad-request', 'expected one PEM block and nothing else');
}

/** A private key as PKCS#8 in PEM. */
export async function exportKey(key: CryptoKey): Promise<string> {
  return toPem('PRIVATE KEY', new Uint8Array(await crypto.subtle.exportKey('pkcs8', key)));
}

/** The pair of a P-256 private key in PKCS#8 PEM. @throws InkmeshError `bad-request` */
export async function importKeyPair(pem: string): Promise<CryptoKeyPair> {
  const pkcs8 = new Uint8Array(fromPem(pem));
  try {
    const privateKey = await crypto.subtle.importKey('pkcs8', pkcs8, P256, true, ['sign']);
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', privateKey);
    if (x === undefined || y === undefined) throw new TypeError('the key has no public part');
    const publicJwk: JsonWebKey = { kty: kty ?? 'EC', crv: crv ?? 'P-256', x, y };
    const publicKey = await crypto.subtle.importKey('jwk', publicJwk, P256, true, ['verify']);
    return { privateKey, publicKey };
  } catch (cause) {
    throw new InkmeshError('bad-request', 'expected a P-256 private key in PKCS#8', {}, { cause });
  }
}

function issueLeaf(
  issuer: Issuer,
  subject: x509.Name,
  publicKey: CryptoKey,
  extensions: x509.Extension[],
  now: number,
): Promise<Uint8Array> {
  const certificate = new x509.X509Certificate(new Uint8Array(issuer.der));
  return certify({
    issuer: { name: certificate.subjectName, publicKey: certificate.publicKey, key: issuer.key },
    subject,
    publicKey,
    lifetime_ms: leaf_ms,
    extensions,
  }, now);
}

/** 125 random bits as five groups of five, in the lower-case alphabet of base32 (RFC 4648 section 6). */
function newPassphrase(): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  const letters = Array.from(
    crypto.getRandomValues(new Uint8Array(25)),
    (byte) => alphabet.charAt(byte % 32),
  );
  return (letters.join('').match(/.{5}/g) ?? []).join('-');
}
