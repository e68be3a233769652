/**
 * Who a certificate says somebody is. The organisation's X.509 hierarchy (RFC 5280, every key P-256, every
 * signature ES256) has exactly one shape, and nothing else is accepted:
 *
 *     organisation root (CA, pathLen 1; kept offline)
 *     ├── mesh issuer (CA, pathLen 0, clientAuth; excludes all DNS names and addresses)
 *     │     └── node or user: urn:inkmesh:… names, clientAuth
 *     └── TLS issuer  (CA, pathLen 0, serverAuth; permits private names and addresses alone)
 *           └── TLS certificate of a node: DNS names and addresses, serverAuth
 *
 * `authority.ts` is the issuing side.
 */
import 'reflect-metadata';
import { sha256 } from '@noble/hashes/sha2.js';
import { AsnConvert } from '@peculiar/asn1-schema';
import * as asn1 from '@peculiar/asn1-x509';
import * as x509 from '@peculiar/x509';
import * as v from 'valibot';
import { check } from './codec.ts';
import { InkmeshError } from './errors.ts';
import { nodeName, organisationName, peerId, type Role, siteName, userName, uuid } from './names.ts';

/** Bytes of one certificate in DER. */
export const maxCertificateBytes = 4096;

/** Issuer certificates that may come with one certificate. */
export const maxIssuers = 4;

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** What the node of a certificate may be besides an edge node (or, with `cloud`, instead): `admin` is a user's alone. */
export const nodeSubject = v.strictObject({
  name: nodeName,
  site: siteName,
  peerId,
  roles: rolesOf(['registrar', 'front', 'panel', 'relay', 'cloud']),
});

/** The user of a certificate, and the device (or browser) whose key it certifies. */
export const userSubject = v.strictObject({
  user: userName,
  device: uuid,
  roles: rolesOf(['admin', 'cloud']),
});

interface Certified {
  readonly roles: readonly Role[];
  /** P-256, for verifying */
  readonly publicKey: CryptoKey;
  /** milliseconds since the epoch; from when on the whole chain is valid */
  readonly notBefore: number;
  /** milliseconds since the epoch; when the first certificate of the chain ends */
  readonly notAfter: number;
  readonly der: Uint8Array;
}

export interface NodeIdentity extends Certified {
  readonly kind: 'node';
  readonly name: string;
  readonly site: string;
  readonly peerId: string;
}

export interface UserIdentity extends Certified {
  readonly kind: 'user';
  readonly user: string;
  readonly device: string;
}

/** The one thing that a member must have right: the root of its organisation. */
export interface Trust {
  /** DER */
  readonly root: Uint8Array;
  readonly organisation: string;
  /** SHA-256 of the root's DER in hexadecimal */
  readonly fingerprint: string;
}

/**
 * Reads an organisation's root certificate and checks its profile and its signature, not its dates. Whether it is the
 * right organisation's is the caller's question: compare the fingerprint.
 * @throws InkmeshError `bad-request`
 */
export async function readTrust(rootDer: Uint8Array): Promise<Trust> {
  const der = rootDer.slice();
  try {
    const root = parse(der, 'the root');
    checkCa(root, 'the root', 1);
    if (!await isSignedBy(root, await publicKeyOf(root))) {
      throw refusal('the root is not signed with its own key');
    }
    const [organisation] = root.subjectName.getField('O');
    const digest = await crypto.subtle.digest('SHA-256', der);
    return {
      root: der,
      organisation: check(organisationName, organisation),
      fingerprint: new Uint8Array(digest).toHex(),
    };
  } catch (cause) {
    throw asRefusal(cause, 'bad-request', 'the root certificate of the organisation cannot be read');
  }
}

/**
 * Checks a certificate of a node or a user: leaf <- mesh issuer <- root, with signatures, dates at `now` and profiles.
 * Revocation is not looked at: it is a fact of the directory.
 * @param leaf DER, at most `maxCertificateBytes`
 * @param issuers DER of at most `maxIssuers`, in any order; those that are not needed may be anybody's
 * @param now milliseconds since the epoch
 * @throws InkmeshError `unauthenticated`, saying what is wrong
 */
