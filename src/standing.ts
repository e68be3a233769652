/** Who a node is, on disk: read at start, renewed first where it has lapsed, and kept when it changes. */
import { type Authority, importAuthority, type Keeper, renewLapsed, type Storage } from '../mesh/mod.ts';
import { asInkmeshError, InkmeshError } from '../mesh/errors.ts';
import { systemClock } from './clock.ts';
import { type NodeSecrets, readNode, readRegistrar, writeCertificates, writeRegistrar } from './datadir.ts';
import type { TlsKeys } from './listen.ts';

/** What registrars are asked with by a node whose certificate has lapsed. */
export interface Lapsed {
  secrets: NodeSecrets;
  /** HOST:PORT or multiaddrs of other nodes */
  peers: readonly string[];
  addresses: Storage['addresses'];
}

/** Asks every node that was ever known for new certificates. @throws InkmeshError what the last one said */
export function askLapsed({ secrets, peers, addresses }: Lapsed): ReturnType<typeof renewLapsed> {
  const known = addresses.list().flatMap((row) => row.addresses);
  return renewLapsed({ ...secrets, addresses: [...new Set([...peers, ...known])], clock: systemClock });
}

/**
 * The identity of a node, with a new certificate if its own has lapsed not too long ago.
 * @throws InkmeshError `unauthenticated` when it has lapsed, and no registrar renews it
 */
export async function renewedAtStart(dir: string, lapsed: Lapsed): Promise<NodeSecrets> {
  const { secrets } = lapsed;
  if (secrets.identity.notAfter >= Date.now()) return secrets;
  try {
    await writeCertificates(dir, await askLapsed(lapsed));
  } catch (cause) {
    const ended = new Date(secrets.identity.notAfter).toISOString();
    throw new InkmeshError(
      'unauthenticated',
      `the certificate of this node expired at ${ended}, and no registrar renews it ` +
        `(${asInkmeshError(cause).message}): start a registrar, or join again`,
      {},
      { cause },
    );
  }
  return await readNode(dir);
}

/** What a registrar issues with; undefined on any other node. */
export async function readAuthority(dir: string): Promise<Authority | undefined> {
  const file = await readRegistrar(dir);
  return file === undefined ? undefined : await importAuthority(file);
}

/** @param serve takes new TLS keys into use */
export function keeperOf(dir: string, serve: (tls: TlsKeys) => void): Keeper {
  return {
    certificates: async (given) => serve(await writeCertificates(dir, given)),
    authority: (file) => writeRegistrar(dir, file),
  };
}
