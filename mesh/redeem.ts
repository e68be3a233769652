/** Redeeming a join token or an invitation, on a machine that is no node yet. */
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { meshAddress } from './address.ts';
import type { Trust } from './certificate.ts';
import { type Enrolment, type EnrolSubject, enrolWith } from './enrol.ts';
import { type Code, InkmeshError } from './errors.ts';
import { createTransport } from './host.ts';
import { dialTimeout_ms } from './limits.ts';
import type { Clock, Link, Transport } from './ports.ts';
import { Rpc } from './rpc.ts';
import { deadline } from './timing.ts';

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
  /** HOST:PORT or multiaddrs of registrars, tried in turn */
  addresses: readonly string[];
  /** multiaddrs to listen on meanwhile, so that the registrar can try to reach this machine */
  listen: readonly string[];
  request: Uint8Array;
  subject: EnrolSubject;
  clock: Clock;
}

/**
 * Redeems a join token or an invitation with the first registrar that answers.
 * @throws InkmeshError `unavailable` when none can be reached, or what the registrar said
 */
export async function redeem(options: RedeemOptions): Promise<Enrolment & { trust: Trust }> {
  const { clock, listen } = options;
  const organisation = Buffer.from(options.rootFingerprint).toString('hex');
  const transport = await createTransport({
    ...{ key: options.hostKey, listen, organisation, mdns: false, relay: false, clock },
  });
  try {
    await transport.start();
    const rpc = new Rpc(transport, clock, () => {});
    let failure = new InkmeshError('unavailable', 'the token names no registrar: give --at HOST:PORT of one');
    for (const address of options.addresses.map(meshAddress)) {
      try {
        return await enrolWith({ ...options, rpc, link: await dial(transport, address, clock) });
      } catch (thrown) {
        const error = thrown instanceof InkmeshError ? thrown : asUnreachable(address, thrown);
        if (!anotherMayDo.has(error.code)) throw error;
        if (failure.code === 'unavailable') failure = error;
      }
    }
    throw failure;
  } finally {
    await transport.stop();
  }
}

async function dial(transport: Transport, address: string, clock: Clock): Promise<Link> {
  const { signal, done } = deadline(clock, dialTimeout_ms);
  try {
    return await transport.dial(null, [address], signal);
  } catch (cause) {
    throw asUnreachable(address, cause);
  } finally {
    done();
  }
}

function asUnreachable(address: string, cause: unknown): InkmeshError {
  return new InkmeshError(
    'unavailable',
    `no registrar answers at ${address}: is it running, and does the firewall let TCP through?`,
    {},
    { cause },
  );
}