export async function verifyIdentity(
  trust: Trust,
  leaf: Uint8Array,
  issuers: readonly Uint8Array[],
  now: number,
): Promise<NodeIdentity | UserIdentity> {
  const { identity, chain } = await readChain(trust, leaf, issuers);
  chain.forEach((part, i) => checkDates(part, ['the root', 'the issuer', 'the certificate'][i] ?? '', now));
  return identity;
}

/**
 * The same whatever the time is: for what was signed at a time of its own, to be held against `notBefore` and `notAfter`.
 * @throws InkmeshError `unauthenticated`, saying what is wrong
 */
export async function readIdentity(
  trust: Trust,
  leaf: Uint8Array,
  issuers: readonly Uint8Array[],
): Promise<NodeIdentity | UserIdentity> {
  return (await readChain(trust, leaf, issuers)).identity;
}

type Dates = Pick<x509.X509Certificate, 'notBefore' | 'notAfter'>;

interface Chain {
  readonly identity: NodeIdentity | UserIdentity;
  /** root, issuer, leaf */
  readonly chain: readonly Dates[];
}

const maxKnownChains = 4096;
/** What has been checked already, by the SHA-256 of leaf and issuers: a node's certificate comes many times. */
const chainsOf = new WeakMap<Trust, Map<string, Chain>>();

async function readChain(trust: Trust, leaf: Uint8Array, issuers: readonly Uint8Array[]): Promise<Chain> {
  if (issuers.length > maxIssuers) throw refusal(`more than ${maxIssuers} issuer certificates came along`);
  const digest = sha256.create();
  for (const der of [leaf, ...issuers]) digest.update(sha256(der));
  const key = digest.digest().toHex();
  const known = chainsOf.get(trust) ?? new Map<string, Chain>();
  chainsOf.set(trust, known);
  const chain = known.get(key) ?? await checkChain(trust, leaf, issuers);
  known.delete(key);
  if (known.size >= maxKnownChains) known.delete(known.keys().next().value!);
  known.set(key, chain);
  return chain;
}

async function checkChain(trust: Trust, leaf: Uint8Array, issuers: readonly Uint8Array[]): Promise<Chain> {
  try {
    const certificate = parse(leaf, 'the certificate');
    const { root, issuer } = await issuerOf(certificate, issuers, trust);
    if (!await isSignedBy(certificate, issuer.publicKey)) {
      throw refusal('the certificate does not carry a valid signature of its issuer');
    }
    checkLeaf(certificate);
    const chain = [root.certificate, issuer.certificate, certificate]
      .map(({ notBefore, notAfter }) => ({ notBefore, notAfter }));
    const identity = {
      ...readNames(certificate),
      publicKey: await publicKeyOf(certificate),
      notBefore: Math.max(...chain.map((part) => part.notBefore.getTime())),
      notAfter: Math.min(...chain.map((part) => part.notAfter.getTime())),
      der: leaf.slice(),
    };
    return { identity, chain };
  } catch (cause) {
    throw asRefusal(cause, 'unauthenticated', 'the certificate cannot be read');
  }
}

/** The URNs that a certificate carries for these names, in the subject alternative name (RFC 5280 section 4.2.1.6). */
export function urns(names: Readonly<Record<string, string | readonly string[]>>): x509.JsonGeneralNames {
  return Object.entries(names).flatMap(([kind, values]) =>
    [values].flat().map((value) => ({ type: 'url', value: `urn:inkmesh:${kind}:${value}` } as const))
  );
}

/** Roles out of `allowed`, each at most once. */
function rolesOf(allowed: readonly Role[]) {
  return v.pipe(
    v.array(v.picklist(allowed)),
    v.check((list) => new Set(list).size === list.length, 'expected each role once'),
  );
}

function refusal(message: string): InkmeshError {
  return new InkmeshError('unauthenticated', message);
}

/** Any failure of reading as one refusal: what the parsers below throw is about the bytes, never about us. */
function asRefusal(cause: unknown, code: 'bad-request' | 'unauthenticated', otherwise: string): InkmeshError {
  if (cause instanceof InkmeshError) return new InkmeshError(code, cause.message, cause.about, { cause });
  return new InkmeshError(code, otherwise, {}, { cause });
}

