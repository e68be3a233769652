/** What a registrar gives a node: its certificate for the mesh and the one that it serves TLS with. */
import { BlockList, isIP } from 'node:net';
import * as v from 'valibot';
import { type Authority, issueNode, issueTls, type NodeSubject, type TlsSubject } from './authority.ts';
import { maxCertificateBytes, maxIssuers } from './certificate.ts';
import { bytes } from './codec.ts';
import { siteHostPrefix } from './names.ts';

export const certificate = bytes(1, maxCertificateBytes);
export const certificates = v.pipe(v.array(certificate), v.maxLength(maxIssuers));

export const nodeCertificates = v.strictObject({
  leaf: certificate,
  issuers: certificates,
  tls: v.strictObject({ leaf: certificate, issuer: certificate }),
});
/** DER each: the node's own with its issuers, and its TLS certificate with that one's issuer. */
export type NodeCertificates = v.InferOutput<typeof nodeCertificates>;

/** @param seenAt IP addresses that the node was reached at, or came from */
export async function certifyNode(
  authority: Authority,
  subject: NodeSubject,
  seenAt: readonly string[],
  now: number,
): Promise<NodeCertificates> {
  const { publicKey, name, site } = subject;
  return {
    leaf: await issueNode(authority, subject, now),
    issuers: [authority.meshIssuer.der],
    tls: {
      leaf: await issueTls(authority, tlsSubject(publicKey, name, site, seenAt), now),
      issuer: authority.tlsIssuer.der,
    },
  };
}

/**
 * What a node's TLS certificate is for. The registrar decides, not the node: its own names, loopback, and the
 * private address that it was seen at; so no node gets a certificate for another's name or for a site's.
 */
export function tlsSubject(
  publicKey: CryptoKey,
  name: string,
  site: string,
  seenAt: readonly string[],
): TlsSubject {
  const loopback = ['127.0.0.1', '::1'];
  const mdns = name.startsWith(siteHostPrefix) ? [] : [`${name}.local`];
  return {
    publicKey,
    commonName: name,
    dnsNames: ['localhost', ...mdns, `${name}.${site}.inkmesh.internal`],
    addresses: [...loopback, ...seenAt.filter((ip) => isPrivate(ip) && !loopback.includes(ip))].slice(0, 32),
  };
}

const privateNets = new BlockList();
for (
  const [net, bits] of [['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['127.0.0.0', 8]] as const
) {
  privateNets.addSubnet(net, bits, 'ipv4');
}
privateNets.addSubnet('fc00::', 7, 'ipv6');

/** The addresses that an organisation's TLS issuer may certify. */
const isPrivate = (ip: string): boolean =>
  isIP(ip) !== 0 && privateNets.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
