/**
 * A second registrar: a registrar sends its issuers to another node, sealed for that node alone, and the certificate
 * that says what it is from now on.
 */
import { Decrypter, Encrypter } from 'age-encryption';
import * as v from 'valibot';
import { type Authority, type AuthorityFile, exportAuthority, importAuthority } from './authority.ts';
import type { NodeIdentity, Trust } from './certificate.ts';
import { bytes } from './codec.ts';
import { InkmeshError } from './errors.ts';
import type { KnownFacts } from './facts.ts';
import { certifyNode, nodeCertificates } from './issue.ts';
import { maxSealedAuthorityBytes } from './limits.ts';
import type { Clock, Log } from './ports.ts';
import { revokedSince } from './revocation.ts';
import { type Method, noReply, type Rpc } from './rpc.ts';
import type { Self } from './self.ts';

const appointRequest = v.strictObject({
  /** age file for the node's X25519 recipient: the JSON of an AuthorityFile */
  sealed: bytes(1, maxSealedAuthorityBytes),
  certificates: nodeCertificates,
});

const appointMethod: Method<typeof appointRequest, typeof noReply> = {
  name: 'appoint',
  request: appointRequest,
  reply: noReply,
  admission: 'member',
};

export interface AppointOptions {
  rpc: Rpc;
  self: Self;
  sealKey: string;
  trust: Trust;
  ledger: KnownFacts;
  clock: Clock;
  log: Log;
  /** keeps the issuers durably */
  keep(authority: AuthorityFile): Promise<void>;
}

/** Takes the issuers from a registrar, and is one from then on. */
export async function serveAppointment(options: AppointOptions): Promise<void> {
  const { rpc, self, ledger, trust, log } = options;
  await rpc.handle(appointMethod, async ({ from, request }) => {
    const by = ledger.identity(from);
    if (by === undefined || !by.roles.includes('registrar')) {
      throw new InkmeshError('forbidden', 'only a registrar makes another one');
    }
    const file = await open(request.sealed, options.sealKey);
    const authority = await importAuthority(file);
    const identity = await self.examine(request.certificates);
    if (authority.trust.fingerprint !== trust.fingerprint || !identity.roles.includes('registrar')) {
      throw new InkmeshError('forbidden', 'these are not the issuers of this organisation');
    }
    await options.keep(await exportAuthority(authority));
    await self.become(request.certificates, authority);
    log('info', 'this node is a registrar now', { by: by.name });
    return { reply: {} };
  });
}

/**
 * Makes a connected node a registrar; again for one that is, which mends what a crash has interrupted.
 * @param seal the node's age recipient
 * @throws InkmeshError what the node said, or why it can't be asked
 */
export async function appoint(
  rpc: Rpc,
  authority: Authority,
  known: KnownFacts,
  node: NodeIdentity,
  seal: string | undefined,
  now_ms: number,
): Promise<void> {
  if (revokedSince(known, 'node', node.peerId) !== undefined) {
    throw new InkmeshError('forbidden', `${node.name} is revoked`);
  }
  if (seal === undefined) {
    throw new InkmeshError(
      'unavailable',
      `${node.name} has not said yet what to seal for it with: try again`,
    );
  }
  const { name, site, peerId, publicKey } = node;
  const roles = [...new Set([...node.roles, 'registrar' as const])];
  const certificates = await certifyNode(authority, { name, site, peerId, roles, publicKey }, [], now_ms);
  const encrypter = new Encrypter();
  encrypter.addRecipient(seal);
  const sealed = await encrypter.encrypt(JSON.stringify(await exportAuthority(authority)));
  await rpc.call(peerId, appointMethod, { sealed, certificates });
}

async function open(sealed: Uint8Array, sealKey: string): Promise<unknown> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(sealKey);
  try {
    return JSON.parse(await decrypter.decrypt(sealed, 'text')) as unknown;
  } catch (cause) {
    throw new InkmeshError('forbidden', 'this was not sealed for this node', {}, { cause });
  }
}
