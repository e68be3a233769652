/** The way back of a node whose certificate has lapsed: it is no member any more, and asks registrars for a new one. */
import { type NodeIdentity, type Trust, verifyIdentity } from './certificate.ts';
import { InkmeshError } from './errors.ts';
import { createTransport } from './host.ts';
import type { NodeCertificates } from './issue.ts';
import { waysBy } from './lead.ts';
import type { Clock } from './ports.ts';
import { renewMethod } from './renew.ts';
import { Rpc } from './rpc.ts';
import { sameNode } from './self.ts';

export interface LapsedOptions {
  /** libp2p's own key, as protobuf */
  hostKey: Uint8Array;
  identity: NodeIdentity;
  issuers: Uint8Array[];
  trust: Trust;
  /** HOST:PORT, URLs or multiaddrs where registrars or cloud nodes may be, tried in turn */
  addresses: readonly string[];
  clock: Clock;
}

/** @throws InkmeshError `unavailable` when no registrar answers, or what the last one said */
export async function renewLapsed(options: LapsedOptions): Promise<NodeCertificates> {
  const { identity, issuers, trust, clock } = options;
  const transport = await createTransport({
    ...{ key: options.hostKey, clock, listen: [], mdns: false, relay: false },
    organisation: trust.fingerprint,
  });
  let failure: unknown = new InkmeshError('unavailable', 'no registrar is known: join again');
  const failed = (thrown: unknown) => {
    // a refusal says more than that somebody else was not reached
    if (thrown instanceof InkmeshError && thrown.code === 'forbidden') throw thrown;
    failure = thrown;
    return [];
  };
  try {
    await transport.start();
    const rpc = new Rpc(transport, clock, () => {});
    for (const address of options.addresses) {
      const ways = await waysBy(address, { transport, rpc, clock }).catch(failed);
      for (const way of ways) {
        try {
          const link = await way();
          const { reply } = await rpc.call(link.peer, renewMethod, { leaf: identity.der, issuers }, { link });
          sameNode(identity, await verifyIdentity(trust, reply.leaf, reply.issuers, clock.wall_ms()));
          return reply;
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
