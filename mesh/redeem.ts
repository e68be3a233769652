/** Redeeming a join token or an invitation, on a machine that is no node yet. */
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Trust } from './certificate.ts';
import { type Enrolment, type EnrolSubject, enrolWith } from './enrol.ts';
import { asInkmeshError, type Code, InkmeshError } from './errors.ts';
import { createTransport } from './host.ts';
import { waysBy } from './lead.ts';
import type { Clock } from './ports.ts';
import { Rpc } from './rpc.ts';

/** A fresh libp2p key, as protobuf, and its PeerId. */
export async function generateHostKey(): Promise<{ hostKey: Uint8Array; peerId: string }> {
  const key = await generateKeyPair('Ed25519');
  return { hostKey: privateKeyToProtobuf(key), peerId: key.publicKey.toString() };
}

/** Somebody else may be at the address of a registrar, and an invitation is known to the one that gave it out. */
const anotherMayDo: ReadonlySet<Code> = new Set(['unavailable', 'timeout', 'unauthenticated', 'bad-request']);

export interface RedeemOptions {
  hostKey: Uint8Array;
  /** SHA-256 of the organisation's root, and the token's secret */
  rootFingerprint: Uint8Array;
  secret: Uint8Array;
  /** HOST:PORT or multiaddrs of registrars, and URLs of cloud nodes that lead to some, tried in turn */
  addresses: readonly string[];
  /** multiaddrs to listen on meanwhile, so that the registrar can try to reach this machine */
  listen: readonly string[];
  request: Uint8Array;
  subject: EnrolSubject;
  clock: Clock;
}

export type Redeemed = Enrolment & {
  trust: Trust;
  /** the address, as it was given, of the cloud node that has led to the registrar; null where none was between */
  through: string | null;
};

/**
 * Redeems a join token or an invitation with the first registrar that answers.
 * @throws InkmeshError `unavailable` when none can be reached, or what the registrar said
 */
export async function redeem(options: RedeemOptions): Promise<Redeemed> {
  const { clock, listen } = options;
  const organisation = Buffer.from(options.rootFingerprint).toString('hex');
  const transport = await createTransport({
    ...{ key: options.hostKey, listen, organisation, mdns: false, relay: false, clock },
  });
  try {
    await transport.start();
    const rpc = new Rpc(transport, clock, () => {});
    let failure = new InkmeshError('unavailable', 'the token names no registrar: give --at HOST:PORT of one');
    const failed = (thrown: unknown) => {
      const error = asInkmeshError(thrown);
      if (!anotherMayDo.has(error.code)) throw error;
      if (failure.code === 'unavailable') failure = error;
      return [];
    };
    for (const address of options.addresses) {
      const ways = await waysBy(address, { transport, rpc, clock }).catch(failed);
      for (const way of ways) {
        try {
          const link = await way();
          const enrolment = await enrolWith({ ...options, rpc, link });
          return { ...enrolment, through: link.relay === null ? null : address };
        } catch (thrown) {
          failed(thrown);
        }
      }
    }
    throw failure;
  } finally {
    await transport.stop();
  }
}