/** Extensions that the checks below look at; one that is critical and not here must be refused (RFC 5280 section 4.2). */
const known: readonly string[] = [
  asn1.id_ce_basicConstraints,
  asn1.id_ce_keyUsage,
  asn1.id_ce_extKeyUsage,
  asn1.id_ce_subjectAltName,
  // on issuers: excludes what no identity can carry, as identities carry URNs alone
  asn1.id_ce_nameConstraints,
];

function parse(der: Uint8Array, what: string): x509.X509Certificate {
  if (der.length > maxCertificateBytes) throw refusal(`${what} has more than ${maxCertificateBytes} bytes`);
  const bytes = new Uint8Array(der);
  const asn = AsnConvert.parse(bytes, asn1.Certificate);
  const again = new Uint8Array(AsnConvert.serialize(asn));
  if (again.length !== bytes.length || again.some((byte, i) => byte !== bytes[i])) {
    throw refusal(`${what} is not in DER`);
  }
  const certificate = new x509.X509Certificate(bytes);
  if (!isSignatureInDer(new Uint8Array(certificate.signature))) {
    throw refusal(`the signature of ${what} is not in DER`);
  }
  const { name, hash } = certificate.signatureAlgorithm;
  if (
    name !== 'ECDSA' || hash.name !== 'SHA-256' ||
    !asn.signatureAlgorithm.isEqual(asn.tbsCertificate.signature)
  ) {
    throw refusal(`${what} is not signed with ECDSA and SHA-256`);
  }
  const types = certificate.extensions.map(({ type }) => type);
  if (new Set(types).size !== types.length) throw refusal(`${what} has an extension twice`);
  if (certificate.extensions.some(({ type, critical }) => critical && !known.includes(type))) {
    throw refusal(`${what} has a critical extension that is not known here`);
  }
  return certificate;
}

/** Ecdsa-Sig-Value (RFC 5480 appendix A): a SEQUENCE of two positive INTEGERs, each as short as it can be. */
function isSignatureInDer(signature: Uint8Array): boolean {
  const [sequence, length, , rBytes = 0] = signature;
  const isInteger = (at: number, end: number) => {
    const [tag, size, first = 0, second = 0] = signature.subarray(at, end);
    return tag === 2 && size === end - at - 2 && size > 0 && first < 0x80 && (first > 0 || second >= 0x80);
  };
  const middle = 4 + rBytes;
  return sequence === 0x30 && length === signature.length - 2 && isInteger(2, middle) &&
    isInteger(middle, signature.length);
}

function publicKeyOf(certificate: x509.X509Certificate): Promise<CryptoKey> {
  return certificate.publicKey.export(P256, ['verify']);
}

async function isSignedBy(certificate: x509.X509Certificate, publicKey: CryptoKey): Promise<boolean> {
  return await certificate.verify({ publicKey, signatureOnly: true });
}

interface Signer {
  readonly certificate: x509.X509Certificate;
  readonly publicKey: CryptoKey;
}

/**
 * The root and those of its mesh issuers that have been checked, by their DER in hexadecimal: they are few and come with
 * every certificate. Dates are no part of it.
 */
interface Signers {
  readonly root: Signer;
  readonly issuers: Map<string, Signer>;
}

const maxKnownIssuers = 16;
const signersOf = new WeakMap<Trust, Signers>();

async function issuerOf(
  certificate: x509.X509Certificate,
  issuers: readonly Uint8Array[],
  trust: Trust,
): Promise<{ root: Signer; issuer: Signer }> {
  const signers = signersOf.get(trust) ??
    { root: await signerOf(parse(trust.root, 'the root')), issuers: new Map() };
  signersOf.set(trust, signers);
  const { root } = signers;
  for (const der of issuers) {
    const known = der.length <= maxCertificateBytes ? signers.issuers.get(der.toHex()) : undefined;
    const candidate = known?.certificate ?? parse(der, 'an issuer certificate');
    if (!isNamedAsIssuerOf(candidate, certificate)) continue;
    if (known !== undefined) return { root, issuer: known };
    if (candidate.issuer !== root.certificate.subject || !await isSignedBy(candidate, root.publicKey)) {
      throw refusal(`the certificate does not belong to the organisation ${trust.organisation}`);
    }
    checkIdentityIssuer(candidate);
    const issuer = await signerOf(candidate);
    if (signers.issuers.size < maxKnownIssuers) signers.issuers.set(der.toHex(), issuer);
    return { root, issuer };
  }
  throw refusal('the certificate of its issuer did not come along');
}

async function signerOf(certificate: x509.X509Certificate): Promise<Signer> {
  return { certificate, publicKey: await publicKeyOf(certificate) };
}

/** By name and key identifier (RFC 5280 section 4.2.1.1): a hint to find it, which the signature then has to bear out. */
function isNamedAsIssuerOf(candidate: x509.X509Certificate, certificate: x509.X509Certificate): boolean {
  const authority = certificate.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
  const subject = candidate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  return candidate.subject === certificate.issuer && authority !== undefined && authority === subject;
}

function checkCa(certificate: x509.X509Certificate, what: string, pathLength: number): void {
  const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
  if (!constraints?.ca || !constraints.critical) throw refusal(`${what} may not issue certificates`);
  if (constraints.pathLength !== pathLength) {
    throw refusal(`${what} has the path length ${constraints.pathLength ?? 'unbounded'}, not ${pathLength}`);
  }
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? 0;
  if (!(usages & x509.KeyUsageFlags.keyCertSign)) {
    throw refusal(`the key of ${what} may not sign certificates`);
  }
}

function checkIdentityIssuer(issuer: x509.X509Certificate): void {
  checkCa(issuer, 'the issuer', 0);
  if (!isFor(issuer, x509.ExtendedKeyUsage.clientAuth) || isFor(issuer, x509.ExtendedKeyUsage.serverAuth)) {
    throw refusal(
      'the issuer is not the mesh issuer of the organisation, which alone may certify nodes and users',
    );
  }
}

function checkLeaf(certificate: x509.X509Certificate): void {
  if (certificate.getExtension(x509.BasicConstraintsExtension)?.ca) {
    throw refusal('the certificate is an issuer, neither a node nor a user');
  }
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages;
  if (usages !== x509.KeyUsageFlags.digitalSignature) {
    throw refusal('the key of the certificate must be for signatures, and for nothing else');
  }
  if (!isFor(certificate, x509.ExtendedKeyUsage.clientAuth)) {
    throw refusal('the certificate is not for the mesh');
  }
}

function isFor(certificate: x509.X509Certificate, usage: string): boolean {
  return certificate.getExtension(x509.ExtendedKeyUsageExtension)?.usages.includes(usage) ?? false;
}

function checkDates(certificate: Dates, what: string, now: number): void {
  if (!(now >= certificate.notBefore.getTime())) {
    throw refusal(
      `${what} is valid from ${certificate.notBefore.toISOString()}: is this machine's clock right?`,
    );
  }
  if (!(now <= certificate.notAfter.getTime())) {
    throw refusal(`${what} expired at ${certificate.notAfter.toISOString()}`);
  }
}

type Names =
  | Pick<NodeIdentity, 'kind' | 'name' | 'site' | 'peerId' | 'roles'>
  | Pick<
    UserIdentity,
    'kind' | 'user' | 'device' | 'roles'
  >;

function readNames(certificate: x509.X509Certificate): Names {
  const values = new Map<string, string[]>();
  for (const item of certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? []) {
    const [, kind, value] = /^urn:inkmesh:(node|site|peer|user|device|role):(.+)$/.exec(item.value) ?? [];
    if (item.type !== 'url' || kind === undefined || value === undefined) {
      throw refusal('the certificate carries a name that is not of the mesh');
    }
    values.set(kind, [...values.get(kind) ?? [], value]);
  }
  const one = (kind: string): string | undefined => {
    const [value, ...more] = values.get(kind) ?? [];
    if (more.length > 0) throw refusal(`the certificate names more than one ${kind}`);
    return value;
  };
  const node = { name: one('node'), site: one('site'), peerId: one('peer') };
  const user = { user: one('user'), device: one('device') };
  const isNode = Object.values(node).some((value) => value !== undefined);
  const isUser = Object.values(user).some((value) => value !== undefined);
  if (isNode === isUser) throw refusal("a certificate is a node's or a user's, and never both or neither");
  const roles = values.get('role') ?? [];
  return isNode
    ? { kind: 'node', ...check(nodeSubject, { ...node, roles }) }
    : { kind: 'user', ...check(userSubject, { ...user, roles }) };
}
